"""The MACs of one operator as it runs, forward or backward; or that nobody has a formula for it.

Forward, an operator without a rule is not known: it may be all products. Backward, the gradient of an operator that
takes no MACs takes none either (a window, a mean, a function of each element have gradients of their own sort), and
torch's own formulas are read.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from resbench.measure.operators import operator_of

PRODUCTS = frozenset(("convolution", "linear", "matrix product", "attention"))
"""Kinds of operators that take MACs."""

GATHERED = frozenset(("embedding_dense_backward", "_embedding_bag_dense_backward"))
"""Gradients that are added up where they belong, under a name that is not their operator's."""


def macs_of(func: Any, args: Any, kwargs: Any, out: Any, phase: str) -> int | None:
    """Of one call of an overload in a phase of a run; None where there is no formula."""
    operator = operator_of(func)
    if operator:
        return operator.rule(args, out)[0] if operator.type else 0
    if phase == "forward":
        return None
    formula = flop_registry.get(_like(func))
    if formula:
        return int(formula(*args, **kwargs, out_val=out)) // 2
    return 0 if _is_gradient_without_products(func) else None


def _like(func: Any) -> Any:
    """The operator whose formula of torch's is meant: the CPU's fused attention is left out of its table."""
    name = func.overloadpacket._qualified_op_name
    fused = name.startswith("aten::_scaled_dot_product_") and name.endswith("_backward")
    return torch.ops.aten._scaled_dot_product_flash_attention_backward if fused else func.overloadpacket


def _is_gradient_without_products(func: Any) -> bool:
    """Whether it is the backward of an ATen operator that is known, and of no kind that takes MACs."""
    library, _, name = func.overloadpacket._qualified_op_name.rpartition("::")
    forward, found, _ = name.partition("_backward")
    if library != "aten" or not found:
        return False
    packets = [getattr(torch.ops.aten, name, None) for name in (forward, f"{forward}_forward")]
    known = [operator_of(getattr(packet, packet.overloads()[0])) for packet in packets if packet]
    return name in GATHERED or any(operator and operator.kind not in PRODUCTS for operator in known)
