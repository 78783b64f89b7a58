"""One operator takes MACs as it runs, forward or backward; or nobody has a formula for it.

Forward, an operator without a rule is not known: it may be all products. Backward, the gradient of an operator that
takes no MACs takes none either: a window, a mean, a function of each element have gradients of their own sort.
"""

from collections.abc import Mapping
from typing import Any

import torch

from resbench.operators.dispatch import operator_of
from resbench.operators.rules import MAC_KINDS, REAL_PRODUCTS

OUTER = frozenset(("MvBackward0", "AddmvBackward0", "DotBackward0", "VdotBackward0"))
"""These nodes multiply without adding: the gradient of a matrix is the product of a column and a row."""

GATHERED = frozenset(("embedding_dense_backward", "_embedding_bag_dense_backward"))
"""These gradients are added up where they belong, under a name that is not their operator's."""


def macs_of(
    func: Any, args: Any, kwargs: Mapping[str, Any] | None, out: Any, *, backward: bool = False, node: Any = None
) -> int | None:
    """Count one call of an overload; None without a formula. ``node`` is of the backward graph, if one runs it."""
    if node is not None and node.name() in OUTER and func.overloadpacket is torch.ops.aten.mul:
        return int(out.numel()) * (REAL_PRODUCTS if out.is_complex() else 1)
    operator = operator_of(func)
    if operator:
        return operator.work(args, out, kwargs)[0] if operator.type else 0
    return 0 if backward and _is_gradient_without_products(func) else None


def _is_gradient_without_products(func: Any) -> bool:
    """Tell whether it is the backward of an ATen operator that is known, and of no kind that takes MACs."""
    library, _, name = func.overloadpacket._qualified_op_name.rpartition("::")
    forward, found, _ = name.partition("_backward")
    if library != "aten" or not found:
        return False
    packets = [getattr(torch.ops.aten, name, None) for name in (forward, f"{forward}_forward")]
    known = [operator_of(getattr(packet, packet.overloads()[0])) for packet in packets if packet]
    return name in GATHERED or any(operator and operator.kind not in MAC_KINDS for operator in known)
