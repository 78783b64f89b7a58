"""The order in which tensors die tells the most that a run holds at one time. Numbers are bytes.

Weights, inputs and an optimiser's state are there all the time, and are not in it. ``sizes`` are those of each row's
output. What is written in place, and another look at what is there, takes no memory: ``Hold.room`` says where it lies.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from resbench.arch.rows import Cost, Hold, Row

Sizes = Sequence[int]


def most_in_forward(cost: Cost, sizes: Sizes) -> int:
    """An output lives until its last reader ran and its caller let go of it."""
    return max(_forward(cost.layers, holds(cost), sizes, {}), default=0)


def most_in_training(cost: Cost, sizes: Sizes, weights: Sizes) -> int:
    """What is kept lives until the gradients of the first row that keeps it are made; the gradient of an output from
    those of its last reader to its own; that of weights (``weights``: of each row) from its making on."""
    rows, held = cost.layers, holds(cost)
    kept = {place: keeper for keeper, row in reversed([*enumerate(rows)]) for place in row.keeps}
    return max((*_forward(rows, held, sizes, kept), *_backward(rows, held, sizes, weights, kept)), default=0)


def holds(cost: Cost) -> Sequence[Hold]:
    """Say how outputs are held, as the trace saw it. In a fold the caller of a level holds what flows into that until
    the level is through; what layers might write in place counts as new."""
    ends: dict[str, int] = {}
    for place, row in enumerate(cost.layers):
        ends |= dict.fromkeys(_levels(row.name), place)
    until = list(range(len(cost.layers)))
    for row in cost.layers if not cost.held else ():
        for read in row.reads:
            entered = _levels(row.name) - _levels(cost.layers[read].name)
            until[read] = max(until[read], *(ends[level] for level in entered), 0)
    return cost.held or [Hold(place, last) for place, last in enumerate(until)]


def _levels(name: str) -> set[str]:
    """Give the levels in which a row stands: ``layer1`` and ``layer1.0`` of ``layer1.0.conv1``."""
    steps = name.split(".")
    return {".".join(steps[:depth]) for depth in range(1, len(steps))}


def _forward(rows: Sequence[Row], held_so: Sequence[Hold], sizes: Sizes, kept: Mapping[int, int]) -> Iterator[int]:
    """Tell what is held while each row runs; ``kept``: the outputs that are kept for a backward pass, if there is one.

    What an in-place operator overwrites and yet has to keep it copies before: two outputs in one place are kept twice.
    """
    rooms, until = [hold.room for hold in held_so], [hold.until for hold in held_so]
    for place, row in enumerate(rows):
        for read in row.reads:
            until[rooms[read]] = max(until[rooms[read]], place)
    ends = defaultdict[int, list[int]](list)
    for room in set(rooms):
        ends[until[room]].append(room)
    alive, saved = Counter[int](), Counter[int]()
    held = 0
    for place, row in enumerate(rows):
        room = rooms[place]
        held -= max(alive[room], saved[room])
        alive[room] = alive[room] if room < place else sizes[place]
        saved[room] += sizes[place] if place in kept else 0
        held += max(alive[room], saved[room]) + (row.kept_bytes if kept else 0)
        yield held + held_so[place].passing_bytes
        for over in ends[place]:
            held -= max(alive.pop(over, 0) - saved[over], 0)


def _backward(
    rows: Sequence[Row], held_so: Sequence[Hold], sizes: Sizes, weights: Sizes, kept: Mapping[int, int]
) -> Iterator[int]:
    """Tell what is held while the gradients of each row are made, the last row first.

    A product needs as much as its output again, where a gradient is summed up for an operand that is broadcast.
    """
    learned: list[bool] = []
    for row, own in zip(rows, weights, strict=True):
        learned.append(own > 0 or any(learned[read] for read in row.reads))
    read = {place for row in rows for place in row.reads}
    gradients = Gradients()
    again = [hold.room != place for place, hold in enumerate(held_so)]  # written in place, or another look at it
    for place, row in enumerate(rows):
        if learned[place] and place not in read and not (row.kind == "rearrangement" and again[place]):
            gradients.of[place] = gradients.new(sizes[place])
    freed = Counter[int]()
    for place, keeper in kept.items():
        freed[keeper] += sizes[place]
    held = freed.total() + sum(row.kept_bytes for row in rows)
    for place, row in reversed([*enumerate(rows)]):
        held += weights[place]
        most = gradients.total
        if place in gradients.of:
            passes = row.kind in ("sum", "concatenation") or (row.kind == "dropout" and again[place])
            most = gradients.give(place, [(read, sizes[read]) for read in row.reads if learned[read]], passes)
        yield held + most + (sizes[place] if row.kind == "product" else 0)
        held -= freed[place] + row.kept_bytes


class Gradients:
    """The gradients of outputs lie in buffers, which several may share: a sum hands its own to all that it adds."""

    def __init__(self) -> None:
        self.of: dict[int, int] = {}
        """The gradient of the output at each place lies in the buffer of this number."""
        self.total = 0
        self._sizes: list[int] = []
        self._users: list[int] = []

    def new(self, size: int) -> int:
        """Take a buffer."""
        self._sizes.append(size)
        self._users.append(1)
        self.total += size
        return len(self._sizes) - 1

    def give(self, place: int, reads: Iterable[tuple[int, int]], passes: bool) -> int:
        """Make the gradients of what a row reads (places and sizes) from its own, or pass that on; then it is no longer
        needed. Returns the most that was held meanwhile."""
        own = self.of.pop(place)
        most = self.total
        for read, size in reads:
            made = self._shared(own) if passes and self._sizes[own] >= size else self.new(size)
            most = max(most, self.total)
            before = self.of.get(read)
            if before is None:
                self.of[read] = made
                continue
            into = next((one for one in (before, made) if self._users[one] == 1 and self._sizes[one] == size), None)
            self.of[read] = self.new(size) if into is None else into  # added in place where nobody else has it
            most = max(most, self.total)
            for one in (before, made):
                if one != into:
                    self._drop(one)
        self._drop(own)
        return most

    def _shared(self, buffer: int) -> int:
        self._users[buffer] += 1
        return buffer

    def _drop(self, buffer: int) -> None:
        self._users[buffer] -= 1
        if not self._users[buffer]:
            self.total -= self._sizes[buffer]
