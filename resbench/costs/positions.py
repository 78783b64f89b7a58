"""Each operator has a rule that tells which positions it sees of what it reads.

Of one that has none here, such as an interpolation, nobody knows what it sees, but where the positions are gone, behind
a global pooling.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from resbench.arch import dimensions
from resbench.arch.dimensions import Dimensions, Part, Spans, Unclear, everywhere, plain
from resbench.arch.windows import SELF, Span, Window, adaptive, sliding
from resbench.arch.windows import plain as along
from resbench.costs.layouts import Look
from resbench.operators.dispatch import is_pointwise


class Operand(NamedTuple):
    """An operator reads a tensor, which each position of its output sees through this window; None where nobody
    knows through which, though where its positions are."""

    tensor: Tensor
    window: Window | None = SELF
    gate: bool = False
    """It takes from it what multiplies all positions alike."""


class Seen(NamedTuple):
    """An operator's first result has these dimensions, and it sees its operands so."""

    dimensions: Dimensions
    operands: Sequence[Operand]


Looks = Callable[[Tensor], Look]
"""It tells what a tensor shows; of a parameter that it has no positions. Raises Unclear."""


class Call(NamedTuple):
    """An operator was called with these arguments, and gave that."""

    func: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    out: Tensor
    looks: Looks
    axes: int

    def given(self, name: str, otherwise: Any = None) -> Any:
        """The argument of that name in the operator's schema."""
        if name in self.kwargs:
            return self.kwargs[name]
        names = [argument.name for argument in self.func._schema.arguments]
        return self.args[names.index(name)] if name in names[: len(self.args)] else otherwise

    def window(self, spans: Spans) -> Window:
        """The window of these spans; along other axes a position sees itself."""
        return along(spans.get(axis, Span()) for axis in range(self.axes))


def seen(call: Call, operands: Sequence[Tensor]) -> Seen:
    """Tell which positions an operator sees. Raises Unclear."""
    if not any(call.looks(operand).axes for operand in operands):
        return Seen(plain(call.out.shape), [Operand(operand) for operand in operands])
    name = call.func.overloadpacket.__name__ if call.func else ""
    rule = RULES.get(name) or RULES.get(name.removesuffix("_"))
    if rule:
        return rule(call)
    if call.func and is_pointwise(call.func):
        return pointwise(call, operands)
    raise Unclear


def pointwise(call: Call, operands: Sequence[Tensor]) -> Seen:
    """Element by element; what has one position along an axis is spread over the others."""
    found, spans = dimensions.pointwise(call.out.shape, [call.looks(one).dimensions for one in operands])
    return Seen(found, [Operand(x, call.window(one)) for x, one in zip(operands, spans, strict=True)])


def elements(call: Call) -> Seen:
    """It takes each element of its first argument by itself."""
    return pointwise(call, [call.args[0]])


def copied(call: Call) -> Seen:
    """What is written over another has the places of that."""
    return pointwise(call, [call.args[1]])


def selected(call: Call) -> Seen:
    """Element by element, of all tensors that are given."""
    return pointwise(call, [one for one in call.args if isinstance(one, Tensor)])


def batch_norm(call: Call) -> Seen:
    """By running statistics each element is taken by itself; else by those of all positions."""
    training = call.given("training", "no_training" not in str(call.func))
    return group_norm(call) if training else elements(call)


def group_norm(call: Call) -> Seen:
    """The statistics are those of all positions of a sample."""
    return _with_statistics(call, call.looks(call.args[0]).dimensions)


def layer_norm(call: Call) -> Seen:
    """The statistics are those of the last dimensions, which may be channels alone."""
    return _with_statistics(call, call.looks(call.args[0]).dimensions[-len(call.args[1]) :])


def _with_statistics(call: Call, over: Dimensions) -> Seen:
    """It sees each element, and all positions along these dimensions beside."""
    own, spans = elements(call), everywhere(over)
    beside = [Operand(call.args[0], call.window(spans), gate=True)] if spans else []
    return own._replace(operands=[*own.operands, *beside])


def convolution(call: Call) -> Seen:
    """It slides along its last dimensions, and sums over channels."""
    stride, padding, dilation = (call.given(name) for name in ("stride", "padding", "dilation"))
    if call.given("transposed", False):
        raise Unclear
    kernel = call.args[1].shape[2:]
    window = sliding(kernel, *(_sides(one, len(kernel)) for one in (stride, padding, dilation)))
    return _slid(call, window or (Span(),) * len(kernel))


def pooling(call: Call) -> Seen:
    """It slides along its last dimensions."""
    names = ("kernel_size", "stride", "padding", "dilation")
    kernel, stride, padding, dilation = (call.given(name, ()) for name in names)
    axes = 3 if "3d" in call.func.overloadpacket.__name__ else 2
    kernel = _sides(kernel, axes)
    others = _sides(stride or kernel, axes), _sides(padding or 0, axes), _sides(dilation or 1, axes)
    return _slid(call, sliding(kernel, *others) or (Span(),) * axes)


def adaptive_pooling(call: Call) -> Seen:
    """Its windows are equal where the sizes divide."""
    size = call.args[1]
    window = adaptive(call.args[0].shape[-len(size) :], size)
    found = _slid(call, window or (Span(),) * len(size))
    return found if window is not None else found._replace(operands=[Operand(call.args[0], None)])


def _sides(given: Any, axes: int) -> Sequence[int]:
    sizes = [given] if isinstance(given, int) else list(given)
    return sizes * axes if len(sizes) == 1 else sizes


def _slid(call: Call, window: Window) -> Seen:
    """A window slides along the last dimensions."""
    x = call.args[0]
    found, spans = dimensions.slid(call.looks(x).dimensions, call.out.shape, window)
    return Seen(found, [Operand(x, call.window(spans))])


def reduction(call: Call) -> Seen:
    """It sees all positions of what it sums over."""
    x, given = call.args[0], call.given("dim")
    own = call.looks(x).dimensions
    over = [given] if isinstance(given, int) else list(given or range(len(own)))
    found, spans = dimensions.reduced(own, over, kept=call.out.dim() == len(own))
    return Seen(found, [Operand(x, call.window(spans))])


def softmax(call: Call) -> Seen:
    """Each position sees all along its dimension."""
    x = call.args[0]
    own = call.looks(x).dimensions
    return Seen(own, [Operand(x, call.window(everywhere([own[call.args[1]]])))])


def product(first: int, second: int) -> "Rule":
    """(..., n, k) x (..., k, m): it sees all along k."""

    def rule(call: Call) -> Seen:
        pair = call.args[first], call.args[second]
        found, spans = dimensions.product(*(call.looks(one).dimensions for one in pair))
        return Seen(found, [Operand(x, call.window(one)) for x, one in zip(pair, spans, strict=True)])

    return rule


def concatenation(call: Call) -> Seen:
    """Along a dimension without positions all are put side by side."""
    tensors = [one for one in call.args[0] if one.dim() == call.out.dim()]
    dim = call.given("dim", 0) % call.out.dim()
    found = dimensions.concatenated([call.looks(one).dimensions for one in tensors], dim, call.out.shape[dim])
    return Seen(found, [Operand(one) for one in tensors])


def stacked(call: Call) -> Seen:
    """All are put side by side along a new dimension."""
    dim = call.given("dim", 0) % call.out.dim()
    own = dimensions.agreed([call.looks(one).dimensions for one in call.args[0]])
    return Seen((*own[:dim], (Part(len(call.args[0])),), *own[dim:]), [Operand(one) for one in call.args[0]])


def padding(call: Call) -> Seen:
    """With so many positions in front, each sees one that lies so many before it."""
    x, pad = call.args[0], call.args[1]
    pads = {x.dim() - 1 - i: pair for i, pair in enumerate(zip(pad[::2], pad[1::2], strict=True))}
    found, spans = dimensions.padded(call.looks(x).dimensions, pads)
    return Seen(found, [Operand(x, call.window(spans))])


Rule = Callable[[Call], Seen]
"""It tells what one call of an operator saw. Raises Unclear."""

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution"), convolution),
    **dict.fromkeys("max_pool2d_with_indices max_pool3d_with_indices avg_pool2d avg_pool3d".split(), pooling),
    **dict.fromkeys(
        "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d".split(), adaptive_pooling
    ),
    **dict.fromkeys("sum mean amax amin std var var_mean std_mean linalg_vector_norm logsumexp".split(), reduction),
    **dict.fromkeys(("_softmax", "_log_softmax"), softmax),
    **dict.fromkeys(("mm", "bmm"), product(0, 1)),
    **dict.fromkeys(("addmm", "baddbmm"), product(1, 2)),
    **dict.fromkeys(
        "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update"
        " _batch_norm_no_update cudnn_batch_norm".split(),
        batch_norm,
    ),
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": layer_norm,
    "native_group_norm": group_norm,
    "cat": concatenation,
    "stack": stacked,
    "constant_pad_nd": padding,
    **dict.fromkeys(
        "clone _to_copy native_dropout masked_fill _lazy_clone channel_shuffle native_channel_shuffle".split(), elements
    ),
    "copy": copied,
    "where": selected,
}
"""Operators of these names, and what they see; the pointwise ones of torch's tag see each element."""
