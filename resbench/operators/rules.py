"""How an operator is counted: what a rule is, and the rules that need no more than a size.

Rules are functions of shapes; which operator has which stands in ``resbench.operators.dispatch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

Work = tuple[int, int]
"""MACs, elementwise operations."""

Rule = Callable[[tuple[Any, ...], Any], Work]
"""From an operator's positional arguments and its output."""

CONVOLUTION, LINEAR, PRODUCT, ATTENTION = "convolution", "linear", "matrix product", "attention"

MAC_KINDS = (CONVOLUTION, LINEAR, PRODUCT, ATTENTION)
"""Kinds of operator whose work is MACs."""

REAL_PRODUCTS = 4
"""Real products that one complex product is. (A complex number times a real one is two real products, and torch has
no operator that multiplies the two.)"""


class Operator(NamedTuple):
    """How an operator is counted, and what its row is called: ``layer1.0.add``, type ``Add``."""

    rule: Callable[..., Work]
    name: str
    type: str
    """Empty for an operator that is free: it has no row."""
    kind: str = ""
    """Under which the totals of several operators are one: ``convolution``, ``batch norm``, ..."""
    own: bool = False
    """Whether the rule is a formula from outside: it takes keyword arguments too, and its word is final."""

    def work(self, args: tuple[Any, ...], out: Any, kwargs: Mapping[str, Any] | None = None) -> Work:
        """What one call took: MACs, of which a complex one is 4 real ones, and elementwise operations."""
        if self.own:
            return self.rule(args, out, **(kwargs or {}))
        macs, elementwise = self.rule(args, out)
        if macs and (out.is_complex() if isinstance(out, Tensor) else _is_complex(args)):
            macs *= REAL_PRODUCTS
        return macs, elementwise


def _is_complex(args: tuple[Any, ...]) -> bool:
    """Whether an operator's operands are complex, single ones or those of a list."""
    operands = (arg[0] if isinstance(arg, list) and arg else arg for arg in args)
    return any(isinstance(operand, Tensor) and operand.is_complex() for operand in operands)


def free(args: tuple[Any, ...], out: Any) -> Work:
    return 0, 0


def per_output(operations: int) -> Rule:
    return lambda args, out: (0, operations * first(out).numel())


def per_input(args: tuple[Any, ...], out: Any) -> Work:
    return 0, args[0].numel()


def per_argument(index: int) -> Rule:
    """One operation for each element of one argument, such as the values that are added into others."""
    return lambda args, out: (0, args[index].numel())


def first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]
