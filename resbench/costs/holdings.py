"""The modules of a model hold parameters, frozen ones apart, and buffers; bytes are those of their own types.

>>> layer = torch.nn.BatchNorm2d(8, dtype=torch.float64)
>>> layer.weight.requires_grad = False
>>> Holdings(layer).take(layer)
Held(params=16, trainable=8, param_bytes=128, buffer_bytes=136)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from resbench.restoring.holders import parts_of

_CSR = ("crow_indices", "col_indices", "values")
_CSC = ("ccol_indices", "row_indices", "values")
SPARSE: Mapping[torch.layout, tuple[str, ...]] = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: _CSR,
    torch.sparse_bsr: _CSR,
    torch.sparse_csc: _CSC,
    torch.sparse_bsc: _CSC,
}
"""Tensors of each sparse layout are stored as these."""


TABLES = ("_parameters", "_buffers")

PLAIN = (Tensor, nn.Parameter)


class Held(NamedTuple):
    """A module holds so many elements of parameters, and so many bytes."""

    params: int = 0
    trainable: int = 0
    param_bytes: int = 0
    buffer_bytes: int = 0


NOTHING = Held()


def total(parts: Iterable[Held]) -> Held:
    """Sum what several tensors or modules hold."""
    return Held(*map(sum, zip(Held(), *parts, strict=True)))


def bytes_of(tensor: Tensor) -> int:
    """Count the bytes of the elements in their own type; a tensor of others (sparse, quantised) has its parts'."""
    if type(tensor) in PLAIN and tensor.layout is torch.strided:
        return tensor.nbytes
    if is_traceable_wrapper_subclass(tensor):
        return sum(map(bytes_of, parts_of(tensor)))
    if tensor.layout in SPARSE:
        parts = (getattr(tensor, name) for name in SPARSE[tensor.layout])
        return sum(bytes_of(part() if callable(part) else part) for part in parts)
    return tensor.numel() * tensor.element_size()


class Holdings:
    """A model held tensors before the forward ran, and the forward made some; each is to be taken once.

    While it runs another tensor may stand in the place of one; a lazy one is known only afterwards. ``made`` is told
    of each parameter that its module did not hold before: the module, its name there and its identity.
    """

    def __init__(self, model: nn.Module, made: Callable[[nn.Module, str, int], object] = lambda *_: None) -> None:
        self._made = made
        self._modules = {id(module) for module in model.modules()}
        self._entries = {
            (id(module), table, name): (id(tensor), _held(tensor, table))
            for module in model.modules()
            for table, name, tensor in _own(module)
        }
        """Each tensor stands here by its module, table and name: its identity, and what it holds."""
        self._originals = {
            **{path: id(tensor) for path, tensor in model.named_parameters(remove_duplicate=False)},
            **{path: id(tensor) for path, tensor in model.named_buffers(remove_duplicate=False)},
        }
        self._identities: dict[int, int] = {}
        self._taken: set[int] = set()
        self._alive: list[Tensor] = []
        """These were made and may be dropped: nothing else is to take their identity."""

    def stand_for(self, stand_ins: Mapping[str, Tensor]) -> None:
        """Take these from now on for what they stand for, by their paths."""
        self._identities = {id(tensor): self._originals[path] for path, tensor in stand_ins.items()}

    def knows(self, module: nn.Module) -> bool:
        """Tell whether it was there before the forward ran."""
        return id(module) in self._modules

    def take(self, module: nn.Module) -> Held:
        """Take the module's own tensors, without its children's, that no module has taken before."""
        found = list[Held]()
        for table, name, tensor in _own(module):
            entry = self._entries.get((id(module), table, name))
            identity, held = entry or (self._identities.get(id(tensor), id(tensor)), None)
            held = held or _held(tensor, table)
            if held is None or identity in self._taken:
                continue
            self._taken.add(identity)
            found.append(held)
            if entry is None:
                self._alive.append(tensor)
                if table == "_parameters":
                    self._made(module, name, identity)
        return total(found) if found else NOTHING


def _own(module: nn.Module) -> Iterator[tuple[str, str, Tensor]]:
    """List the tensors of a module itself, each behind its table and its name there."""
    for table in TABLES:
        for name, tensor in vars(module)[table].items():
            if tensor is not None:
                yield table, name, tensor


def _held(tensor: Tensor, table: str) -> Held | None:
    """Tell what a tensor of a table holds; None of a lazy one."""
    if is_lazy(tensor):
        return None
    if table == "_buffers":
        return Held(buffer_bytes=bytes_of(tensor))
    return Held(tensor.numel(), tensor.numel() if tensor.requires_grad else 0, bytes_of(tensor))


def kept_at(owner: nn.Module, module: nn.Module, prefix: str = "") -> str | None:
    """Find where an owner keeps a module that was made while it ran; None where it does not.

    The path leads below the owner: to a registered module, or into an attribute, a list or a dictionary.
    """
    places: list[tuple[str, nn.Module]] = list(owner.named_modules(prefix=prefix))
    for path, one in places:
        if one is module:
            return path
    for path, one in places:
        for steps, thing in _attributes(one):
            if thing is module:
                return ".".join(map(str, (path, *steps) if path else steps))
    return None


def _attributes(module: nn.Module) -> Iterator[tuple[tuple[object, ...], object]]:
    """List what its attributes and the containers among them hold, by the steps that lead there."""
    for name, value in vars(module).items():
        yield (name,), value
        if isinstance(value, dict):
            yield from (((name, key), entry) for key, entry in value.items())
        elif isinstance(value, (list, tuple)):
            yield from (((name, at), entry) for at, entry in enumerate(value))
