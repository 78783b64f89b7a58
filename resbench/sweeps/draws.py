"""Networks are drawn and costed: wave after wave of draws, in one process or in several, and in one order.

space, seed --draw--> waves --made--> networks or reasons --in the order of their indexes--> networks, each once

A draw takes microseconds, and what is made of it fifty times as long: every draw is here, and is made only once.
"""

import gc
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from itertools import chain, count, islice
from typing import NamedTuple

from resbench.arch.acyclic import acyclic, resting
from resbench.arch.catalog import Architecture
from resbench.errors import ArchitectureError, OptionError, ShapeError, SourceError
from resbench.sweeps.choices import Value
from resbench.sweeps.figures import Figures, figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.pool import PATIENCE_S, Crew, died_twice, ends_after
from resbench.sweeps.space import MOST_DRAWS, Draw, Networks, Point, Space

CHUNK = 256
"""A process is given so many networks at a time, at most; and a sweep as many."""

FIRST, MOST = 16, 8 * CHUNK
"""So many indexes are looked at before the first has its network: one more with each that has, up to the most."""

MOST_KNOWN = 2**17
"""Of so many draws at most it is known what came of them: one that comes again is not made again."""


class Drawn(NamedTuple):
    """A network was drawn, and costed."""

    name: str
    model: str
    """This is its line of the space."""
    values: Mapping[str, Value]
    found: Figures | str
    """These are its figures, or the reason why it has none."""


Make = Callable[[Sequence[Draw]], list[Drawn | str]]
"""It makes networks of draws, or says why there is none."""

Send = Callable[[Sequence[Draw]], Callable[[], list[Drawn | str]]]
"""It has networks made, and gives what waits for them."""


def draws(
    space: Space, n: int, seed: int, limits: Sequence[Limit], grid: bool, processes: int
) -> Iterator[list[Drawn]]:
    """Yield n networks or all there are, each only once, batch by batch. Raises OptionError where there are none.

    Python does not look for garbage meanwhile: it would search all values that are known, again after every batch.
    """
    with resting(), ExitStack() as stack:
        make: Make = partial(_made, space, tuple(limits))
        if processes == 1:
            waves = _Waves(space, seed, grid, lambda new: partial(make, new), 1)
        else:
            crew = stack.enter_context(Crew(processes))
            waves = _Waves(space, seed, grid, partial(_sent, crew, make, partial(_died, space)), 2 * processes)
        found = islice(waves.networks(), n)
        while batch := [*islice(found, CHUNK)]:
            yield batch


class _Try(NamedTuple):
    """This is drawn for a place in the order, so many draws of which gave no network."""

    place: int
    attempt: int
    draw: Draw


class _Waves:
    """Draws go out in waves; where no network came of one, its index is in a later wave again."""

    def __init__(self, space: Space, seed: int, grid: bool, send: Send, ahead: int) -> None:
        self.space, self.seed, self.grid, self.send, self.ahead = space, seed, grid, send, ahead
        self.firsts = space.combined() if grid else (space.draw(seed, index, 0) for index in count())
        self.begun, self.told, self.window = 0, 0, FIRST
        self.again = deque[_Try]()
        self.sent = deque[tuple[list[_Try], list[Draw], Callable[[], list[Drawn | str]]]]()
        self.known = dict[Draw, str]()
        """This is why no network came of a draw; empty where one did, or where that is not known yet."""
        self.fresh = dict[Draw, Drawn]()
        """These came, and nobody has been told."""
        self.settled = dict[int, Draw | OptionError | None]()
        """An index has the draw of which its network came, or the error of too many; of a grid perhaps nothing came."""

    def networks(self) -> Iterator[Drawn]:
        """Yield each network the first time that it comes, until no others come. Raises OptionError where none does."""
        names, since = set[str](), 0
        for draw in self._settled():
            if isinstance(draw, OptionError):
                if names:
                    return
                raise draw
            one = self.fresh.pop(draw, None) if draw else None
            since += 1
            if one and one.name not in names:
                names.add(one.name)
                since = 0
                yield one
            elif since >= MOST_DRAWS and not self.grid:
                return
        if not names:  # of a grid all combinations were tried
            why = next(filter(None, reversed(self.known.values())), "")
            raise self.space.empty(why, f"all {self.told:,} combinations")

    def _settled(self) -> Iterator[Draw | OptionError | None]:
        """Yield the draw of which the network of each index came, in their order, or why none did."""
        while True:
            while len(self.sent) < self.ahead and (wave := [*islice(self._tries(), CHUNK)]):
                new = [*dict.fromkeys(one.draw for one in wave if one.draw not in self.known)]
                for one in wave:  # what was asked for last is forgotten last, so never while it is on its way
                    self.known[one.draw] = self.known.pop(one.draw, "")
                self.sent.append((wave, new, self.send(new)))
            if not self.sent:
                return
            self._receive(*self.sent.popleft())
            while self.told in self.settled:
                yield self.settled.pop(self.told)
                self.told += 1
                self.window = min(self.window + 1, MOST * self.ahead)

    def _tries(self) -> Iterator[_Try]:
        """Yield what is to be sent: what is drawn again, and then new indexes while there is room."""
        while self.again:
            yield self.again.popleft()
        while self.begun < self.told + self.window and (draw := next(self.firsts, None)):
            self.begun += 1
            yield _Try(self.begun - 1, 0, draw)

    def _receive(self, wave: list[_Try], new: list[Draw], made: Callable[[], list[Drawn | str]]) -> None:
        """Take what came of a wave."""
        for draw, found in zip(new, made(), strict=True):
            if isinstance(found, str):
                self.known[draw] = found
            else:
                self.fresh[draw] = found
        for place, attempt, draw in wave:
            if not (why := self.known[draw]) or self.grid:
                self.settled[place] = None if why else draw
            elif attempt + 1 < MOST_DRAWS:
                self.again.append(_Try(place, attempt + 1, self.space.draw(self.seed, place, attempt + 1)))
            else:
                self.settled[place] = self.space.empty(why)
        most = max(MOST_KNOWN, 2 * CHUNK * self.ahead)
        for old in [*islice(self.known, max(0, len(self.known) - most))]:
            del self.known[old]


def _sent(
    crew: Crew, make: Make, died: Callable[[Draw], Drawn], drawn: Sequence[Draw]
) -> Callable[[], list[Drawn | str]]:
    """Have networks made by the processes; one by one, where one of them has died meanwhile."""
    waiting = crew.begun(partial(_made_there, make, PATIENCE_S), drawn)

    def received() -> list[Drawn | str]:
        try:
            return waiting.result()
        except BrokenProcessPool:
            return _one_by_one(make, died, drawn)

    return received


def _one_by_one(make: Make, died: Callable[[Draw], Drawn], drawn: Sequence[Draw]) -> list[Drawn | str]:
    """Have networks made by a process that may die of one of them, which has no figures then."""

    def none(given: Sequence[Draw]) -> list[Drawn | str]:
        return [died(*given)]

    with Crew(1) as crew:
        each = crew.each(partial(_made_there, make, PATIENCE_S), [(one,) for one in drawn], none)
        found = dict(each)
    return [*chain.from_iterable(found[(one,)] for one in drawn)]


def _died(space: Space, draw: Draw) -> Drawn:
    """Say that the process died in which a network was made."""
    line, values = space.values(draw)
    return Drawn(line.text(values), line.model, values, died_twice("made", PATIENCE_S))


def _made_there(make: Make, patience_s: float, drawn: Sequence[Draw]) -> list[Drawn | str]:
    """Make networks in a process of their own, which never looks again for garbage in what it then knows, and ends
    where one hangs."""
    with ends_after(patience_s):
        found = make(drawn)
    gc.freeze()
    return found


@acyclic
def _made(space: Space, limits: tuple[Limit, ...], drawn: Sequence[Draw]) -> list[Drawn | str]:
    """Make networks of draws, and find their figures; or say why there is none."""

    return [tried(*space.values(draw), limits) for draw in drawn]


def tried(line: Networks, values: Mapping[str, Value], limits: Sequence[Limit]) -> Drawn | str:
    """Make the network of a line and values, and find its figures; or say why there is none to be had.

    A network is there, without figures, where it uses up its input or a file's function fails: a sweep that drew others
    in place of these would hide them.
    """
    try:
        one = line.built(values)
        fits = within(limits, one)
    except (ArchitectureError, ShapeError) as error:
        return str(error)
    except SourceError as error:
        return Drawn(line.text(values), line.model, values, str(error))
    return costed(Point(one, line.model, values)) if fits else f"{one.name} is outside of the limits"


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
