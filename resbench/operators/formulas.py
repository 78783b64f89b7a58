"""Formulas come from outside too: a user's, for operators of their own, and those of torch's own counter.

A formula is called as the operator was, with its result as ``out``. It returns MACs, or MACs and elementwise
operations, and comes before a rule of ours. A package that brings operators names the module that gives their
formulas in the entry point group ``resbench.formulas``; it is imported when something is first counted.

>>> import torch
>>> @formula("mine::scan")
... def scanned(x, weight, *, out):
...     return x.numel() * weight.shape[0]
>>> given(torch.ops.aten.mm.default) is None
True
>>> del FORMULAS["mine::scan"]
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from resbench.arch.kinds import Kind
from resbench.errors import OptionError, TraceError, first_line
from resbench.operators.rules import CountedOperator, Work

GROUP = "resbench.formulas"

Formula = Callable[..., int | tuple[int, int]]
"""It goes from what an operator is called with, and ``out``, to MACs, or to MACs and elementwise operations."""

FORMULAS: dict[str, Formula] = {}
"""They go by the name of the operator, ``library::name``."""


def formula(operator: Any) -> Callable[[Formula], Formula]:
    """Decorate a function as the formula of an operator: ``torch.ops.mine.scan``, or ``"mine::scan"`` by name."""
    name = operator if isinstance(operator, str) else _name(operator)
    library, separator, rest = name.partition("::")
    if not (library and separator and rest):
        raise OptionError(f'expected an operator (torch.ops.mine.scan) or its name ("mine::scan"), received {name!r}')
    if _taken_apart(name):
        raise OptionError(
            f"expected an operator that torch runs, received {name}: torch takes it apart, so that a formula of it "
            "would never count; give those of what it calls"
        )

    def register(function: Formula) -> Formula:
        FORMULAS[name] = function
        return function

    return register


def _name(operator: Any) -> str:
    """Give ``mine::scan``, of the operator, an overload of it, or what ``torch.library.custom_op`` gives."""
    overload = getattr(operator, "_opoverload", operator)
    packet = getattr(overload, "overloadpacket", overload)
    return str(getattr(packet, "_qualified_op_name", operator))


def _taken_apart(name: str) -> bool:
    """Tell whether it is made of others, as ``aten::linear`` is. Of one that is not defined yet nobody knows."""
    try:
        return bool(torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd"))
    except RuntimeError:
        return False


def given(func: Any) -> CountedOperator | None:
    """Find the user's formula for an overload, if there is one."""
    _load()
    if not FORMULAS:
        return None
    function = FORMULAS.get(func.overloadpacket._qualified_op_name)
    return _operator(func, function) if function else None


def of_torch(func: Any) -> CountedOperator | None:
    """Find the formula of ``torch.utils.flop_counter``: its own, or one of ``register_flop_formula``."""
    flops = flop_registry.get(func.overloadpacket)
    if flops is None:
        return None

    def macs(*args: Any, out: Any, **kwargs: Any) -> int:
        return int(flops(*args, **kwargs, out_val=out)) // 2

    return _operator(func, macs)


@cache
def _load() -> None:
    """Import what the installed packages bring."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            raise OptionError(
                f"entry point {point.name} = {point.value} of {GROUP} failed: {type(error).__name__}: "
                f"{first_line(error)}; correct it, or uninstall what brings it"
            ) from error


def _operator(func: Any, function: Formula) -> CountedOperator:
    """Count an operator by a formula; where that fails or gives no counts, one line names the operator."""
    packet = func.overloadpacket
    name = packet.__name__

    def rule(args: tuple[Any, ...], out: Any, /, **kwargs: Any) -> Work:
        try:
            work = function(*args, **kwargs, out=out)
        except Exception as error:
            raise TraceError(f"the formula of {packet} failed: {type(error).__name__}: {first_line(error)}") from error
        both = work if isinstance(work, tuple) else (work, 0)
        if len(both) != 2 or any(type(count) is not int or count < 0 for count in both):
            expected = "MACs, or MACs and elementwise operations, in whole numbers"
            raise TraceError(f"the formula of {packet}: expected {expected}, received {work!r}")
        return both

    kind: Kind = "attention" if "attention" in name else "convolution" if "conv" in name else "matrix product"
    title = "".join(word.capitalize() for word in name.split("_"))
    return CountedOperator(rule, name.strip("_"), title, kind, own=True)
