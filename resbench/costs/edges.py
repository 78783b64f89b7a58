"""Storages tell which operator made what another reads, and its kind what its gradients need of that.

A row of a trace takes its edges from the operators that ran in it: it reads the rows whose operators made what its own
read. A view shares its storage with what it looks at, and so needs no following.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, NamedTuple
from weakref import finalize

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from resbench.arch.kinds import BILINEAR, KINDS, Kind
from resbench.arch.windows import INPUT, Sight, multiplied
from resbench.costs.holdings import bytes_of
from resbench.costs.sights import LookAt, Sights, storage_of
from resbench.restoring.holders import storage


class Edges(NamedTuple):
    """A row reads and keeps these: they are the fields of ``Row`` of these names."""

    reads: tuple[int, ...] = ()
    keeps: tuple[int, ...] = ()
    kept_bytes: int = 0
    sees: tuple[Sight, ...] = ()


@dataclass(slots=True, eq=False)
class Life:
    """Memory is held from the operator that took it to the last one before it was given back."""

    nbytes: int
    born: int
    died: int | None = None
    place: int | None = None
    """The row at this place took it."""


@dataclass(slots=True, eq=False)
class Made:
    """An operator made this result; once rows stand for it, it is known by their places."""

    kind: Kind
    learned: bool
    places: tuple[int, ...] = ()
    reads: "Sequence[Made]" = ()
    keeps: "Sequence[Made]" = ()
    """Its gradients are computed from these results, its own perhaps among them."""
    nbytes: int = 0
    further_bytes: int = 0
    life: Life | None = None
    step: int = 0
    looks: "Sequence[LookAt]" = ()
    """Its positions see what other operators made, and the network's input."""
    sees: tuple[Sight, ...] = ()
    """They see these positions of rows, once those in front stand for what they gave."""

    def resolve(self) -> None:
        """Find which rows its positions see, once it is known of all that it looks at."""
        found = [
            sight.seen_through(window, gate)
            for source, window, gate in self.looks
            for sight in (source.sees if source else (Sight(INPUT),))
        ]
        self.sees = multiplied(found) if self.kind == "product" else tuple(dict.fromkeys(found))
        self.looks = ()

    def become(self, place: int) -> None:
        """Know it by the row at this place, which gives it."""
        self.stand_for((place,))
        self.sees, self.looks = (Sight(place),), ()

    def stand_for(self, places: Iterable[int]) -> None:
        """Know it by rows from now on, and forget what it read, or all of a run would stay."""
        self.places, self.reads, self.keeps = tuple(places), (), ()
        if self.life and self.life.place is None and self.places:
            self.life.place = self.places[0]


class Origins:
    """The contents of each storage were made by the last operator that wrote there."""

    def __init__(self) -> None:
        self.made: dict[int, Made] = {}
        self.step = 0
        """So many operators ran."""
        self.lives: list[Life] = []
        self._living: dict[int, Life] = {}
        self.sights = Sights()

    def of(self, tensors: Iterable[Tensor]) -> list[Made]:
        """Find what made these tensors, each once; nothing here made parameters and inputs."""
        found = (self.made.get(storage_of(tensor)) for tensor in tensors)
        return list(dict.fromkeys(made for made in found if made))

    def note(
        self, kind: Kind, args: Any, out: Any, writes: bool, func: Any = None, kwargs: Mapping[str, Any] | None = None
    ) -> Made | None:
        """Note what an operator made; a view makes nothing. ``writes``: it writes into an argument."""
        self.step += 1
        operands, results = _tensors(args), _tensors(out)
        storages = [storage_of(tensor) for tensor in operands]
        if not results or (kind == "rearrangement" and not writes and storage_of(results[0]) in storages):
            return None
        if len(operands) < 2 and kind in ("sum", "product"):
            kind = "scaling"
        sources = [self.made.get(storage) for storage in storages]
        learned = [
            x.requires_grad or bool(source and source.learned) for x, source in zip(operands, sources, strict=True)
        ]
        reads = [source for source in sources if source]
        made = Made(kind, any(learned), reads=reads, nbytes=bytes_of(results[0]), step=self.step)
        made.looks = self.sights.of(func, args, kwargs or {}, operands, results, self.made)
        if made.learned:
            made.keeps = [*_needed(kind, sources, learned), *((made,) if KINDS[kind].output else ())]
            # statistics of a batch are two numbers a channel, and left out; indices and those of a sample are more
            made.further_bytes = sum(bytes_of(result) for result in results[1:] if result.dim() > 1)
        for result in results:
            if storage_of(result) not in storages:
                self._begin(result)
            self.made[storage_of(result)] = made
            if isinstance(result, nn.Parameter):  # one that is given its first values
                del self.made[storage_of(result)]
        made.life = self._living.get(storage_of(results[0]))
        return made

    def _begin(self, tensor: Tensor) -> None:
        """Watch over memory that an operator took, until it is given back."""
        address = storage(tensor)
        if address and not isinstance(tensor, nn.Parameter):
            life = self._living[address] = Life(bytes_of(tensor), self.step)
            self.lives.append(life)
            finalize(tensor.untyped_storage(), self._end, address, life).atexit = False

    def _end(self, address: int, life: Life) -> None:
        life.died = self.step
        if self._living.get(address) is life:
            del self._living[address]

    def passing(self, since: int) -> int:
        """Find how much more than is left of it was held at one time of what operators took behind this step."""
        recent = list(takewhile(lambda life: life.born > since, reversed(self.lives)))
        held = [
            sum(x.nbytes for x in recent if x.born <= now <= (x.died or self.step)) for now in {x.born for x in recent}
        ]
        return max(held, default=0) - sum(x.nbytes for x in recent if x.died is None)

    def pass_on(self, tensors: Iterable[Tensor], place: int) -> None:
        """Take tensors that a row gives on as they came, as dropout does at inference, for its own from here on."""
        for tensor in tensors:
            before = self.made.get(storage_of(tensor))
            learned = bool(before and before.learned)
            life = before.life if before else None
            made = Made("rearrangement", learned, (place,), nbytes=bytes_of(tensor), life=life)
            made.become(place)
            self.sights.give(tensor, self.made)
            self.made[storage_of(tensor)] = made


def _needed(kind: Kind, sources: Sequence[Made | None], learned: list[bool]) -> list[Made]:
    """Find the operands that gradients are computed from; ``learned``: whether each has a gradient of its own."""
    if not KINDS[kind].input:
        return []
    needed = [True, *learned[1:]]
    if kind in BILINEAR:
        needed = [any(learned[:i] + learned[i + 1 :]) for i in range(len(learned))]
    return [source for source, needs in zip(sources, needed, strict=True) if source and source.nbytes and needs]


def fuse(weights: Made) -> None:
    """Take an attention that torch takes apart on the meta device for the one operator that it runs elsewhere, which
    keeps queries, keys and values as they came, and no weights. ``weights``: their softmax."""
    scores = weights
    while scores.kind != "matrix product" and scores.reads:
        scores = scores.reads[0]
    scores.keeps = [source for scaled in scores.reads for source in _before_scaling(scaled)]
    weights.keeps, weights.nbytes = (), 0


def _before_scaling(scaled: Made) -> Sequence[Made]:
    """Find what was scaled, and perhaps copied then, to give this."""
    step = scaled
    while step.kind == "rearrangement" and step.reads:
        step = step.reads[0]
    return step.reads if step.kind == "scaling" else [scaled]


def edges(ran: Collection[Made], given: Collection[Made], place: int) -> Edges:
    """Draw the edges of the row at this place, in which these ran, and which gives the results of some."""
    needed = {kept for made in ran for kept in made.keeps}
    within = [kept for kept in needed if not kept.places and kept not in given]
    keeps = {before for kept in needed - set(within) for before in kept.places or (place,)}
    between = sum(kept.nbytes for kept in within) + sum(made.further_bytes for made in ran)
    sees = tuple(dict.fromkeys(sight for made in given for sight in made.sees))
    return Edges(places(source for made in ran for source in made.reads), tuple(sorted(keeps)), between, sees)


def room(given: Iterable[Made], place: int) -> int:
    """Find the row that took the memory in which lies what this one gives."""
    taken = [made.life.place for made in given if made.life and made.life.place is not None]
    return taken[0] if taken else place


def places(sources: Iterable[Made]) -> tuple[int, ...]:
    """Find the places of the rows that stand for these results, ascending."""
    return tuple(sorted({place for source in sources for place in source.places}))


def _tensors(values: Any) -> list[Tensor]:
    """Find the tensors among these values, and in the lists among them."""
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
