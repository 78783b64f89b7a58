"""What the modules of a model hold: parameters, frozen ones apart, and buffers; in bytes of their own types.

>>> layer = torch.nn.BatchNorm2d(8, dtype=torch.float64)
>>> layer.weight.requires_grad = False
>>> Holdings(layer).take(layer)
Held(params=16, trainable=8, param_bytes=128, buffer_bytes=136)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

_CSR = ("crow_indices", "col_indices", "values")
_CSC = ("ccol_indices", "row_indices", "values")
SPARSE: Mapping[torch.layout, tuple[str, ...]] = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: _CSR,
    torch.sparse_bsr: _CSR,
    torch.sparse_csc: _CSC,
    torch.sparse_bsc: _CSC,
}
"""What tensors of each sparse layout are stored as."""


PLAIN = (Tensor, nn.Parameter)


class Held(NamedTuple):
    """Elements of parameters, and bytes."""

    params: int = 0
    trainable: int = 0
    param_bytes: int = 0
    buffer_bytes: int = 0


NOTHING = Held()


def total(parts: Iterable[Held]) -> Held:
    """All of them together."""
    return Held(*map(sum, zip(Held(), *parts, strict=True)))


def bytes_of(tensor: Tensor) -> int:
    """Of its elements in their own type; of a tensor made of others (sparse, quantised), those of its parts."""
    if type(tensor) in PLAIN and tensor.layout is torch.strided:
        return tensor.nbytes
    if is_traceable_wrapper_subclass(tensor):
        names, _ = tensor.__tensor_flatten__()
        return sum(bytes_of(getattr(tensor, name)) for name in names)
    if tensor.layout in SPARSE:
        parts = (getattr(tensor, name) for name in SPARSE[tensor.layout])
        return sum(bytes_of(part() if callable(part) else part) for part in parts)
    return tensor.numel() * tensor.element_size()


class Holdings:
    """What was held before the forward ran, each tensor to be taken once.

    While it runs another tensor may stand in the place of one; a lazy one is known only afterwards.
    """

    def __init__(self, model: nn.Module) -> None:
        self._entries = {id(module): list(_entries(module)) for module in model.modules()}
        self._taken: set[int] = set()

    def take(self, module: nn.Module) -> Held:
        """Of the module's own tensors, without its children's, those that no module has taken before."""
        found: list[Held] = []
        if not self._entries.get(id(module)):
            return NOTHING
        for entry in self._entries[id(module)]:
            held = entry.held or _held(vars(module)[entry.table].get(entry.name), entry.table)
            if held and entry.identity not in self._taken:
                self._taken.add(entry.identity)
                found.append(held)
        return total(found) if found else NOTHING


class _Entry(NamedTuple):
    table: str
    name: str
    identity: int
    held: Held | None
    """None of a lazy tensor."""


def _entries(module: nn.Module) -> Iterator[_Entry]:
    for table in ("_parameters", "_buffers"):
        for name, tensor in vars(module)[table].items():
            if tensor is not None:
                yield _Entry(table, name, id(tensor), _held(tensor, table))


def _held(tensor: Tensor | None, table: str) -> Held | None:
    if tensor is None or is_lazy(tensor):
        return None
    if table == "_buffers":
        return Held(buffer_bytes=bytes_of(tensor))
    return Held(tensor.numel(), tensor.numel() if tensor.requires_grad else 0, bytes_of(tensor))
