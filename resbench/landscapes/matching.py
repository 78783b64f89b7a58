"""The units of one network are brought into the order of another's (weight matching; Ainsworth et al. 2023, sec. 3.2).

    maximise over the orders of all groups   sum over tensors of <ours, theirs in that order>

Group by group, each by a linear assignment while the others stay, until none gains anything. That ends in a maximum
among many, so it is begun twice: with the orders as they are, and with each found from the input on, by tensors whose
other axes are in order already, which finds any order that was only exchanged. The better one is taken.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from resbench.landscapes.units import Axis, Group

SWEEPS = 50
"""It goes over all groups so often at most."""

Tensors = Mapping[str, Tensor]


def matched(ours: Tensors, theirs: Tensors, groups: Sequence[Group], judged: Collection[str]) -> dict[str, Tensor]:
    """Return their tensors with units in the order of ours; ``judged`` are the names of those that decide."""
    own = {name: ours[name].double() for name in judged}
    found = [_Matching(own, {name: tensor.double() for name, tensor in theirs.items()}, groups) for _ in range(2)]
    found[1].begin()
    for one in found:
        one.improve()
    best = max(found, key=lambda one: one.total())
    return {name: best.ordered(name, tensor) for name, tensor in theirs.items()}


class _Matching:
    """It holds an order for every group; ``source`` says where each position of an axis is taken from. The tensors of
    ours decide."""

    def __init__(self, ours: Tensors, theirs: Tensors, groups: Sequence[Group]) -> None:
        self.ours, self.theirs, self.groups = ours, theirs, groups
        self.orders = [torch.arange(group.size) for group in groups]
        self.axes: dict[str, set[int]] = {}
        for group in groups:
            for name, axis in group.places:
                self.axes.setdefault(name, set()).add(axis)
        self.source = {
            (name, axis): torch.arange(theirs[name].shape[axis]) for name, axes in self.axes.items() for axis in axes
        }

    def put(self, number: int, order: Tensor) -> None:
        """Let a group have this order."""
        self.orders[number] = order
        for axis, places in self.groups[number].places.items():
            self.source[axis][places.reshape(-1)] = places[order].reshape(-1)

    def ordered(self, name: str, tensor: Tensor, without: int = -1) -> Tensor:
        """Return a tensor of theirs in the orders found, along all axes but one."""
        for axis in self.axes.get(name, ()):
            if axis != without:
                tensor = tensor.index_select(axis, self.source[name, axis].to(tensor.device))
        return tensor

    def total(self, names: Collection[str] | None = None) -> float:
        """Return how alike the tensors are."""
        chosen = self.ours if names is None else [name for name in names if name in self.ours]
        return float(sum((self.ours[name] * self.ordered(name, self.theirs[name])).sum() for name in chosen))

    def best(self, number: int, known: Collection[Axis] | None = None) -> Tensor:
        """Find the best order of a group while the others stay; of ``known`` axes alone where that says anything."""
        group = self.groups[number]
        judged = [axis for axis in group.places if axis[0] in self.ours]
        if known is not None:
            judged = [(n, a) for n, a in judged if all((n, b) in known for b in self.axes[n] - {a})] or judged
        alike = torch.zeros(group.size, group.size, dtype=torch.float64)
        for name, axis in judged:
            rows = [
                tensor.movedim(axis, 0)[group.places[name, axis].to(tensor.device)].reshape(group.size, -1)
                for tensor in (self.ours[name], self.ordered(name, self.theirs[name], axis))
            ]
            alike += (rows[0] @ rows[1].T).cpu()
        return torch.from_numpy(linear_sum_assignment(alike.numpy(), maximize=True)[1])

    def begin(self) -> None:
        """Give each group an order from the input on."""
        known: set[Axis] = set()
        for number, group in enumerate(self.groups):
            self.put(number, self.best(number, known))
            known |= {*group.places}

    def improve(self) -> None:
        """Go over all groups until none gains anything."""
        for _ in range(SWEEPS):
            gained = False
            for number, group in enumerate(self.groups):
                names = {name for name, _ in group.places}
                before, order = self.total(names), self.orders[number]
                self.put(number, self.best(number))
                if self.total(names) > before + 1e-9 * abs(before):
                    gained = True
                else:
                    self.put(number, order)
            if not gained:
                return
