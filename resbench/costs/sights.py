"""Each result of an operator sees positions of others, and of the network's input, which its storage tells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from resbench.arch.dimensions import Unclear, image, plain
from resbench.arch.windows import INPUT, Sight, Window, behind
from resbench.costs.layouts import Layout, Look, look
from resbench.costs.positions import Call, seen
from resbench.restoring.holders import storage


def storage_of(tensor: Tensor) -> int:
    """Tell a storage from others; a sparse tensor has none, and is told by itself."""
    return storage(tensor) or id(tensor)


LookAt = tuple[Any, Window | None, bool]
"""What an operator made, or None for the network's input, is seen through this window; and whether as a gate."""


class Sights:
    """The contents of each storage lie along the axes of the network's input, and see positions of it."""

    def __init__(self) -> None:
        self.axes = 0
        self._layouts: dict[int, Layout | None] = {}
        self._inputs: list[Tensor] = []

    def receive(self, inputs: Any) -> None:
        """Take the first tensor for the network's input, whose dimensions behind batch and channels are its axes, and
        others of the same sides for more channels of it."""
        tensors = [leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)]
        self._inputs = [one for one in tensors if one.dim() > 1 and one.shape[2:] == tensors[0].shape[2:]]
        self.axes = max(tensors[0].dim() - 2, 0) if tensors else 0
        for one in self._inputs if self.axes else ():
            self._layouts[storage_of(one)] = Layout.of(one, image(one.shape))

    def of(
        self,
        func: Any,
        args: Any,
        kwargs: Mapping[str, Any],
        operands: Sequence[Tensor],
        results: Sequence[Tensor],
        made: Mapping[int, Any],
    ) -> list[LookAt]:
        """Tell what the results of an operator see, and note how they lie. ``made``: what made each storage."""
        if not self.axes or not operands:
            return []
        sources = [one for one in operands if self._known(one, made)]
        call = Call(func, args, kwargs, results[0], lambda tensor: self._look(tensor, made), self.axes)
        try:
            found = seen(call, sources)
            looks = [
                (made.get(storage_of(x)), behind(window, self._look(x, made).window), gate)
                for x, window, gate in found.operands
                if self._known(x, made)
            ]
        except Unclear:
            self._lie(results, None)
            return [(made.get(storage_of(x)), None, False) for x in sources]
        self._lie(results, found.dimensions)
        return looks

    def shown(self, tensors: Iterable[Tensor], made: Mapping[int, Any]) -> tuple[Sight, ...]:
        """Tell what these tensors show of what rows, or the network's input, gave."""
        found = []
        for x in filter(lambda tensor: self._known(tensor, made), tensors):
            source = made.get(storage_of(x))
            try:
                window: Window | None = self._look(x, made).window
            except Unclear:
                window = None
            found += [sight.seen_through(window) for sight in (source.sees if source else (Sight(INPUT),))]
        return tuple(dict.fromkeys(found))

    def give(self, tensor: Tensor, made: Mapping[int, Any]) -> None:
        """Note that a row gives on a tensor as it came: its positions are those of the row."""
        try:
            self._lie([tensor], self._look(tensor, made).dimensions)
        except Unclear:
            self._lie([tensor], None)

    def _known(self, tensor: Tensor, made: Mapping[int, Any]) -> bool:
        """Whether a row made it, or it is the network's input: a parameter has no positions."""
        return storage_of(tensor) in made or self._is_input(tensor)

    def _is_input(self, tensor: Tensor) -> bool:
        return any(storage_of(tensor) == storage_of(one) for one in self._inputs)

    def _look(self, tensor: Tensor, made: Mapping[int, Any]) -> Look:
        source = made.get(storage_of(tensor))
        if not self._known(tensor, made) or (source and not source.sees and not source.looks):
            return Look(plain(tensor.shape))  # of parameters alone, or made of none
        found = look(self._layouts.get(storage_of(tensor)), tensor, self.axes)
        if found is None:
            raise Unclear
        return found

    def _lie(self, results: Sequence[Tensor], dimensions: Any) -> None:
        """Note how the results lie in their storages; where one fills only a part of what was there, or has no
        storage of its own, nobody knows."""
        for i, one in enumerate(results):
            if not storage(one):  # sparse: nobody sees how it lies
                self._layouts[storage_of(one)] = None
                continue
            same = dimensions is not None and tuple(one.shape) == tuple(results[0].shape)
            own = dimensions if same or i == 0 else None
            if one.numel() * one.element_size() < one.untyped_storage().nbytes() and storage_of(one) in self._layouts:
                own = None
            self._layouts[storage_of(one)] = None if own is None else Layout.of(one, own)
