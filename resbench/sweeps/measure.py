"""A sweep draws networks, asks its questions of each, and keeps a row of every answer.

    space, seed -> networks, in an order -> cells -> answers -> rows of one dataset

What is drawn, and what is asked of it, is a pure function of the space, the seed and the index; who goes on later draws
the same networks again, and asks for those cells alone that are not there yet.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resbench.errors import MeasureError, OptionError
from resbench.given import public
from resbench.progress import Progress, Step, silent
from resbench.sweeps.cells import Engine, checked, columns, costs_of, engine, place_of, row_of
from resbench.sweeps.dataset import Dataset, opened
from resbench.sweeps.draws import Drawn, draws
from resbench.sweeps.figures import Figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.questions import COST, FIGURES, Cell, How, Question
from resbench.sweeps.result import NONE_FAILED, Asked, Plan, Spread, Sweep
from resbench.sweeps.space import Space
from resbench.units import plural

NETWORKS = 500
"""So many are drawn where nothing else is asked for."""

TRIED = 200
"""A dry run costs so many networks, to say how long all of them take."""

COUNTED = 20_000
"""A dry run costs all networks of a grid of no more combinations, some ten seconds: limits may leave few of them."""

DRAWING = 0.02
"""Where more is asked than the cost, drawing is taken for this part of the way."""


@public
def sweep(
    space: str | Space,
    n: int | None = None,
    *,
    metrics: Sequence[str] = (),
    folder: str | Path = "sweep",
    seed: int = 0,
    seeds: int = 1,
    limits: Sequence[str] = (),
    grid: bool = False,
    processes: int = 1,
    ray: str = "",
    merge: Sequence[str | Path] = (),
    data: str = "digits",
    root: str | Path | None = None,
    epochs: float = 8.0,
    batch: int = 128,
    lr: float = 0.1,
    device: str = "cpu",
    progress: Progress = silent,
) -> Sweep:
    """Draw ``n`` networks of a space, 500 where it is not said, and keep a row of every answer in ``folder``.

    ``metrics``: ``c1``, ``synflow``, ``error``, ``latency:onnxruntime``; what costs nothing is always there. ``seeds``:
    what starts from random weights is asked so often. ``limits``: ``macs=50M:100M``, ``params=:1M``. ``grid``: all
    networks there are instead, or the first ``n`` of them. ``merge``: folders with sweeps of the same space, whose rows
    are taken first. ``processes``: that share the work; with one, all is done in this one. ``ray``: ``auto`` or the
    address of a cluster that answers what is not timed. ``data`` in ``root``: what is shown, and trained on by the
    recipe of `degradation`. The same call goes on where an earlier one ended, and a larger ``n`` or a wider space keeps
    what is there.
    Raises OptionError for a space without networks within the limits, OutputError for a folder that another holds, and
    MeasureError where no network has figures: their rows say why.
    """
    found, bounds, place = _chosen(space, n), _limits(limits), Path(folder)
    n = _count(found, n, grid)
    begun = time.monotonic()
    questions, how = checked(metrics, data, root, epochs, batch, lr, device)
    facts, others = {"space": found.name}, [*map(Path, merge)]
    with engine(how, processes, ray) as answers, opened(place, columns(found), facts, others) as held:
        done, earlier, networks, interrupted = 0, 0, list[Drawn](), False
        failed = NONE_FAILED
        asked = dict[str, Asked]()
        try:
            for drawn in draws(found, n, seed, bounds, grid, processes):
                rows = [row_of(found, Cell(one.name, COST, None, how), one, costs_of(one.found)) for one in drawn]
                new = [row for row in rows if row["key"] not in held.keys]
                held.add(new)
                networks += drawn if questions else []
                failed = failed.counted(drawn)
                done, earlier = done + len(rows), earlier + len(rows) - len(new)
                share = min(done / n, 1.0) * (DRAWING if questions else 1.0)
                progress(Step(f"{found.name}: {done:,} of {n:,} networks", f"{done:,} rows"), share)
            if questions:
                asked = {one.name: Asked(one.name, 0, 0) for one in questions}
                cells = [*_cells(questions, networks, seeds, how)]
                _ask(found, held, networks, cells, answers, asked, progress)
        except KeyboardInterrupt:
            interrupted = True
        if failed.networks == done and not interrupted:
            raise MeasureError(f"{failed.of(done)}; {place} has their rows; change the networks of {found.name}")
        return Sweep(
            space=found.name,
            folder=str(place),
            seed=seed,
            limits=tuple(str(one) for one in bounds),
            merged=held.merged,
            asked=0 if grid else n,
            networks=done,
            earlier=earlier,
            rows=held.rows,
            seconds=time.monotonic() - begun,
            spreads=_spreads(held),
            interrupted=interrupted,
            questions=tuple(asked.values()),
            failed=failed,
        )


@public
def plan(
    space: str | Space,
    n: int | None = None,
    *,
    metrics: Sequence[str] = (),
    seed: int = 0,
    seeds: int = 1,
    limits: Sequence[str] = (),
    grid: bool = False,
    data: str = "digits",
    root: str | Path | None = None,
    epochs: float = 8.0,
    batch: int = 128,
    lr: float = 0.1,
    device: str = "cpu",
) -> Plan:
    """Say what a sweep would do, from networks that are drawn and costed, and a cell of each question.

    The networks are all of a grid of up to 20,000 combinations, and otherwise a few: then what limits leave is not
    known, and the number of networks is the most that there may be. Raises MeasureError where none has figures.
    """
    found, bounds = _chosen(space, n), _limits(limits)
    n = _count(found, n, grid)
    questions, how = checked(metrics, data, root, epochs, batch, lr, device)
    begun = time.process_time()
    most = n if grid and found.size and found.size <= COUNTED else min(n, TRIED)
    tried = [one for batch in draws(found, most, seed, bounds, grid, 1) for one in batch]
    failed = NONE_FAILED.counted(tried)
    if failed.networks == len(tried):
        raise MeasureError(f"{failed.of(len(tried))}; change the networks of {found.name}")
    each_s = (time.process_time() - begun) / max(len(tried), 1)
    networks = min(n, found.size or n) if len(tried) == most else len(tried)
    cells = [*_cells(questions, tried, seeds, how)]
    seconds = networks * each_s + sum(_tried(one, cells) for one in questions) * networks / max(len(tried), 1)
    count = networks + len(cells) * networks // max(len(tried), 1)
    each_bytes = 20 + 8 * len(Figures._fields) + sum(len(one.name) for one in tried) / max(len(tried), 1)
    names = tuple(one.name for one in tried[:5])
    at_most = len(tried) < networks and bool(bounds or grid or networks == found.size)
    disk = round(count * each_bytes)
    return Plan(found.name, count, found.size, seconds, disk, names, networks, at_most, len(tried), failed)


def _tried(question: Question, cells: Sequence[Cell]) -> float:
    """Answer a cell of the network in the middle, by MACs, and say how long all cells of the question take."""
    from resbench.sweeps.answers import answered

    own = sorted((cell for cell in cells if cell.question is question), key=lambda cell: cell.costs.macs)
    if not own:
        return 0.0
    one = own[len(own) // 2]
    short = replace(one, how=replace(one.how, epochs=min(one.how.epochs, 0.5)))
    return answered(short).took_s / short.seconds * sum(cell.seconds for cell in own)


def _cells(questions: Sequence[Question], networks: Sequence[Drawn], seeds: int, how: How) -> Iterator[Cell]:
    """Yield the cells of networks that have a cost: question by question, and seed by seed."""
    for question in questions:
        where = place_of(question, how)
        for seed in range(seeds) if question.seeded else (None,):
            for one in networks:
                if isinstance(one.found, Figures):
                    yield Cell(one.name, question, seed, how, where, one.found)


def _ask(
    space: Space,
    held: Dataset,
    networks: Sequence[Drawn],
    cells: Sequence[Cell],
    answers: Engine,
    asked: dict[str, Asked],
    progress: Progress,
) -> None:
    """Answer the cells that have no row yet, and keep a row of each; ``asked`` counts along."""
    drawn = {one.name: one for one in networks}
    left = [cell for cell in cells if cell.key not in held.keys]
    for name in asked:
        own = sum(cell.question.name == name for cell in cells)
        asked[name] = Asked(name, own, own - sum(cell.question.name == name for cell in left))
    end = _End([(cell.question.name, cell.seconds) for cell in left])
    for done, (cell, answer) in enumerate(answers(left), 1):
        one, name = drawn[cell.network], cell.question.name
        held.add([row_of(space, cell, one, {**answer.figures, **answer.words})])
        asked[name] = asked[name].counted(answer.failed)
        share = end.share(name, cell.seconds, answer.took_s)
        words = f"{name} of {cell.network}: {plural(done, 'cell')} of {len(left):,}"
        progress(Step(words, f"{held.rows:,} rows"), DRAWING + (1 - DRAWING) * share)


class _End:
    """The end of a sweep is told by what its cells were guessed to take, and by what those of their question took."""

    def __init__(self, guesses: Sequence[tuple[str, float]]) -> None:
        self.left, self.guessed, self.took = dict[str, float](), dict[str, float](), dict[str, float]()
        for name, seconds in guesses:
            self.left[name] = self.left.get(name, 0.0) + seconds

    def share(self, name: str, guess: float, took_s: float) -> float:
        """Return which share of the whole is done, now that one more is."""
        self.left[name] -= guess
        self.guessed[name] = self.guessed.get(name, 0.0) + guess
        self.took[name] = self.took.get(name, 0.0) + took_s
        done = sum(self.took.values())
        rest = sum(left * self.took.get(one, 1.0) / self.guessed.get(one, 1.0) for one, left in self.left.items())
        return done / max(done + rest, 1e-9)


def _spreads(held: Dataset) -> tuple[Spread, ...]:
    """Say how each figure is spread over the rows: column by column, so that they are never all in memory."""
    from pyarrow.compute import quantile

    found = []
    for name in (name for name, kind in FIGURES.items() if kind is not str):
        ends = quantile(held.table([name])[name], q=[0, 0.25, 0.5, 0.75, 1]).to_pylist()
        if ends[0] is not None:
            found.append(Spread(name, *map(float, ends)))
    return tuple(found)


def _count(space: Space, n: int | None, grid: bool) -> int:
    """Say how many networks are asked for: of a grid all, where nothing is said. Raises OptionError."""
    if n is not None or not grid:
        return n or NETWORKS
    if space.size is None:
        raise OptionError(f"--grid: the space {space.name} has real numbers: expected a step for each")
    return space.size


def _chosen(space: str | Space, n: int | None) -> Space:
    """Check what is asked for. Raises OptionError."""
    if n is not None and (type(n) is not int or n < 1):
        raise OptionError(f"expected at least one network, received n of {n!r}")
    return Space.of(space) if isinstance(space, str) else space


def _limits(texts: Sequence[str]) -> list[Limit]:
    return [Limit.read(text) for text in texts]
