"""Networks are drawn and costed: chunk after chunk of indexes, in one process or in several, and in one order.

space, seed, limits --indexes--> chunks --firsts--> networks, each once
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache, partial
from itertools import chain, count, islice
from operator import attrgetter
from typing import Any, NamedTuple

from resbench.arch.acyclic import acyclic, resting
from resbench.arch.catalog import Architecture
from resbench.errors import ArchitectureError, ShapeError
from resbench.sweeps.choices import Value
from resbench.sweeps.figures import Figures, figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.pool import pool
from resbench.sweeps.space import MOST_DRAWS, Networks, Point, Space, firsts

CHUNK = 256
"""A process is given so many indexes at a time."""


class Drawn(NamedTuple):
    """A network was drawn, and costed."""

    name: str
    model: str
    """This is its line of the space."""
    values: Mapping[str, Value]
    found: Figures | str
    """These are its figures, or the reason why it has none."""

    @property
    def macs(self) -> int:
        return self.found.macs if isinstance(self.found, Figures) else 0


def draws(
    space: Space, n: int, seed: int, limits: Sequence[Limit], grid: bool, processes: int
) -> Iterator[list[Drawn]]:
    """Yield n networks or all there are, each only once, batch by batch. Raises OptionError where there are none.

    Python does not look for garbage meanwhile: it would search all values that are known, again after every chunk.
    """
    with resting(), ExitStack() as stack:
        chunks = _enumerated(space, limits) if grid else _drawn(space, seed, limits, processes, stack)
        found = firsts(chain.from_iterable(chunks), attrgetter("name"), None if grid else MOST_DRAWS)
        left = islice(found, n)
        stack.callback(_known.cache_clear)
        while batch := [*islice(left, CHUNK)]:
            yield batch


def _drawn(space: Space, seed: int, limits: Sequence[Limit], processes: int, stack: ExitStack) -> Iterator[list[Drawn]]:
    """Yield chunk after chunk of draws, without end; several processes work ahead of who reads."""
    work = partial(_chunk, space, seed, tuple(limits))
    starts = count(0, CHUNK)
    if processes == 1:
        yield from map(work, starts)
        return
    shared = stack.enter_context(pool(processes))
    ahead: list[Future[list[Drawn]]] = [shared.submit(work, next(starts)) for _ in range(2 * processes)]
    while True:
        yield ahead.pop(0).result()
        ahead.append(shared.submit(work, next(starts)))


MOST_KNOWN = 2**17
"""Of so many values at most it is known what comes of them."""

Known = dict[tuple[Any, ...], Drawn | str]


@cache
def _known(space: str, limits: tuple[Limit, ...]) -> Known:
    """Return what this process knows of a space: of values that come again nothing is built again."""
    return {}


@acyclic
def _chunk(space: Space, seed: int, limits: tuple[Limit, ...], start: int) -> list[Drawn]:
    """Draw networks of some indexes, and find their figures; one that came before has none, for nobody looks at it."""
    known = _known(space.name, limits)

    def made(line: Networks, values: Mapping[str, Value]) -> Drawn | str:
        key = (line.model, line.names, *values.values())
        found = known.get(key)
        if found is None:
            try:
                one = line.built(values)
                fits = within(limits, one)
                found = costed(Point(one, line.model, values)) if fits else f"{one.name} is outside of the limits"
            except (ArchitectureError, ShapeError) as error:
                found = str(error)
            if len(known) < MOST_KNOWN:
                known[key] = found._replace(values={}, found="") if isinstance(found, Drawn) else found
        return found

    return [space.first(seed, index, made) for index in range(start, start + CHUNK)]


def _enumerated(space: Space, limits: Sequence[Limit]) -> Iterator[list[Drawn]]:
    """Yield chunk after chunk of all networks there are."""
    every = space.grid(partial(within, tuple(limits)))
    while chunk := [costed(one) for one in islice(every, CHUNK)]:
        yield chunk


def costed(point: Point) -> Drawn:
    """Find the figures of a network; an input that it uses up is its reason for having none."""
    one, model, values = point
    try:
        found = figures(one.body, one.input)
    except ShapeError as error:
        return Drawn(one.name, model, values, str(error))
    large = next((name for name, value in found._asdict().items() if value >= 2**63), "")
    return Drawn(one.name, model, values, f"its {large} are 2**63 or more, which no column holds" if large else found)


def within(limits: Sequence[Limit], one: Architecture) -> bool:
    """Tell whether a network is within the limits. Raises ShapeError where its input does not fit."""
    if not limits:
        return True
    found = figures(one.body, one.input)
    return all(limit.holds(getattr(found, limit.figure)) for limit in limits)
