"""Control flow that is one operator of torch (``torch.cond``, ``while_loop``, ``scan``) runs as Python's own.

Torch hides what such an operator calls: a dispatch mode is refused or passed over, hooks of modules stay silent, and
weights that a branch only encloses lose their gradients where nothing is compiled. Here the operator is taken before
autograd, and what it calls is run as if the forward had written ``if``, ``while`` and ``for``.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch._C import DispatchKey
from torch._higher_order_ops import utils
from torch._ops import HigherOrderOperator
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

COMPILING = "_hop_compile_and_call"
"""This function of torch compiles an operator that runs outside of compiled code, and calls it."""

MADE_OF_OTHERS = ("map_impl", "associative_scan", "flex_attention", "hints_wrapper", "out_dtype")
"""Torch writes these in Python for a device that has no kernel of its own."""


class ControlFlow(TorchFunctionMode):
    """Control flow is run as it is written, on the values that there are; a subclass decides where there are none.

    Called outside of compiled code, torch compiles an operator before it gets here: that is left out meanwhile.
    """

    def __init__(self) -> None:
        super().__init__()
        self._compiling: list[Any] = []

    def __enter__(self) -> Self:
        self._compiling.append(vars(utils).get(COMPILING))
        if self._compiling[-1]:
            setattr(utils, COMPILING, _called)
        return super().__enter__()  # type: ignore[no-untyped-call,no-any-return]

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        if compiling := self._compiling.pop():
            setattr(utils, COMPILING, compiling)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        run = RUNS.get(func.__name__) if isinstance(func, HigherOrderOperator) else None
        if run is None:
            return func(*args, **(kwargs or {}))
        with self:  # what it calls may branch again
            return run(self, func, *args, **(kwargs or {}))

    def branch(self, condition: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]) -> Any:
        """Run one of two branches, that of true or that of false."""
        return branches[0 if condition else 1](*operands)

    def loop(self, goes_on: Callable[..., Any], body: Callable[..., Any], carried: Sequence[Any]) -> Any:
        """Run the body on what it gave, as long as the condition says so."""
        values = tuple(carried)
        while goes_on(*values):
            values = tuple(body(*values))
        return values


def _called(function: Callable[..., Any], args: Any, kwargs: Any = None) -> Any:
    return function(*args, **(kwargs or {}))


def is_hidden(func: Any) -> bool:
    """Tell whether it is an operator that calls others which nobody sees."""
    return isinstance(func, HigherOrderOperator)


def _cond(flow: ControlFlow, func: Any, condition: Any, true: Any, false: Any, operands: Sequence[Any] = ()) -> Any:
    return flow.branch(condition, (true, false), operands)


def _while_loop(
    flow: ControlFlow, func: Any, goes_on: Any, body: Any, carried: Any, more: Any = (), *rest: Any, **options: Any
) -> Any:
    return flow.loop(lambda *values: goes_on(*values, *more), lambda *values: body(*values, *more), carried)


def _scan(flow: ControlFlow, func: Any, combine: Any, init: Any, xs: Any, more: Any = ()) -> Any:
    """Carry some values along the first dimension of others; give the last ones carried, and the stacks of the rest."""
    carried, given = list(init), list[Any]()
    for i in range(xs[0].shape[0]):
        values = combine(*carried, *(x.select(0, i) for x in xs), *more)
        carried, rest = list(values[: len(init)]), values[len(init) :]
        given.append(rest)
    stacks = (None if column[0] is None else torch.stack(column) for column in zip(*given, strict=True))
    return (*carried, *stacks)


def _as_written(flow: ControlFlow, func: Any, *args: Any, **kwargs: Any) -> Any:
    return func.py_kernels[DispatchKey.CompositeExplicitAutograd](*args, **kwargs)


RUNS: dict[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "invoke_subgraph": lambda flow, func, body, name, *args: body(*args),
    "strict_mode": lambda flow, func, body, args: body(*args),
    **dict.fromkeys(MADE_OF_OTHERS, _as_written),
}
"""Each has a function that runs it: of the mode, the operator, and what it was called with."""


def values_known(*values: Any) -> bool:
    """Tell whether tensors among these have values to decide by."""
    return not any(isinstance(leaf, Tensor) and leaf.is_meta for leaf in tree_leaves(values))
