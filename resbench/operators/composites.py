"""torch makes some operators of others: ``matmul``, ``conv2d``, ``lstm``.

Whoever follows a forward sees the parts. In ``torch.inference_mode`` torch shows the whole instead, of which there is
no rule; then it is taken apart here.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from resbench.operators.dispatch import operator_of


def by_parts(mode: TorchDispatchMode, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> Any:
    """Run an operator's parts, each seen by the mode; NotImplemented where it is none to be taken apart."""
    if not _is_without_rule(func):
        return NotImplemented
    with mode:
        return func.decompose(*args, **(kwargs or {}))


@cache
def _is_without_rule(func: Any) -> bool:
    """Tell whether it is made of others, and only they can be counted."""
    return bool(func._can_decompose()) and operator_of(func) is None
