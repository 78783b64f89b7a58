"""Each operator has a rule that tells which positions it sees of what it reads.

Of one that has none here, such as an interpolation, nobody knows what it sees, but where the positions are gone, behind
a global pooling.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from resbench.arch.windows import SELF, Span, Window, adaptive, sliding
from resbench.arch.windows import plain as along
from resbench.costs.layouts import Dimensions, Look, Part, Unclear, axes_of, plain, sides, size_of
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

    def window(self, spans: Mapping[int, Span]) -> Window:
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
    dimensions = list(plain(call.out.shape))
    for tensor in operands:
        for i, parts in enumerate(reversed(call.looks(tensor).dimensions), 1):
            if i <= len(dimensions) and size_of(parts) == call.out.shape[-i] and axes_of(parts):
                if axes_of(dimensions[-i]) and dimensions[-i] != parts:
                    raise Unclear
                dimensions[-i] = parts
    wide = sides(dimensions)
    return Seen(tuple(dimensions), [_spread(call, tensor, wide) for tensor in operands])


def _spread(call: Call, tensor: Tensor, wide: Mapping[int, int]) -> Operand:
    own = sides(call.looks(tensor).dimensions)
    spans = {axis: Span(0) for axis, size in wide.items() if size > 1 and own.get(axis, 1) == 1}
    return Operand(tensor, call.window(spans))


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
    return _with_statistics(call, sides(call.looks(call.args[0]).dimensions)) if training else elements(call)


def group_norm(call: Call) -> Seen:
    """The statistics are those of all positions of a sample."""
    return _with_statistics(call, sides(call.looks(call.args[0]).dimensions))


def layer_norm(call: Call) -> Seen:
    """The statistics are those of the last dimensions, which may be channels alone."""
    normalised = call.looks(call.args[0]).dimensions[-len(call.args[1]) :]
    return _with_statistics(call, sides(normalised))


def _with_statistics(call: Call, over: Mapping[int, int]) -> Seen:
    """It sees each element, and all positions along these axes beside."""
    own = elements(call)
    beside = [Operand(call.args[0], call.window(_all(over)), gate=True)] if over else []
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
    """A window slides along the last dimensions, and what is in front of them is kept, but for summed channels."""
    x = call.args[0]
    own = call.looks(x).dimensions
    first = len(own) - len(window)
    dimensions, spans = list(plain(call.out.shape)), dict[int, Span]()
    for i, parts in enumerate(own):
        if not (axes := axes_of(parts)):
            continue
        if i < first and own[i] and call.out.shape[i] == size_of(parts) and i != first - 1:
            dimensions[i] = parts
        elif i < first or len(parts) > 1:
            raise Unclear
        else:
            dimensions[i] = (Part(call.out.shape[i], axes[0]),)
            spans[axes[0]] = window[i - first]
    return Seen(tuple(dimensions), [Operand(x, call.window(spans))])


def reduction(call: Call) -> Seen:
    """It sees all positions of what it sums over."""
    x, given = call.args[0], call.given("dim")
    own = call.looks(x).dimensions
    dims = [given] if isinstance(given, int) else list(given or range(len(own)))
    summed = {dim % len(own) for dim in dims}
    kept = call.out.dim() == len(own)
    dimensions = [(Part(1),) if i in summed else parts for i, parts in enumerate(own) if kept or i not in summed]
    spans = _all(sides([own[i] for i in summed]))
    return Seen(tuple(dimensions), [Operand(x, call.window(spans))])


def softmax(call: Call) -> Seen:
    """Each position sees all along its dimension."""
    x = call.args[0]
    own = call.looks(x).dimensions
    return Seen(own, [Operand(x, call.window(_all(sides([own[call.args[1]]]))))])


def product(first: int, second: int) -> "Rule":
    """(..., n, k) x (..., k, m): it sees all along k."""

    def rule(call: Call) -> Seen:
        a, b = call.args[first], call.args[second]
        left, right = call.looks(a).dimensions, call.looks(b).dimensions
        batch = [x if axes_of(x) else y for x, y in zip(left[:-2], right[:-2], strict=True)]
        dimensions = (*batch, left[-2], right[-1])
        if any(axes_of(parts) for parts in left[-2:]) and any(axes_of(parts) for parts in right[-2:]):
            raise Unclear  # positions are weighed by positions
        windows = [_all(sides([summed])) for summed in (left[-1], right[-2])]
        return Seen(dimensions, [Operand(x, call.window(one)) for x, one in zip((a, b), windows, strict=True)])

    return rule


def concatenation(call: Call) -> Seen:
    """Along a dimension without positions all are put side by side."""
    tensors = [one for one in call.args[0] if one.dim() == call.out.dim()]
    dim = call.given("dim", 0) % call.out.dim()
    found = [call.looks(one).dimensions for one in tensors]
    if any(axes_of(one[dim]) for one in found):
        raise Unclear
    dimensions = [*_agreed(found)]
    dimensions[dim] = (Part(call.out.shape[dim]),)
    return Seen(tuple(dimensions), [Operand(one) for one in tensors])


def _agreed(found: Sequence[Dimensions]) -> Dimensions:
    """Give the dimensions of tensors that run along the same axes, but for those in which they run along none."""
    dimensions = []
    for parts in zip(*found, strict=True):
        moving = {one for one in parts if axes_of(one)}
        if len(moving) > 1:
            raise Unclear
        dimensions.append(moving.pop() if moving else parts[0])
    return tuple(dimensions)


def stacked(call: Call) -> Seen:
    """All are put side by side along a new dimension."""
    dim = call.given("dim", 0) % call.out.dim()
    own = _agreed([call.looks(one).dimensions for one in call.args[0]])
    return Seen((*own[:dim], (Part(len(call.args[0])),), *own[dim:]), [Operand(one) for one in call.args[0]])


def padding(call: Call) -> Seen:
    """With so many positions in front, each sees one that lies so many before it."""
    x, pad = call.args[0], call.args[1]
    dimensions, spans = list(call.looks(x).dimensions), dict[int, Span]()
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        axes = axes_of(dimensions[-i])
        if axes and len(dimensions[-i]) > 1 and (before or after):
            raise Unclear
        if before or after:
            dimensions[-i] = (Part(call.out.shape[-i], *axes),)
            spans |= {axis: Span(1, -before, -before) for axis in axes}
    return Seen(tuple(dimensions), [Operand(x, call.window(spans))])


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


def _all(over: Mapping[int, int]) -> dict[int, Span]:
    return {axis: Span(0, 0, size - 1) for axis, size in over.items()}
