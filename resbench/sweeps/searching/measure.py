"""A search asks the questions of a sweep of networks that an optimiser chooses, and keeps their rows as a sweep does.

    space --ask--> trials --built--> networks --cells--> figures --tell--> the optimiser

The journal of its trials lies beside the folder of the rows, so that the same call goes on where an earlier one ended.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resbench.errors import MeasureError, OptionError, did_you_mean
from resbench.given import public
from resbench.progress import Progress, Step, silent
from resbench.sweeps.cells import Engine, checked, columns, costs_of, engine, place_of, row_of
from resbench.sweeps.dataset import Dataset, beside, opened
from resbench.sweeps.draws import Drawn
from resbench.sweeps.figures import Figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.questions import COST, FIGURES, WORDS, Cell, How, Question, chosen, figure_of
from resbench.sweeps.readings.population import WORST
from resbench.sweeps.readings.statistics import front
from resbench.sweeps.searching.chance import chance
from resbench.sweeps.searching.result import Found, Search
from resbench.sweeps.space import Space
from resbench.units import plural

if TYPE_CHECKING:
    from resbench.sweeps.searching.trials import Trials

SAMPLERS = ("nsga2", "tpe", "random")

Goal = tuple[str, str]
"""An objective is a figure of a question."""

Told = dict[Goal, list[float]]
"""A network has these numbers, one for each seed."""


@public
def search(
    space: str | Space,
    minimize: Sequence[str],
    *,
    budget: int = 200,
    folder: str | Path = "search",
    limits: Sequence[str] = (),
    sampler: str = "nsga2",
    seed: int = 0,
    seeds: int = 1,
    processes: int = 1,
    data: str = "digits",
    root: str | Path | None = None,
    epochs: float = 8.0,
    batch: int = 128,
    lr: float = 0.1,
    device: str = "cpu",
    progress: Progress = silent,
) -> Search:
    """Look for the networks of a space that are small in all of ``minimize``, and look at ``budget`` different ones.

    ``minimize``: ``macs``, ``params``, ``error``, ``latency:onnxruntime`` and other figures of a sweep; of ``gradient``
    it is how far R is from 1, |log10 R|. ``sampler``: ``nsga2`` (Deb et al. 2002), ``tpe`` (Bergstra et al. 2011) or
    ``random``. Every network that is looked at is a row in ``folder``, as of a sweep, whose ``seeds``, ``data`` and
    recipe these are. The same call goes on where an earlier one ended. Raises OptionError for what is no figure, and
    MeasureError where there are no networks within the limits.
    """
    found = Space.of(space) if isinstance(space, str) else space
    goals, bounds = _goals(minimize), [Limit.read(text) for text in limits]
    questions, how = checked(minimize, data, root, epochs, batch, lr, device)
    if type(budget) is not int or budget < 1:
        raise OptionError(f"--budget takes a whole number from 1; received {budget!r}")
    if sampler not in SAMPLERS:
        raise OptionError(f"--sampler takes {', '.join(SAMPLERS)}; received {sampler!r}")
    if find_spec("optuna") is None:
        raise MeasureError("a search asks Optuna what to look at next: pip install 'resbench[sweep]'")
    place, interrupted = Path(folder), False
    with engine(how, processes) as answers, opened(place, columns(found), {"space": found.name}) as held:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # in a notebook Optuna wants another progress bar
            from resbench.sweeps.searching.trials import Trials
        asked = [found.name, *chain(*goals), *bounds, seeds, how.data, how.epochs, how.batch, how.lr, sampler, seed]
        journal = beside(place, "search")
        new_journal = not journal.exists()
        trials = Trials(journal, " ".join(map(str, asked)), len(goals), sampler, seed)
        looked = trials.looked
        earlier, known = len(looked), _known(held)
        try:
            while len(looked) < budget and (new := trials.ask(found, bounds, min(processes, budget - len(looked)))):
                told = _answers(
                    found, held, [one for one, _ in new.values()], questions, seeds, how, answers, known, trials
                )
                for name, (one, trial) in new.items():
                    looked[name] = _values(goals, one, told[name])
                    trials.tell(trial, name, looked[name])
                count = plural(len(looked), "network")
                progress(Step(f"{found.name}: {count} of {budget:,}", count), min(len(looked) / budget, 1.0))
        except KeyboardInterrupt:
            interrupted = True
        finally:
            tried = trials.count
            if new_journal and not looked:
                journal.unlink(missing_ok=True)
        others = len({*held.table(["network"])["network"].to_pylist()} - looked.keys())
    kept = {name: values for name, values in looked.items() if values}
    if not kept:
        if interrupted:
            raise KeyboardInterrupt("interrupted: nothing was looked at")
        what = f"no network of finite {', '.join(minimize)}" if looked else "no network within the limits"
        raise MeasureError(f"the space {found.name} gave {what} in {tried:,} trials; {trials.why}")
    names, points = [*kept], np.array([*kept.values()], float)
    best = sorted(front(points), key=lambda i: tuple(points[i]))
    free = all(question == "cost" for question, _ in goals)
    volume, random = chance(found, [name for _, name in goals], bounds, points, seed) if free else (None, None)
    return Search(
        space=found.name,
        folder=str(place),
        minimize=tuple(minimize),
        limits=tuple(map(str, bounds)),
        sampler=sampler,
        seed=seed,
        budget=budget,
        looked=len(looked),
        earlier=earlier,
        failed=len(looked) - len(kept),
        front=tuple(Found(names[i], tuple(points[i].tolist())) for i in best),
        hypervolume=volume,
        random=random,
        interrupted=interrupted,
        others=others,
        reason=trials.failed,
    )


def _goals(minimize: Sequence[str]) -> list[Goal]:
    """Return the objectives. Raises OptionError."""
    if not minimize:
        raise OptionError("--minimize takes one figure or several, such as error,macs; received none")
    found = []
    for text in minimize:
        name = figure_of(text).partition(":")[0]
        if FIGURES.get(name) not in (int, float):
            known = [*(key for key, kind in FIGURES.items() if kind is not str), *WORDS]
            hint = did_you_mean(name, known, f"expected {', '.join(known)}")
            raise OptionError(f"--minimize: {text!r} is no number of a network{hint}")
        asked = chosen([text])
        found.append((asked[0].name if asked else COST.name, name))
    if len(set(found)) < len(found):
        raise OptionError(f"--minimize takes different figures; received {', '.join(minimize)}")
    return found


def _answers(
    space: Space,
    held: Dataset,
    networks: Sequence[Drawn],
    questions: Sequence[Question],
    seeds: int,
    how: How,
    answers: Engine,
    known: Mapping[str, Mapping[str, Any]],
    trials: "Trials",
) -> Mapping[str, Told]:
    """Ask the questions of networks that are not ``known``, keep a row of each answer, and return the numbers."""
    told: dict[str, Told] = {one.name: {} for one in networks}
    by_name = {one.name: one for one in networks}
    for one in networks:
        if isinstance(one.found, str):
            trials.fails(one.name, one.found)
    rows = [row_of(space, Cell(one.name, COST, None, how), one, costs_of(one.found)) for one in networks]
    held.add([row for row in rows if row["key"] not in held.keys])
    cells = [
        Cell(one.name, question, seed, how, place_of(question, how), one.found)
        for question in questions
        for one in networks
        if isinstance(one.found, Figures)
        for seed in (range(seeds) if question.seeded else (None,))
    ]

    def tell(cell: Cell, figures: Mapping[str, Any], failed: str) -> None:
        if failed:
            trials.fails(cell.network, failed)
        for name, value in _numbers({} if failed else figures):
            told[cell.network].setdefault((cell.question.name, name), []).append(value)

    for cell in cells:
        if row := known.get(cell.key):
            tell(cell, {name: row[name] for name in cell.question.figures}, row["failed"] or "")
    for cell, answer in answers([cell for cell in cells if cell.key not in known]):
        held.add([row_of(space, cell, by_name[cell.network], {**answer.figures, **answer.words})])
        tell(cell, answer.figures, answer.failed)
    return told


def _known(held: Dataset) -> Mapping[str, Mapping[str, Any]]:
    """Return what other searches and sweeps of the folder have found, by the keys of their cells."""
    rows = held.table(["key", "question", "failed", *FIGURES]).to_pylist()
    return {row["key"]: row for row in rows if row["question"] != COST.name}


def _numbers(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the numbers of an answer; a training that broke names nothing rightly."""
    for name, value in found.items():
        if name in ("test_error", "train_error") and value is None:
            yield name, WORST
        elif isinstance(value, int | float):
            yield name, float(value)


def _values(goals: Sequence[Goal], one: Drawn, told: Told) -> tuple[float, ...] | None:
    """Return the objectives of a network, means over the seeds; None where one is missing or no finite number."""
    costs: Told = {("cost", name): [float(value)] for name, value in costs_of(one.found).items() if name != "failed"}
    found = []
    for goal in goals:
        several = {**costs, **told}.get(goal)
        if not several:
            return None
        value = float(np.mean(several))
        found.append(abs(float(np.log10(value))) if goal[1] == "first_to_last" and value > 0 else value)
    return tuple(found) if np.isfinite(found).all() else None
