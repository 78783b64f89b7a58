"""Networks are drawn and costed: chunk after chunk of indexes, in one process or in several, and in one order.

space, seed, limits --indexes--> chunks --firsts--> networks, each once
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from itertools import chain, count, islice
from operator import attrgetter
from typing import NamedTuple

from resbench.arch.acyclic import acyclic, resting
from resbench.arch.catalog import Architecture
from resbench.errors import ShapeError
from resbench.sweeps.choices import Value
from resbench.sweeps.figures import Figures, figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.pool import pool
from resbench.sweeps.space import MOST_DRAWS, Point, Space, firsts

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


@acyclic
def _chunk(space: Space, seed: int, limits: tuple[Limit, ...], start: int) -> list[Drawn]:
    """Draw networks of some indexes, and find their figures."""
    fits = partial(within, limits)
    return [_costed(space.drawn(seed, index, fits)) for index in range(start, start + CHUNK)]


def _enumerated(space: Space, limits: Sequence[Limit]) -> Iterator[list[Drawn]]:
    """Yield chunk after chunk of all networks there are."""
    every = space.grid(partial(within, tuple(limits)))
    while chunk := [_costed(one) for one in islice(every, CHUNK)]:
        yield chunk


def _costed(point: Point) -> Drawn:
    """Find the figures of a network; an input that it uses up is its reason for having none."""
    one, model, values = point
    try:
        return Drawn(one.name, model, values, figures(one.body, one.input))
    except ShapeError as error:
        return Drawn(one.name, model, values, str(error))


def within(limits: Sequence[Limit], one: Architecture) -> bool:
    """Tell whether a network is within the limits. Raises ShapeError where its input does not fit."""
    if not limits:
        return True
    found = figures(one.body, one.input)
    return all(limit.holds(getattr(found, limit.figure)) for limit in limits)
