"""Each ATen operator is counted by one rule.

The conventions are those of ``resbench.arch.layers``; ``docs/counting.md`` states them.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

from resbench.arch.kinds import Kind
from resbench.operators import formulas
from resbench.operators import products as p
from resbench.operators import windows as w
from resbench.operators.moves import is_free, is_view
from resbench.operators.rules import (
    CountedOperator,
    free,
    per_argument,
    per_input,
    per_output,
)

_M = CountedOperator
_PRODUCT: tuple[Kind] = ("matrix product",)
_MATMUL = ("matmul", "MatMul", *_PRODUCT)
_LINEAR = ("linear", "Linear", *_PRODUCT)
_CONV = _M(p.convolution, "conv", "Conv", "convolution")
_CONV_BACKWARD = _M(p.convolution_backward, "conv_backward", "Conv", "convolution")
_ATTENTION = _M(p.attention, "attention", "Attention", "attention")
_ATTENTION_BACKWARD = _M(p.attention_backward, "attention_backward", "Attention", "attention")
_DISTANCES = _M(p.distances, "cdist", "Cdist", "matrix product")
_RNN = _M(p.cudnn_rnn, "rnn", "RNN", "matrix product")
_BN = _M(per_output(2), "batch_norm", "BatchNorm2d", "normalisation", "batch norm")

CONVOLUTIONS = {
    "convolution": _CONV,
    "_convolution": _CONV,
    "convolution_overrideable": _CONV,
    "convolution_backward": _CONV_BACKWARD,
    "convolution_backward_overrideable": _CONV_BACKWARD._replace(
        rule=lambda a, o: p.convolution_backward((*a[:3], None, *a[3:]), o)  # no bias sizes
    ),
    "mkldnn_convolution": _CONV._replace(rule=p.forward_convolution(bias=2)),
    "cudnn_convolution": _CONV._replace(rule=p.forward_convolution(bias=None)),
    "miopen_convolution": _CONV._replace(rule=p.forward_convolution(bias=2)),
    "miopen_depthwise_convolution": _CONV._replace(rule=p.forward_convolution(bias=2)),
    "cudnn_convolution_transpose": _CONV._replace(
        rule=lambda a, o: p.convolution((*a[:2], None, None, None, None, True), o)  # no bias
    ),
    "cudnn_convolution_add_relu": _CONV._replace(rule=p.forward_convolution(bias=4)),
    "cudnn_convolution_relu": _CONV._replace(rule=p.forward_convolution(bias=2)),
    "_slow_conv2d_forward": _CONV._replace(rule=p.forward_convolution(bias=3)),
    "_conv_depthwise2d": _CONV._replace(rule=p.forward_convolution(bias=3)),
    "conv_depthwise3d": _CONV._replace(rule=p.forward_convolution(bias=3)),
    "conv_tbc": _CONV._replace(rule=p.time_convolution),
    "conv_tbc_backward": _CONV_BACKWARD._replace(rule=p.time_convolution_backward),
}

PRODUCTS = {
    "mm": _M(p.product(0, 1), *_LINEAR),
    "addmm": _M(p.product(1, 2, added=True), *_LINEAR),
    "_addmm_activation": _M(lambda a, o: (p.macs(a[1], a[2]), 2 * o.numel()), *_LINEAR),
    "linear": _M(p.linear, *_LINEAR),
    "mkldnn_linear": _M(p.linear, *_LINEAR),
    "mkldnn_linear_backward_input": _M(lambda a, o: (a[1].numel() * a[2].shape[-1], 0), *_LINEAR),
    "mkldnn_linear_backward_weights": _M(lambda a, o: (a[0].numel() * a[1].shape[-1], 0), *_LINEAR),
    "bmm": _M(p.product(0, 1), *_MATMUL),
    "baddbmm": _M(p.product(1, 2, added=True), *_MATMUL),
    "addbmm": _M(p.product(1, 2, added=True), *_MATMUL),
    "mv": _M(p.product(0, 1), *_MATMUL),
    "addmv": _M(p.product(1, 2, added=True), *_MATMUL),
    "dot": _M(lambda a, o: (a[0].numel(), 0), *_MATMUL),
    "vdot": _M(lambda a, o: (a[0].numel(), 0), *_MATMUL),
    "addr": _M(lambda a, o: (o.numel(), o.numel()), *_MATMUL),
    "_trilinear": _M(p.bilinear, "bilinear", "Bilinear", "matrix product"),
    "_foreach_mm": _M(p.listed, *_MATMUL),
    "_int_mm": _M(p.product(0, 1), *_LINEAR),
    "_scaled_mm": _M(p.product(0, 1), *_LINEAR),
    "_scaled_mm_v2": _M(p.product(0, 1), *_LINEAR),
    "_weight_int8pack_mm": _M(p.rows, *_LINEAR),
    "_weight_int4pack_mm": _M(p.rows, *_LINEAR),
    "_weight_int4pack_mm_for_cpu": _M(p.rows, *_LINEAR),
    "_weight_int4pack_mm_with_scales_and_zeros": _M(p.rows, *_LINEAR),
    "_mixed_dtypes_linear": _M(p.rows, *_LINEAR),
    "_dyn_quant_matmul_4bit": _M(p.rows, *_LINEAR),
    "_grouped_mm": _M(p.grouped, *_MATMUL),
    "_scaled_grouped_mm": _M(p.grouped, *_MATMUL),
    "_scaled_grouped_mm_v2": _M(p.grouped, *_MATMUL),
    "_sparse_mm": _M(p.product(0, 1), *_MATMUL),
    "_sparse_addmm": _M(p.product(1, 2, added=True), *_MATMUL),
    "_sparse_sparse_matmul": _M(p.product(0, 1), *_MATMUL),
    "sspaddmm": _M(lambda a, o: (p.macs(a[1], a[2]), p.stored(a[0]) if a[0].is_sparse else 0), *_MATMUL),
    "hspmm": _M(p.product(0, 1), *_MATMUL),
    "sparse_sampled_addmm": _M(p.sampled, *_MATMUL),
    "_cdist_forward": _DISTANCES,
    "_euclidean_dist": _DISTANCES,
    "_pdist_forward": _DISTANCES._replace(rule=p.row_distances, name="pdist", type="Pdist"),
    "_scaled_dot_product_flash_attention": _ATTENTION,
    "_scaled_dot_product_flash_attention_for_cpu": _ATTENTION,
    "_scaled_dot_product_efficient_attention": _ATTENTION,
    "_scaled_dot_product_cudnn_attention": _ATTENTION,
    "_scaled_dot_product_fused_attention_overrideable": _ATTENTION,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _ATTENTION_BACKWARD,
    "_scaled_dot_product_fused_attention_overrideable_backward": _ATTENTION_BACKWARD,
    "mkldnn_rnn_layer": _M(p.mkldnn_lstm, "lstm", "LSTM", "matrix product"),
    "mkldnn_rnn_layer_backward": _M(p.mkldnn_lstm_backward, "lstm_backward", "LSTM", "matrix product"),
    "_cudnn_rnn": _RNN,
    "_cudnn_rnn_backward": _RNN._replace(rule=p.cudnn_rnn_backward, name="rnn_backward"),
}

SUM_AND_PRODUCT: tuple[tuple[str, Kind], ...] = (("add", "sum"), ("mul", "product"))

QUANTIZED = {
    **dict.fromkeys(
        "linear linear_relu linear_leaky_relu linear_tanh linear_dynamic linear_relu_dynamic linear_dynamic_fp16"
        " linear_relu_dynamic_fp16".split(),
        _M(p.packed_linear, *_LINEAR),
    ),
    **dict.fromkeys(
        "conv1d conv1d_relu conv2d conv2d_relu conv3d conv3d_relu conv1d_dynamic conv2d_dynamic conv3d_dynamic".split(),
        _CONV._replace(rule=p.packed_convolution(transposed=False)),
    ),
    **dict.fromkeys(
        "conv_transpose1d conv_transpose2d conv_transpose3d conv_transpose1d_dynamic conv_transpose2d_dynamic"
        " conv_transpose3d_dynamic".split(),
        _CONV._replace(rule=p.packed_convolution(transposed=True)),
    ),
    **{name: _M(per_output(1), name, name.capitalize(), kind) for name, kind in SUM_AND_PRODUCT},
    **{f"{name}_relu": _M(per_output(2), name, name.capitalize(), kind) for name, kind in SUM_AND_PRODUCT},
}
"""These are of torch's ``quantized`` library, for CPUs."""

OTHERS = {
    "native_batch_norm": _BN,
    "cudnn_batch_norm": _BN,
    "miopen_batch_norm": _BN,
    "_batch_norm_with_update": _BN,
    "_batch_norm_no_update": _BN,
    "_batch_norm_with_update_functional": _BN,
    "_native_batch_norm_legit": _BN,
    "_native_batch_norm_legit_functional": _BN,
    "_native_batch_norm_legit_no_training": _BN,
    "native_layer_norm": _M(w.layer_norm, "layer_norm", "LayerNorm", "normalisation", "layer norm"),
    "native_group_norm": _M(w.layer_norm, "group_norm", "GroupNorm", "normalisation", "group norm"),
    "_fused_rms_norm": _M(w.rms_norm, "rms_norm", "RMSNorm", "normalisation"),
    "max_pool2d_with_indices": _M(w.pool, "max_pool2d", "MaxPool2d", "max pooling"),
    "max_pool3d_with_indices": _M(w.pool, "max_pool3d", "MaxPool3d", "max pooling"),
    "quantized_max_pool2d": _M(w.pool, "max_pool2d", "MaxPool2d", "max pooling"),
    "quantized_max_pool3d": _M(w.pool, "max_pool3d", "MaxPool3d", "max pooling"),
    "avg_pool2d": _M(w.pool, "avg_pool2d", "AvgPool2d", "pooling"),
    "avg_pool3d": _M(w.pool, "avg_pool3d", "AvgPool3d", "pooling"),
    "fractional_max_pool2d": _M(w.pool, "max_pool2d", "FractionalMaxPool2d", "max pooling"),
    "fractional_max_pool3d": _M(w.pool, "max_pool3d", "FractionalMaxPool3d", "max pooling"),
    "_adaptive_avg_pool2d": _M(w.adaptive, "avgpool", "AdaptiveAvgPool2d", "pooling", "adaptive pooling"),
    "_adaptive_avg_pool3d": _M(w.adaptive, "avgpool", "AdaptiveAvgPool3d", "pooling"),
    "adaptive_max_pool2d": _M(w.adaptive, "maxpool", "AdaptiveMaxPool2d", "max pooling"),
    "adaptive_max_pool3d": _M(w.adaptive, "maxpool", "AdaptiveMaxPool3d", "max pooling"),
    "_softmax": _M(per_output(3), "softmax", "Softmax", "activation"),
    "_safe_softmax": _M(per_output(3), "softmax", "Softmax", "activation"),
    "_log_softmax": _M(per_output(3), "log_softmax", "LogSoftmax", "activation"),
    "_thnn_fused_lstm_cell": _M(p.cell(p.LSTM, p.LSTM_BIASES), "lstm_cell", "LSTMCell", "recurrent"),
    "_thnn_fused_gru_cell": _M(p.cell(p.GRU, p.GRU_BIASES), "gru_cell", "GRUCell", "recurrent"),
    "glu": _M(per_output(2), "glu", "GLU", "function"),
    "log_sigmoid_forward": _M(per_output(1), "log_sigmoid", "LogSigmoid", "function"),
    "_weight_norm_interface": _M(per_output(2), "weight_norm", "WeightNorm", "function"),
    "upsample_linear1d": w.interpolation(2),
    "upsample_bilinear2d": w.interpolation(4),
    "upsample_bicubic2d": w.interpolation(16),
    "upsample_trilinear3d": w.interpolation(8),
    "_upsample_bilinear2d_aa": w.interpolation(0)._replace(rule=w.smooth_interpolation(reach=1)),
    "_upsample_bicubic2d_aa": w.interpolation(0)._replace(rule=w.smooth_interpolation(reach=2)),
    "grid_sampler_2d": _M(w.grid_sample(2), "grid_sample", "GridSample", "product"),
    "grid_sampler_3d": _M(w.grid_sample(3), "grid_sample", "GridSample", "product"),
    "affine_grid_generator": _M(per_output(4), "affine_grid", "AffineGrid", "resampling"),  # a x + b y + c
    "col2im": _M(per_input, "fold", "Fold", "rearrangement"),
    "cat": _M(free, "concat", "Concat", "concatenation"),
    "_coalesce": _M(
        lambda a, o: (0, p.stored(a[0]) - p.stored(o)), "coalesce", "Coalesce", "sum"
    ),  # equal places are added
    "scatter_add": _M(per_argument(2), "scatter_add", "ScatterAdd", "sum"),
    "scatter_reduce": _M(per_argument(2), "scatter_reduce", "ScatterReduce", "sum"),
    "index_add": _M(per_argument(3), "index_add", "IndexAdd", "sum"),
    "index_reduce": _M(per_argument(3), "index_reduce", "IndexReduce", "sum"),
    "linalg_cross": _M(per_output(3), "cross", "Cross", "product"),
    "polar": _M(per_output(4), "polar", "Polar", "product"),  # a sine, a cosine, two products
    "renorm": _M(per_output(3), "renorm", "Renorm", "function"),
    "trace": _M(lambda a, o: (0, min(a[0].shape)), "trace", "Trace", "reduction"),
    "mse_loss": _M(lambda a, o: (0, 3 * a[0].numel()), "mse_loss", "MSELoss", "product"),  # difference, square, sum
    "nll_loss_forward": _M(per_argument(1), "nll_loss", "NLLLoss", "function"),
    "nll_loss2d_forward": _M(per_argument(1), "nll_loss", "NLLLoss", "function"),
    "_embedding_bag": _M(lambda a, o: (0, a[1].numel() * a[0].shape[1]), "embedding_bag", "EmbeddingBag", "embedding"),
    "_embedding_bag_forward_only": _M(
        lambda a, o: (0, a[1].numel() * a[0].shape[1]), "embedding_bag", "EmbeddingBag", "embedding"
    ),
}

TABLE = {**CONVOLUTIONS, **PRODUCTS, **OTHERS}

REDUCTIONS: Mapping[str, Kind] = {
    **dict.fromkeys(
        "sum mean argmax argmin any all nansum count_nonzero cumsum cummax cummin max min bincount histc"
        " _is_all_true _is_any_true".split(),
        "reduction",
    ),
    **dict.fromkeys(
        "amax amin prod std std_mean var var_mean linalg_vector_norm norm logsumexp aminmax cumprod logcumsumexp"
        " segment_reduce".split(),
        "function",
    ),
}
"""These take one operation for each element read: the gradient of a sum or of a largest one (a place
is kept) needs no argument, that of the others does."""

POINTWISE = frozenset(
    "hardswish hardsigmoid hardtanh leaky_relu elu celu selu prelu _prelu_kernel rrelu rrelu_with_noise floor_divide"
    " __irshift__ _conj_physical _masked_scale quantize_per_tensor"
    " quantize_per_channel dequantize fake_quantize_per_tensor_affine_cachemask"
    " fake_quantize_per_channel_affine_cachemask".split()
)
"""These operators take one operation an element, and torch's own tag is missing on every overload of them."""

SUMS = frozenset("add sub rsub neg floor ceil round trunc sign".split())
"""The gradients of these pointwise operators need neither argument nor result."""

BY_RESULT = frozenset("relu sigmoid tanh exp expm1 exp2 sqrt rsqrt reciprocal leaky_relu_ elu_ celu_ selu_".split())
"""torch computes the gradients of these pointwise operators from the result; of some only where they write in place
(https://github.com/pytorch/pytorch/blob/main/tools/autograd/derivatives.yaml)."""


def operator_of(func: Any) -> CountedOperator | None:
    """Tell how to count an overload; None for what is not known (an operator without arithmetic is free)."""
    return formulas.given(func) or _in_table(func) or formulas.of_torch(func) or _by_nature(func)


@cache
def _in_table(func: Any) -> CountedOperator | None:
    library, name, plain = _named(func)
    if library == "quantized":
        return QUANTIZED.get(name)
    if library != "aten":
        return None
    if plain == "scatter" and "reduce" in func._overloadname:
        plain = "scatter_reduce"
    return TABLE.get(name) or TABLE.get(plain)


@cache
def _by_nature(func: Any) -> CountedOperator | None:
    """Tell an operator that no table holds: free, a reduction, pointwise."""
    library, _, plain = _named(func)
    if library == "prim" or is_view(func):
        return _M(free, plain, "", "rearrangement")
    return _by_name(func, plain) if library == "aten" else None


def _named(func: Any) -> tuple[str, str, str]:
    """Give its library, its name, and the name without the underscore of an in-place one."""
    library, _, name = func.overloadpacket._qualified_op_name.rpartition("::")
    return library, name, name if name.endswith("__") else name.removesuffix("_")


def _by_name(func: Any, plain: str) -> CountedOperator | None:
    title = "ReLU" if plain == "relu" else "".join(word.capitalize() for word in plain.split("_"))
    pointwise = _M(per_output(1), plain, title, _pointwise_kind(func, plain))
    if plain in POINTWISE:
        return pointwise
    if plain in REDUCTIONS:
        return _M(per_input, plain, title, REDUCTIONS[plain])
    if is_free(func, plain):
        return _M(free, plain, "", "rearrangement")
    if plain.startswith("_foreach_"):
        return _M(lambda a, o: (0, sum(tensor.numel() for tensor in a[0])), "foreach", "Foreach")
    return pointwise if _is_pointwise(func, plain) else None


def _pointwise_kind(func: Any, plain: str) -> Kind:
    """Tell the kind of an operator that works element by element, whatever its formula."""
    if plain in SUMS:
        return "sum"
    if {plain, func.overloadpacket.__name__} & BY_RESULT:
        return "activation"
    several = sum("Tensor" in str(argument.type) for argument in func._schema.arguments) > 1
    return "product" if several or plain in ("mul", "div") else "function"


@cache
def is_pointwise(func: Any) -> bool:
    """Tell whether it takes each element by itself."""
    plain = _named(func)[2]
    return plain in POINTWISE or _is_pointwise(func, plain)


def _is_pointwise(func: Any, plain: str) -> bool:
    """Ask torch's tag, which is missing on some overloads (``mish_``) of operators that have it (``mish``)."""
    packets = func.overloadpacket, getattr(torch.ops.aten, plain, func.overloadpacket)
    return any(torch.Tag.pointwise in getattr(packet, name).tags for packet in packets for name in packet.overloads())
