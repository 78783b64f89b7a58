"""fvcore counts one forward; this tells its counts by kind, and what it is known not to count.

fvcore (https://github.com/facebookresearch/fvcore) runs the model for real, reads the graph that torch.jit records of
it, and has formulas of its own. That graph lacks what nobody uses, and some operators have no formula or a narrow
one: those are fvcore's gaps, found in its graph and never guessed from a difference.
"""

import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from resbench.costs.values import with_integers
from resbench.errors import TraceError, first_line, foreign
from resbench.networks.arguments import Called, positional
from resbench.restoring.unchanged import unchanged
from resbench.workers.switches import unfused
from resbench.workers.workload import called_with

OPERATIONS = ("batch norm", "layer norm", "group norm", "adaptive pooling")
"""fvcore counts these as we do, besides the kinds that have MACs."""

NORMS = {
    "aten::batch_norm": "batch norm",
    "aten::instance_norm": "batch norm",
    "aten::layer_norm": "layer norm",
    "aten::group_norm": "group norm",
    "aten::adaptive_avg_pool2d": "adaptive pooling",
}
"""Operators of fvcore that are no products are of these kinds; an instance norm runs as a batch norm."""

PRODUCTS = ("aten::linear", "aten::addmm", "aten::mm", "aten::matmul", "aten::bmm", "aten::einsum")

PARTS_OF_NAMES = {
    "convolution": r"conv(?!ert)",
    "attention": r"attention",
    "recurrent": r"lstm|gru|rnn",
    "matrix product": (
        r"mm_?$|mm_activation|(^|_)(add)?mv_?$|(^|_|v|tensor|multi_)dot$|matmul|(?<!upsample)(^|_)(bi)?linear"
        r"|inner$|addr_?$|[cp]dist|matrix_power"
    ),
    "adaptive pooling": r"^adaptive_avg_pool1d$",  # torch runs it as the pooling of two dimensions
}
"""The first of these that is found tells an operator's kind; ``_convert`` and ``upsample_linear1d`` are none."""


class FvcoreGap(NamedTuple):
    """fvcore misses some of a kind, and why: ``fvcore {reason}`` is a sentence."""

    kind: str
    reason: str


@dataclass(frozen=True)
class FvcoreCounts:
    """fvcore found these counts by kind, and is known not to count some."""

    kinds: Mapping[str, int]
    gaps: Mapping[FvcoreGap, int]
    """Each concerns so many calls."""
    opaque: Mapping[str, int]
    """These operators, by their calls, may hold products of any kind: another's, a function, a recurrent layer."""
    slack: Mapping[str, int]
    """Rounding may have moved a kind by so much."""
    params: int
    """Those of layers that the forward made are among them."""

    def of(self, kinds: Sequence[str]) -> int | None:
        """Sum these kinds; None where fvcore misses some of one of them."""
        missed = {gap.kind for gap in self.gaps}
        return None if missed & set(kinds) else sum(self.kinds.get(kind, 0) for kind in kinds)


def fvcore_counts(module: nn.Module, inputs: Called, alive: bool = False) -> FvcoreCounts:
    """Let fvcore count one forward of the module in evaluation; ``alive``: together with what nobody uses.

    ``inputs``: a shape, or the arguments in their order or by name. fvcore fails on layers that a forward makes, and
    knows them in the next.
    The module is behind it what it was. Raises TraceError where it cannot run the model.
    """
    # the values with which the tracer runs for real: a branch on them is the same branch
    args, kwargs = called_with(with_integers(module, inputs), module, "cpu")
    module, arguments = positional(module, kwargs or args)
    with unchanged(module, arguments):
        before = len(list(module.modules()))
        try:
            return _analysed(module, arguments, alive)
        except TraceError:
            if before == len(list(module.modules())):
                raise
        return _analysed(module, arguments, alive)


def _analysed(module: nn.Module, inputs: tuple[Any, ...], alive: bool) -> FvcoreCounts:
    failed = foreign(TraceError, lambda e: f"fvcore could not run the model: {type(e).__name__}: {first_line(e)}")
    with failed, unfused(), warnings.catch_warnings(action="ignore"), torch.no_grad():
        from fvcore.nn import FlopCountAnalysis, parameter_count

        logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
        analysis: Any = FlopCountAnalysis(module.eval(), inputs)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        watch = _Watch(module)
        for name, formula in list(analysis._op_handles.items()):
            analysis.set_op_handle(name, watch.over(name, formula))
        with _alive(module) if alive else nullcontext():
            kinds = analysis.by_operator()
        watch.passed_over(analysis)
        params = int(parameter_count(module)[""])
    return FvcoreCounts(dict(kinds), watch.gaps, watch.opaque, watch.slack, params)


class _Results(TorchFunctionMode):
    """It keeps every tensor that a function of torch gives."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.layout is torch.strided and leaf.dtype.is_floating_point:
                self.tensors.append(leaf)
        return out


@contextmanager
def _alive(module: nn.Module) -> Iterator[None]:
    """Let the forward return all that it computes: torch.jit drops from its graph what leads to no output."""
    results = _Results()
    with results, module.register_forward_hook(lambda module, args, output: tuple(results.tensors)):
        yield


# -- formula by formula ----------------------------------------------------------------------------


class _Watch:
    """It stands before fvcore's formulas, classes each count by the module that ran, and finds what they miss."""

    def __init__(self, module: nn.Module) -> None:
        self.modules = dict(module.named_modules(remove_duplicate=False))
        self.gaps: Counter[FvcoreGap] = Counter()
        self.opaque: Counter[str] = Counter()
        self.slack: Counter[str] = Counter()

    def over(self, name: str, formula: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Counter[str]]:
        """Wrap fvcore's formula of an operator, so that it counts under our kind."""
        narrow = NARROW.get(name)

        def watched(inputs: Any, outputs: Any) -> Counter[str]:
            kind = self._kind(name, outputs[0])
            if kind is None:
                return Counter()
            try:
                found = formula(inputs, outputs)
                reason = (narrow(inputs, outputs) if narrow else "") or _complex((*inputs, *outputs))
            except Exception as error:
                found, reason = 0, f"fails in its formula for {name} ({type(error).__name__})"
            if reason:
                self.gaps[FvcoreGap(kind, reason)] += 1
            count = int(sum(found.values()) if isinstance(found, Counter) else found)
            self.slack[kind] += count // 1000 + 1 if name == "aten::einsum" else 0
            return Counter({kind: count})

        return watched

    def passed_over(self, analysis: Any) -> None:
        """Note the operators without a formula, where they are made of products."""
        everywhere = Counter(analysis.unsupported_ops())
        for path, module in self.modules.items():
            if isinstance(module, (nn.Linear, _ConvNd)) and path == analysis.canonical_module_name(path):
                inside = analysis.unsupported_ops(path)
                everywhere -= inside
                self._missed(inside, "linear" if isinstance(module, nn.Linear) else "convolution")
        self._missed(everywhere, "matrix product")

    def _missed(self, calls: Mapping[str, int], product: str) -> None:
        """Note operators without a formula; ``product`` is the kind of matrix products where they ran."""
        for name, times in sorted(calls.items()):
            space, _, plain = name.rpartition("::")
            found = next((kind for kind, part in PARTS_OF_NAMES.items() if re.search(part, plain)), None)
            if found == "recurrent" or (space != "aten" and found not in ("convolution", "attention")):
                self.opaque[name] += times
            elif found:
                missed = product if found == "matrix product" else found
                self.gaps[FvcoreGap(missed, f"has no formula for {name}")] += times
            if "attention" in plain:
                self.opaque[name] += times  # where it is not fused the tracer sees its matrix products

    def _kind(self, name: str, output: Any) -> str | None:
        """Tell convolutions and norms by the operator, and a matrix product by the module that it runs in.

        A pooling module reads its whole input; called as a function, to one pixel, it is a mean like any other: None.
        """
        path = output.node().scopeName().rpartition("/")[2]
        module = self.modules.get(path.partition(".parametrizations")[0])  # these work for the module that they are in
        if name == "aten::_convolution":
            return "convolution"
        if name in PRODUCTS:
            if isinstance(module, nn.Linear):
                return "linear"
            return "convolution" if isinstance(module, _ConvNd) else "matrix product"
        mean = name == "aten::adaptive_avg_pool2d" and _shape(output)[-2:] == (1, 1)
        return None if mean and type(module).__name__ != "AdaptiveAvgPool2d" else NORMS.get(name)


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.type().sizes())


def _complex(values: Sequence[Any]) -> str:
    tensors = [value for value in values if value.isCompleteTensor()]
    return "counts a complex product as a real one" if any(t.type().dtype().is_complex for t in tensors) else ""


def _taken_apart(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Find a complex convolution, of which torch makes three real ones: of the parts, and of their sums."""
    parts = all(_part(value, 3) for value in inputs[:2])
    return "counts a complex convolution as three real ones" if parts else ""


def _part(value: Any, steps: int) -> bool:
    """Tell whether it is a part of a complex tensor, or a sum of parts."""
    node = value.node()
    if node.kind() == "aten::view_as_real":
        return True
    inner = node.kind() in ("aten::select", "aten::add") and steps > 0
    return inner and any(_part(before, steps - 1) for before in node.inputs())


def _broadcast(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    left, out = _shape(inputs[0]), _shape(outputs[0])
    return "" if left[:-2] == out[:-2] else "does not count what aten::matmul broadcasts"


def _contraction(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Find an einsum of other than two operands that share what is summed: torch does not run numpy's path."""
    terms, arrow, result = inputs[0].toIValue().replace(" ", "").replace("...", "").partition("->")
    operands = [set(term) for term in terms.split(",")]
    if arrow and len(operands) == 2:
        summed = (operands[0] | operands[1]) - set(result)
        if summed and summed <= operands[0] & operands[1]:
            return ""
    return "counts an einsum as numpy would run it"


def _batch_norm(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Find a norm that we count as 2 operations an element, and fvcore as 5 (own statistics) or 1 (no weights)."""
    if inputs[5].toIValue():
        return "counts a norm by the batch's own statistics as 5 operations an element"
    return "" if inputs[1].isCompleteTensor() else "counts a batch norm without weights as 1 operation an element"


def _pooling(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    sides = zip(_shape(inputs[0])[-2:], _shape(outputs[0])[-2:], strict=True)
    return "counts no element twice where pooling windows overlap" if any(side % size for side, size in sides) else ""


NARROW: dict[str, Callable[[Sequence[Any], Sequence[Any]], str]] = {
    "aten::_convolution": _taken_apart,
    "aten::matmul": _broadcast,
    "aten::einsum": _contraction,
    "aten::batch_norm": _batch_norm,
    "aten::instance_norm": lambda inputs, outputs: "counts an instance norm as 4 or 5 operations an element",
    "aten::adaptive_avg_pool2d": _pooling,
}
"""Each tells why a formula of fvcore's does not hold, or nothing."""
