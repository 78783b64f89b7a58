"""What every module computes and moves in one run, forward and backward, and what it keeps in between.

Each operator reads its tensors once and writes its result once: the least that it can move. Views move nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from resbench.measure.boundaries import LEAVE, Modules, sequence_number
from resbench.measure.operators import operator_of
from resbench.measure.workload import Workload


class Work(NamedTuple):
    """Multiply-accumulates, and bytes read and written."""

    macs: int = 0
    bytes: int = 0


@dataclass
class Traffic:
    """Work by module number."""

    forward: defaultdict[int, Work] = field(default_factory=lambda: defaultdict(Work))
    backward: defaultdict[int, Work] = field(default_factory=lambda: defaultdict(Work))
    callers: set[int] = field(default_factory=lambda: {0})
    """Modules that call others."""


def traffic(work: Workload, modules: Modules) -> tuple[Traffic, Counter[int]]:
    """Run once and book every operator on the module that is open; and the bytes that each keeps for backward."""
    counts, saved = Traffic(), Counter[int]()
    phases = [phase for _, phase in work.phases]
    stack = [0]
    boundaries = [(sequence_number(), 0)]

    def pass_on(number: int) -> None:
        if number == LEAVE:
            stack.pop()
        else:
            counts.callers.add(stack[-1])
            stack.append(number)
        boundaries.append((sequence_number(), stack[-1]))

    held = {tensor.untyped_storage().data_ptr() for tensor in (*work.model.parameters(), *work.model.buffers())}
    held |= {tensor.untyped_storage().data_ptr() for tensor in work.inputs}
    kept: list[Tensor] = []  # so that no storage is taken for another that came to lie in its place

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            held.add(storage.data_ptr())
            kept.append(tensor.detach())
            saved[stack[-1]] += storage.nbytes()
        return tensor

    keeping = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with modules.watched(pass_on), keeping, _Booking(counts.forward, stack, forward=True):
        phases[0]()
    if work.loss is not None:

        def reach(number: int) -> None:
            stack[-1] = number

        modules.watch_backward(work.loss, boundaries, reach)
        with _Booking(counts.backward, stack, forward=False):
            phases[1]()
        for phase in phases[2:]:
            phase()
    return counts, saved


class _Booking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Books each operator's MACs and bytes on the module on top of the stack."""

    def __init__(self, books: defaultdict[int, Work], stack: list[int], *, forward: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.books, self.stack, self.forward = books, stack, forward

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        macs, moved = self._macs(func, args, kwargs or {}, out), 0
        if not _moves_nothing(func):
            read = {id(t): t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
            tensors = [*read.values(), *(t for t in tree_leaves(out) if isinstance(t, Tensor))]
            moved = sum(t.numel() * t.element_size() for t in tensors)
        before = self.books[self.stack[-1]]
        self.books[self.stack[-1]] = Work(before.macs + macs, before.bytes + moved)
        return out

    def _macs(self, func: Any, args: Any, kwargs: Any, out: Any) -> int:
        if self.forward:
            operator = operator_of(func)
            return operator.rule(args, out)[0] if operator and operator.type else 0
        formula = flop_registry.get(func.overloadpacket)
        return int(formula(*args, **kwargs, out_val=out)) // 2 if formula else 0


ALLOCATIONS = frozenset(("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach"))


def _moves_nothing(func: Any) -> bool:
    """A view, or memory taken and not yet written."""
    returns = func._schema.returns
    view = bool(returns) and returns[0].alias_info is not None and not returns[0].alias_info.is_write
    return view or func.overloadpacket._qualified_op_name.rpartition("::")[2] in ALLOCATIONS
