"""What one ATen operator takes: MACs and elementwise operations, as functions of shapes.

The conventions are those of ``resbench.arch.layers``; ``docs/counting.md`` states them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor

Work = tuple[int, int]
"""MACs, elementwise operations."""

Rule = Callable[[tuple[Any, ...], Any], Work]
"""From an operator's arguments and its output."""


class Operator(NamedTuple):
    """How an operator is counted, and what its row is called: ``layer1.0.add``, type ``Add``."""

    rule: Rule
    name: str
    type: str
    kind: str = ""
    """Under which the totals of several operators are one: ``convolution``, ``linear``, ..."""


def _free(args: tuple[Any, ...], out: Any) -> Work:
    return 0, 0


def _per_output(operations: int) -> Rule:
    return lambda args, out: (0, operations * _first(out).numel())


def _per_input(args: tuple[Any, ...], out: Any) -> Work:
    return 0, args[0].numel()


def _first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]


# -- matrix products ----------------------------------------------------------------------------------


def _mm(a: Tensor, b: Tensor) -> int:
    """(..., n, k) x (..., k, m): n k m for each matrix of the batch."""
    return a.numel() * (b.shape[-1] if b.dim() > 1 else 1)


def _convolution(args: tuple[Any, ...], out: Any) -> Work:
    """Each weight once per output position; transposed, once per input position. args: x, w, bias, ..., transposed."""
    x, weight, bias = args[:3]
    transposed = len(args) > 6 and args[6] is True
    positions = x.numel() if transposed else out.numel()
    return positions * prod(weight.shape[1:]), out.numel() if bias is not None else 0


def _convolution_backward(args: tuple[Any, ...], out: Any) -> Work:
    """The forward pass's MACs once for each gradient asked for, of the input and of the weight; torch's own formula
    forgets groups. args: gradient, x, w, ..., transposed (7), ..., output_mask."""
    gradient, x, weight = args[:3]
    positions = x.numel() if args[7] else gradient.numel()
    return sum(args[-1][:2]) * positions * prod(weight.shape[1:]), 0


def _linear(args: tuple[Any, ...], out: Any) -> Work:
    bias = len(args) > 2 and args[2] is not None
    return args[0].numel() * args[1].shape[0], out.numel() if bias else 0


def _attention(args: tuple[Any, ...], out: Any) -> Work:
    """Q K^T and the weights times V: B H L S (E + Ev); the scale and the softmax are 4 operations a weight."""
    query, key, value = args[:3]
    *batch, length, width = query.shape
    weights = prod(batch) * length * key.shape[-2]
    return weights * (width + value.shape[-1]), 4 * weights


def _cell(operations: int, biases: int) -> Rule:
    """What follows the products in one step, for each element of the state. args: gates, gates, state, bias, ..."""

    def rule(args: tuple[Any, ...], out: Any) -> Work:
        biased = len(args) > 3 and args[3] is not None
        return 0, (operations + biases * biased) * _first(out).numel()

    return rule


LSTM, LSTM_BIASES = 13, 8
"""Sum of both products 4, sigmoids 3, tanh 2, c = f c + i g 3, h = o tanh(c) 1; two biases to four gates."""

GRU, GRU_BIASES = 10, 6
"""Sums 2, sigmoids 2, n = tanh(x + r h) 3, h = n + z (h - n) 3; two biases to three gates."""


def _mkldnn_lstm(args: tuple[Any, ...], out: Any) -> Work:
    """One layer, one direction: both weight matrices and the cell at every step. args: x, w_ih, w_hh, b_ih, ..."""
    x, w_ih, w_hh = args[:3]
    hidden, biased = args[10], args[12]
    steps = prod(x.shape[:-1])
    return steps * (w_ih.numel() + w_hh.numel()), steps * hidden * (LSTM + LSTM_BIASES * biased)


def _mkldnn_lstm_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Of the input and of the weights: the forward's products twice. args: x, w_ih, w_hh, ..."""
    x, w_ih, w_hh = args[:3]
    return 2 * prod(x.shape[:-1]) * (w_ih.numel() + w_hh.numel()), 0


def _bilinear(args: tuple[Any, ...], out: Any) -> Work:
    """y_o = sum A_oij (x_i z_j): each weight once per row; the outer product of the inputs is elementwise."""
    x, weight, z = args[:3]
    rows = x.shape[0]
    return rows * weight.numel(), rows * x.shape[-1] * z.shape[-1]


# -- windows and statistics -----------------------------------------------------------------------------


def _pool(args: tuple[Any, ...], out: Any) -> Work:
    """Kernel elements per output."""
    output, kernel = _first(out), args[1]
    spatial = 3 if output.dim() > 4 else 2
    window = prod(kernel) if len(kernel) > 1 else kernel[0] ** spatial
    return 0, output.numel() * window


def _adaptive(args: tuple[Any, ...], out: Any) -> Work:
    """Elements read by the windows [floor(iH/n), ceil((i+1)H/n))."""

    def reads(side: int, size: int) -> int:
        return sum(-(-(i + 1) * side // size) - i * side // size for i in range(size))

    output, x = _first(out), args[0]
    spatial = len(args[1])
    sides = zip(x.shape[-spatial:], output.shape[-spatial:], strict=True)
    return 0, prod(x.shape[:-spatial]) * prod(reads(*side) for side in sides)


def _batch_norm(args: tuple[Any, ...], out: Any) -> Work:
    return 0, 2 * _first(out).numel()


def _layer_norm(args: tuple[Any, ...], out: Any) -> Work:
    """Mean, variance, shift, scale: 4 an element; gamma and beta together one more."""
    affine = any(isinstance(a, Tensor) for a in args[1:])
    return 0, (5 if affine else 4) * _first(out).numel()


def _rms_norm(args: tuple[Any, ...], out: Any) -> Work:
    """Mean square and scale: 3 an element; gamma one more."""
    return 0, (4 if args[2] is not None else 3) * _first(out).numel()


def _interpolation(taps: int) -> Operator:
    """Pixels read per output, as in pooling."""
    return _M(_per_output(taps), "upsample", "Upsample")


_M = Operator
_MATMUL = ("matmul", "MatMul", "matrix product")
_LINEAR = ("linear", "Linear", "linear")
_ATTENTION = _M(_attention, "attention", "Attention", "attention")
_BN = _M(_batch_norm, "batch_norm", "BatchNorm2d", "batch norm")
_CONV = _M(_convolution, "conv", "Conv", "convolution")

TABLE: dict[str, Operator] = {
    "convolution": _CONV,
    "_convolution": _CONV,
    "convolution_backward": _M(_convolution_backward, "conv_backward", "Conv", "convolution"),
    "mkldnn_convolution": _CONV._replace(
        rule=lambda a, o: (o.numel() * prod(a[1].shape[1:]), o.numel() if a[2] is not None else 0)
    ),
    "mm": _M(lambda a, o: (_mm(a[0], a[1]), 0), *_LINEAR),
    "addmm": _M(lambda a, o: (_mm(a[1], a[2]), o.numel()), *_LINEAR),
    "linear": _M(_linear, *_LINEAR),
    "mkldnn_linear": _M(_linear, *_LINEAR),
    "bmm": _M(lambda a, o: (_mm(a[0], a[1]), 0), *_MATMUL),
    "baddbmm": _M(lambda a, o: (_mm(a[1], a[2]), o.numel()), *_MATMUL),
    "_int_mm": _M(lambda a, o: (_mm(a[0], a[1]), 0), *_LINEAR),
    "addbmm": _M(lambda a, o: (_mm(a[1], a[2]), o.numel()), *_MATMUL),
    "mv": _M(lambda a, o: (a[0].numel(), 0), *_MATMUL),
    "addmv": _M(lambda a, o: (a[1].numel(), o.numel()), *_MATMUL),
    "dot": _M(lambda a, o: (a[0].numel(), 0), *_MATMUL),
    "vdot": _M(lambda a, o: (a[0].numel(), 0), *_MATMUL),
    "addr": _M(lambda a, o: (o.numel(), o.numel()), *_MATMUL),
    "_trilinear": _M(_bilinear, "bilinear", "Bilinear", "matrix product"),
    "_scaled_dot_product_flash_attention": _ATTENTION,
    "_scaled_dot_product_flash_attention_for_cpu": _ATTENTION,
    "_scaled_dot_product_efficient_attention": _ATTENTION,
    "_scaled_dot_product_cudnn_attention": _ATTENTION,
    "_scaled_dot_product_fused_attention_overrideable": _ATTENTION,
    "mkldnn_rnn_layer": _M(_mkldnn_lstm, "lstm", "LSTM"),
    "mkldnn_rnn_layer_backward": _M(_mkldnn_lstm_backward, "lstm_backward", "LSTM"),
    "native_batch_norm": _BN,
    "cudnn_batch_norm": _BN,
    "miopen_batch_norm": _BN,
    "_batch_norm_with_update": _BN,
    "_batch_norm_no_update": _BN,
    "_native_batch_norm_legit": _BN,
    "_native_batch_norm_legit_no_training": _BN,
    "native_layer_norm": _M(_layer_norm, "layer_norm", "LayerNorm", "layer norm"),
    "native_group_norm": _M(_layer_norm, "group_norm", "GroupNorm", "group norm"),
    "_fused_rms_norm": _M(_rms_norm, "rms_norm", "RMSNorm"),
    "max_pool2d_with_indices": _M(_pool, "max_pool2d", "MaxPool2d"),
    "max_pool3d_with_indices": _M(_pool, "max_pool3d", "MaxPool3d"),
    "avg_pool2d": _M(_pool, "avg_pool2d", "AvgPool2d"),
    "avg_pool3d": _M(_pool, "avg_pool3d", "AvgPool3d"),
    "_adaptive_avg_pool2d": _M(_adaptive, "avgpool", "AdaptiveAvgPool2d", "adaptive pooling"),
    "_adaptive_avg_pool3d": _M(_adaptive, "avgpool", "AdaptiveAvgPool3d"),
    "adaptive_max_pool2d": _M(_adaptive, "maxpool", "AdaptiveMaxPool2d"),
    "_softmax": _M(_per_output(3), "softmax", "Softmax"),
    "_safe_softmax": _M(_per_output(3), "softmax", "Softmax"),
    "_log_softmax": _M(_per_output(3), "log_softmax", "LogSoftmax"),
    "_thnn_fused_lstm_cell": _M(_cell(LSTM, LSTM_BIASES), "lstm_cell", "LSTMCell"),
    "_thnn_fused_gru_cell": _M(_cell(GRU, GRU_BIASES), "gru_cell", "GRUCell"),
    "glu": _M(_per_output(2), "glu", "GLU"),
    "log_sigmoid_forward": _M(_per_output(1), "log_sigmoid", "LogSigmoid"),
    "_weight_norm_interface": _M(_per_output(2), "weight_norm", "WeightNorm"),
    "upsample_linear1d": _interpolation(2),
    "upsample_bilinear2d": _interpolation(4),
    "upsample_bicubic2d": _interpolation(16),
    "upsample_trilinear3d": _interpolation(8),
    "col2im": _M(_per_input, "fold", "Fold"),
    "cat": _M(_free, "concat", "Concat"),
}

REDUCTIONS = frozenset(
    "sum mean amax amin max min prod std var var_mean linalg_vector_norm norm logsumexp cumsum argmax argmin any all"
    " nansum count_nonzero aminmax".split()
)
"""One operation for each element read."""

POINTWISE = frozenset(
    "hardswish hardsigmoid hardtanh leaky_relu elu celu selu prelu _prelu_kernel rrelu_with_noise".split()
)
"""One operation an element, where torch's own tag is missing on some overload."""

MOVES = frozenset(
    "clone copy_ copy _to_copy contiguous constant_pad_nd reflection_pad1d reflection_pad2d replication_pad1d"
    " replication_pad2d index index_select index_put index_put_ _unsafe_index gather scatter scatter_ embedding stack"
    " roll flip repeat tril triu masked_fill masked_fill_ masked_select where fill fill_ zero_ zeros ones empty full"
    " zeros_like ones_like empty_like full_like new_zeros new_ones new_empty new_full new_empty_strided empty_strided"
    " arange linspace eye scalar_tensor lift_fresh lift_fresh_copy detach upsample_nearest2d upsample_nearest1d"
    " _upsample_nearest_exact2d pixel_shuffle pixel_unshuffle channel_shuffle native_dropout bernoulli bernoulli_"
    " rand randn rand_like randn_like randint randperm uniform_ normal_ slice_scatter select_scatter resize_ set_"
    " _local_scalar_dense nonzero bitwise_not bitwise_and bitwise_or logical_not logical_and logical_or eq ne lt le"
    " gt ge isnan isinf is_same_size _efficientzerotensor permute_copy slice_copy view_copy expand_copy"
    " repeat_interleave"
    " mkldnn_reorder_conv2d_weight to_mkldnn _reshape_alias alias unsafe_split unsafe_chunk split_with_sizes_copy"
    " sym_size sym_stride sym_numel sym_storage_offset _nested_tensor_from_mask_left_aligned _fused_sdp_choice"
    " _unsafe_view as_strided as_strided_ record_stream unfold_copy im2col bucketize searchsorted"
    " device".split()
)
"""Data moved, made or compared: no arithmetic."""


def operator_of(func: Any) -> Operator | None:
    """How to count an ATen overload; None for what is not known (an operator that makes no arithmetic is free)."""
    namespace, _, name = func.overloadpacket._qualified_op_name.rpartition("::")
    plain = name if name.endswith("__") else name.removesuffix("_")
    if namespace == "prim":
        return _M(_free, name, "")
    if namespace != "aten":
        return None
    known = TABLE.get(name) or TABLE.get(plain)
    if known:
        return known
    returns = func._schema.returns
    view = bool(returns) and returns[0].alias_info is not None and not returns[0].alias_info.is_write
    if view or name in MOVES or plain in MOVES:
        return _M(_free, plain, "")
    title = "ReLU" if plain == "relu" else "".join(word.capitalize() for word in plain.split("_"))
    if plain in REDUCTIONS:
        return _M(_per_input, plain, title)
    if torch.Tag.pointwise in func.tags or plain in POINTWISE:
        return _M(_per_output(1), plain, title)
    return None
