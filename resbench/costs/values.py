"""Integers among the inputs get values that the model can take: below the size of the embedding that they feed.

>>> net = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 2))
>>> (ids,) = with_integers(net, (torch.empty(2, 100, dtype=torch.int64, device="meta"),))
>>> int(ids.min()), int(ids.max())
(0, 6)
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from resbench.networks.arguments import Called
from resbench.restoring.unchanged import unchanged
from resbench.workers.compiled import as_written
from resbench.workers.workload import drawn

aten = torch.ops.aten

TABLES = (aten.embedding.default, aten._embedding_bag.default, aten._embedding_bag_forward_only.default)
"""These look rows up in a table, their first argument, by the integers that are their second."""

SAME_VALUES = (aten._to_copy, aten.clone, aten.copy_, aten.cat, aten.masked_fill, aten.masked_fill_, aten.slice_scatter)
"""What these give holds the integers that they took. A view of them has their storage."""


def with_integers(model: nn.Module, called: Called) -> Called:
    """Draw every integer among the inputs that has no value yet below the smallest table that it is looked up in.

    The forward runs once for that, on the meta device where it can; without integers it does not run. What is looked up
    nowhere, and in a model that does not run, is left without values.
    """
    wanted = [leaf for leaf in tree_leaves(called) if isinstance(leaf, Tensor) and leaf.is_meta and _is_integer(leaf)]
    if not wanted:
        return called
    sizes = table_sizes(model, called)

    def filled(tensor: Tensor) -> Tensor:
        place = next((i for i, one in enumerate(wanted) if one is tensor), None)
        size = None if place is None else sizes.get(place)
        return tensor if size is None else drawn(tuple(tensor.shape), "cpu", tensor.dtype, size)

    found: Called = tree_map_only(Tensor, filled, called)
    return found


def table_sizes(model: nn.Module, called: Called) -> dict[int, int]:
    """Find, for every integer without values by its place among them, the smallest table that it is looked up in."""
    held = [*model.named_parameters(), *model.named_buffers()]
    if any(is_lazy(tensor) for _, tensor in held):
        return {}
    meta = {path: torch.empty_like(tensor, device="meta") for path, tensor in held if not tensor.is_meta}
    attempts: list[tuple[Any, Any, Callable[[Tensor], Tensor]]] = [
        (_reparametrize_module(model, meta, tie_weights=True), torch.device("meta"), _on_meta)
    ]
    if len(meta) == len(held):
        device = str(held[0][1].device) if held else "cpu"
        attempts.append((nullcontext(), nullcontext(), partial(_lowest, device=device)))
    for weights, default_device, given in attempts:
        real = isinstance(weights, nullcontext)
        with unchanged(model, contents=real), torch.no_grad(), as_written(), suppress(Exception):
            for module in model.modules():
                module.training = False
            kept = tree_map_only(Tensor, given, called)
            lookups = _Lookups()
            lookups.follow(called, kept)
            with weights, default_device, lookups:
                model(**kept) if isinstance(kept, dict) else model(*kept)
            return dict(lookups.sizes)
    return {}


def _on_meta(tensor: Tensor) -> Tensor:
    """Make a copy without values, which has a storage of its own."""
    return torch.empty_like(tensor, device="meta")


def _lowest(tensor: Tensor, device: str) -> Tensor:
    """Give values that every table has, zeros of integers, where there are none."""
    if not tensor.is_meta:
        return tensor.detach().to(device, copy=True)
    return drawn(tuple(tensor.shape), device, tensor.dtype, 1 if _is_integer(tensor) else None)


def _is_integer(tensor: Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool)


class _Lookups(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """It follows integers by the storages that they lie in, and notes the tables that they are looked up in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.places: defaultdict[int, set[int]] = defaultdict(set)
        self.alive: list[Tensor] = []
        self.sizes: dict[int, int] = {}

    def follow(self, called: Called, kept: Any) -> None:
        """Begin with the integers without values, each by its place among them."""
        pairs = zip(tree_leaves(called), tree_leaves(kept), strict=True)
        wanted = [own for one, own in pairs if isinstance(one, Tensor) and one.is_meta and _is_integer(one)]
        for place, tensor in enumerate(wanted):
            self._hold(tensor, {place})

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in TABLES:
            self._note(args[1], args[0].shape[0])
        elif func is aten.index.Tensor:
            for dim, index in enumerate(args[1]):
                if index is not None:
                    self._note(index, args[0].shape[dim])
        elif func is aten.index_select.default:
            self._note(args[2], args[0].shape[args[1]])
        elif func.overloadpacket in SAME_VALUES and isinstance(out, Tensor) and _is_integer(out):
            tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
            self._hold(out, set().union(*(self._of(tensor) for tensor in tensors)))
        return out

    def _of(self, tensor: Tensor) -> set[int]:
        return self.places.get(tensor.untyped_storage()._cdata, set())

    def _hold(self, tensor: Tensor, places: set[int]) -> None:
        if places:
            self.alive.append(tensor)  # or its storage's address would be another's
            self.places[tensor.untyped_storage()._cdata] |= places

    def _note(self, index: Tensor, size: int) -> None:
        for place in self._of(index):
            self.sizes[place] = min(size, self.sizes.get(place, size))
