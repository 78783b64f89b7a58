"""The backward pass of a trace books the MACs of each gradient on the row whose forward asked for it.

A node of the backward graph carries a sequence number, and the trace wrote down how far that had come at the end of
each row. What a checkpoint runs again on the way counts here too, as work of the rows that it runs again.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from resbench.arch.rows import Row
from resbench.costs.outputs import tensors_in
from resbench.costs.tracer import Tracer
from resbench.operators.boundaries import current_node, sequence_number
from resbench.operators.dispatch import operator_of
from resbench.operators.macs import macs_of
from resbench.workers.control_flow import is_hidden


def with_backward(output: Any, rows: list[Row], tracer: Tracer) -> list[Row]:
    """Give the rows that ``tracer`` made with the MACs of their gradients; it is told of operators without a rule.

    The loss is the sum of all tensors in ``output``; where nobody sees into that, the MACs stay unknown.
    """
    tensors = tensors_in(output)
    if tensors is None:
        return rows
    roots = [tensor for tensor in tensors if tensor.requires_grad]
    booking = _BackwardBooking(rows, tracer)
    if roots:
        with (
            register_module_forward_pre_hook(booking.enter),
            register_module_forward_hook(booking.leave, always_call=True),
            booking,
        ):
            torch.autograd.backward(roots, [torch.ones_like(root) for root in roots])
    return [row._replace(backward_macs=macs) for row, macs in zip(rows, booking.macs, strict=True)]


class _BackwardBooking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Every operator of the backward pass is booked on a row."""

    supports_higher_order_operators = True

    def __init__(self, rows: Sequence[Row], tracer: Tracer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracer = tracer
        self.macs = [0] * len(rows)
        self.places = {row.name: place for place, row in reversed(list(enumerate(rows)))}
        self.ends, self.owners = [end for _, end in tracer.found], list(range(len(rows)))
        self.unseen = {place for place, row in enumerate(rows) if row.name in tracer.scripted}
        """What ran in these rows was not counted, and its gradients are not."""
        self.again: list[str] = []
        """A checkpoint is running these modules again, the innermost last."""

    def enter(self, module: nn.Module, args: Any) -> None:
        self.again.append(self.tracer.names.get(id(module)) or (self.again[-1] if self.again else ""))

    def leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self.again.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_hidden(func):
            self.tracer.not_counted(func.__name__)
            return func(*args, **(kwargs or {}))
        if func._schema.is_mutable:
            self.tracer.snapshot.writing(args, kwargs)
        out = func(*args, **(kwargs or {}))
        macs = macs_of(func, args, kwargs, out, backward=True, node=None if self.again else current_node())
        if macs is None:
            self.tracer.not_counted(str(func.overloadpacket))
        elif macs:
            owner = self._owner(func)
            self.macs[owner] += 0 if owner in self.unseen else self.tracer.whole.counted(macs, owner)
        return out

    def _owner(self, func: Any) -> int:
        """Find the row of what runs now."""
        if self.again:
            module, operator = self.again[-1], operator_of(func)
            label = f"{module}.{operator.name}" if operator and module else ""
            owner = self.places.get(module, self.places.get(label, len(self.macs) - 1))
            self.ends.append(sequence_number())  # a checkpoint may build a graph of its own, and go back through that
            self.owners.append(owner)
            return owner
        node = current_node()
        place = bisect_right(self.ends, node._sequence_nr()) if node is not None else len(self.ends)
        return self.owners[min(place, len(self.owners) - 1)]
