"""A sweep asks what costs nothing of every network that it draws, and keeps a row of each.

    space, seed -> names, in an order -> figures -> rows of one dataset

What is drawn, and what is found of it, is a pure function of the space, the seed and the index: processes share the
indexes, and who goes on later draws the same networks again and asks for those alone that are not there yet.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache, partial
from hashlib import blake2b
from importlib.metadata import version
from itertools import chain, count, islice
from operator import itemgetter
from pathlib import Path
from typing import Any

from resbench.arch.acyclic import acyclic
from resbench.arch.catalog import Architecture
from resbench.errors import OptionError, ShapeError
from resbench.given import public
from resbench.progress import Progress, Step, silent
from resbench.sweeps.choices import Value, as_kind
from resbench.sweeps.dataset import opened
from resbench.sweeps.figures import Figures, figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.pool import pool
from resbench.sweeps.result import Plan, Spread, Sweep
from resbench.sweeps.space import MOST_DRAWS, Point, Space, firsts

CHUNK = 256
"""A process is given so many indexes at a time."""

TRIED = 200
"""A dry run costs so many networks, to say how long all of them take."""

COLUMNS: Mapping[str, type] = {
    "key": str,
    "network": str,
    "model": str,
    "question": str,
    "failed": str,
    "resbench": str,
}
"""Every row has these words, and then a column for each option of the space and each figure."""


@public
def sweep(
    space: str | Space,
    n: int = 500,
    *,
    folder: str | Path = "sweep",
    seed: int = 0,
    limits: Sequence[str] = (),
    grid: bool = False,
    processes: int = 1,
    merge: Sequence[str | Path] = (),
    progress: Progress = silent,
) -> Sweep:
    """Draw ``n`` networks of a space, each only once, and keep a row of figures of each in ``folder``.

    ``limits``: ``macs=50M:100M``, ``params=:1M``. ``grid``: all networks there are instead, or the first ``n`` of them.
    ``merge``: folders with sweeps of the same space, whose rows are taken first. The same call goes on where an earlier
    one ended, and a larger ``n`` or a wider space keeps what is there. Raises OptionError for a space without networks
    within the limits, OutputError for a folder that another sweep holds.
    """
    chosen, within, place = _chosen(space, n, limits), _limits(limits), Path(folder)
    begun = time.monotonic()
    facts = {"space": chosen.name}
    with opened(place, _columns(chosen), facts, [*map(Path, merge)]) as held, ExitStack() as stack:
        earlier, done, interrupted = 0, 0, False
        try:
            chunks = _enumerated(chosen, within) if grid else _drawn(chosen, seed, within, processes, stack)
            networks = islice(firsts(chain.from_iterable(chunks), itemgetter(0), None if grid else MOST_DRAWS), n)
            while batch := [_row(chosen, *found) for found in islice(networks, CHUNK)]:
                new = [row for row in batch if row["key"] not in held.keys]
                held.add(new)
                done, earlier = done + len(batch), earlier + len(batch) - len(new)
                progress(Step(f"{chosen.name}: {done:,} of {n:,} networks", f"{done:,} rows"), min(done / n, 1.0))
        except KeyboardInterrupt:
            interrupted = True
        table = held.table([*Figures._fields])
        return Sweep(
            space=chosen.name,
            folder=str(place),
            seed=seed,
            limits=tuple(str(one) for one in within),
            merged=held.merged,
            asked=n,
            networks=done,
            earlier=earlier,
            rows=table.num_rows,
            seconds=time.monotonic() - begun,
            spreads=_spreads(table),
            interrupted=interrupted,
        )


@public
def plan(space: str | Space, n: int = 500, *, seed: int = 0, limits: Sequence[str] = (), grid: bool = False) -> Plan:
    """Say what a sweep would do, from a few networks that are drawn and costed: cells, time, disk."""
    chosen, within = _chosen(space, n, limits), _limits(limits)
    begun, drawn = time.process_time(), 0
    fits = partial(_fits, within)
    names = list[str]()
    for one, *_ in islice(chosen.grid(fits) if grid else chosen.distinct(seed, fits), min(n, TRIED)):
        figures(one.body, one.input)
        names.append(one.name)
        drawn += 1
    each_s = (time.process_time() - begun) / max(drawn, 1)
    cells = min(n, chosen.size or n) if drawn == min(n, TRIED) else drawn
    each_bytes = 20 + 8 * len(Figures._fields) + sum(map(len, names)) / max(drawn, 1)
    return Plan(chosen.name, cells, chosen.size, cells * each_s, round(cells * each_bytes), tuple(names[:5]))


Found = tuple[str, str, Mapping[str, Value], Figures | str]
"""A network's name, its line of the space and its values, and its figures or the reason why it has none."""


def _drawn(space: Space, seed: int, limits: Sequence[Limit], processes: int, stack: ExitStack) -> Iterator[list[Found]]:
    """Yield chunk after chunk of draws, without end; several processes work ahead of who reads."""
    work = partial(_chunk, space, seed, tuple(limits))
    starts = count(0, CHUNK)
    if processes == 1:
        yield from map(work, starts)
        return
    shared = stack.enter_context(pool(processes))
    ahead: list[Future[list[Found]]] = [shared.submit(work, next(starts)) for _ in range(2 * processes)]
    while True:
        yield ahead.pop(0).result()
        ahead.append(shared.submit(work, next(starts)))


@acyclic
def _chunk(space: Space, seed: int, limits: tuple[Limit, ...], start: int) -> list[Found]:
    """Draw networks of some indexes, and find their figures."""
    fits = partial(_fits, limits)
    return [_found(space.drawn(seed, index, fits)) for index in range(start, start + CHUNK)]


def _enumerated(space: Space, limits: Sequence[Limit]) -> Iterator[list[Found]]:
    """Yield chunk after chunk of all networks there are."""
    every = space.grid(partial(_fits, tuple(limits)))
    while chunk := [_found(one) for one in islice(every, CHUNK)]:
        yield chunk


def _found(point: Point) -> Found:
    """Find the figures of a network; an input that it uses up is its reason for having none."""
    one, model, values = point
    try:
        return one.name, model, values, figures(one.body, one.input)
    except ShapeError as error:
        return one.name, model, values, str(error)


def _fits(limits: Sequence[Limit], one: Architecture) -> bool:
    """Tell whether a network is within the limits. Raises ShapeError where its input does not fit."""
    if not limits:
        return True
    found = figures(one.body, one.input)
    return all(limit.holds(getattr(found, limit.figure)) for limit in limits)


def _row(space: Space, name: str, model: str, values: Mapping[str, Value], found: Figures | str) -> dict[str, Any]:
    """Make the row of a network; its key is a pure function of what was asked of which network."""
    figures_of = found._asdict() if isinstance(found, Figures) else {"failed": found}
    drawn = {f"option_{key}": as_kind(value, space.kinds[key]) for key, value in values.items()}
    key = blake2b(f"cost {name}".encode(), digest_size=12).hexdigest()
    return {
        "key": key,
        "network": name,
        "model": model,
        "question": "cost",
        "resbench": _version(),
        **drawn,
        **figures_of,
    }


@cache
def _version() -> str:
    return version("resbench")


def _columns(space: Space) -> dict[str, type]:
    """Say the columns of a space's rows and their types."""
    options = {f"option_{key}": kind for key, kind in space.kinds.items()}
    return {**dict.fromkeys(COLUMNS, str), **options, **dict.fromkeys(Figures._fields, int)}


def _spreads(table: Any) -> tuple[Spread, ...]:
    """Say how each figure is spread over the rows."""
    import numpy as np

    found = []
    for name in Figures._fields:
        values = table[name].drop_null().to_numpy()
        if len(values):
            found.append(Spread(name, *map(float, np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))))
    return tuple(found)


def _chosen(space: str | Space, n: int, limits: Sequence[str]) -> Space:
    """Check what is asked for. Raises OptionError."""
    if type(n) is not int or n < 1:
        raise OptionError(f"expected at least one network, received n of {n!r}")
    return Space.of(space) if isinstance(space, str) else space


def _limits(texts: Sequence[str]) -> list[Limit]:
    return [Limit.read(text) for text in texts]
