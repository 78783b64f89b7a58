"""A rule says how an operator is counted; these need no more than a size.

Rules are functions of shapes; which operator has which stands in ``resbench.operators.dispatch``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from resbench.arch.kinds import Kind

Work = tuple[int, int]
"""Work is MACs, and elementwise operations."""

Rule = Callable[[tuple[Any, ...], Any], Work]
"""A rule gives the work from an operator's positional arguments and its output."""

MAC_KINDS: tuple[Kind, ...] = ("convolution", "linear", "matrix product", "attention")
"""The work of these kinds of operator is MACs."""

REAL_PRODUCTS = 4
"""One complex product is so many real ones. (A complex number times a real one is two real products, and torch has
no operator that multiplies the two.)"""


def larger_branch(works: Sequence[Work]) -> int:
    """Tell which branch counts where a graph branches: the one of the most MACs, of equals the one of the most
    elementwise operations, of equals the first."""
    return max(range(len(works)), key=lambda i: (works[i], -i))


class CountedOperator(NamedTuple):
    """An operator is counted by this rule, and its row is called by this name: ``layer1.0.add``, type ``Add``."""

    rule: Callable[..., Work]
    name: str
    type: str
    """It is empty for an operator that is free, which has no row."""
    kind: Kind = "unknown"
    total: str = ""
    """Its elementwise work is a part of the total of this name, where there is one: ``batch norm``, ..."""
    own: bool = False
    """It says that the rule is a formula from outside, which takes keyword arguments too, and whose word is final."""

    def work(self, args: tuple[Any, ...], out: Any, kwargs: Mapping[str, Any] | None = None) -> Work:
        """One call took so many MACs, of which a complex one is 4 real ones, and so many elementwise operations."""
        if self.own:
            return self.rule(args, out, **(kwargs or {}))
        macs, elementwise = self.rule(args, out)
        if macs and (out.is_complex() if isinstance(out, Tensor) else _is_complex(args)):
            macs *= REAL_PRODUCTS
        return macs, elementwise


def _is_complex(args: tuple[Any, ...]) -> bool:
    """Tell whether an operator's operands are complex, single ones or those of a list."""
    operands = (arg[0] if isinstance(arg, list) and arg else arg for arg in args)
    return any(isinstance(operand, Tensor) and operand.is_complex() for operand in operands)


def free(args: tuple[Any, ...], out: Any) -> Work:
    """It takes nothing."""
    return 0, 0


def per_output(operations: int) -> Rule:
    """It takes so many operations for each element of the result."""
    return lambda args, out: (0, operations * first(out).numel())


def per_input(args: tuple[Any, ...], out: Any) -> Work:
    """It takes one operation for each element that it reads."""
    return 0, args[0].numel()


def per_argument(index: int) -> Rule:
    """It takes one operation for each element of one argument, such as the values that are added into others."""
    return lambda args, out: (0, args[index].numel())


def first(out: Any) -> Tensor:
    """The first tensor of a result is what other operators read."""
    return out if isinstance(out, Tensor) else out[0]
