"""The MACs of convolutions, matrix products, attention and recurrent layers are functions of shapes.

The conventions are those of ``resbench.arch.layers``; ``docs/counting.md`` states them.
"""

from itertools import zip_longest
from math import prod
from typing import Any

import torch
from torch import Tensor

from resbench.operators.rules import Rule, Work, first

SPARSE = frozenset((torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc))

# -- matrices -----------------------------------------------------------------------------------------


def macs(a: Tensor, b: Tensor) -> int:
    """Count (..., n, k) x (..., k, m): n k m for each matrix of the batch; of a sparse one its stored elements."""
    columns = b.shape[-1] if b.dim() > 1 else 1
    if a.layout is b.layout is torch.strided:
        return a.numel() * columns
    if b.layout in SPARSE:
        return _pairs(a, b) if a.layout in SPARSE else stored(b) * (a.shape[-2] if a.dim() > 1 else 1)
    return (stored(a) if a.layout in SPARSE else a.numel()) * columns


def stored(tensor: Tensor) -> int:
    """Count the elements that a sparse tensor keeps."""
    return (tensor._values() if tensor.is_sparse else tensor.values()).numel()


def _pairs(a: Tensor, b: Tensor) -> int:
    """Count two sparse matrices (n, k) x (k, m): for each k, the elements of a's column with those of b's row."""
    left, right = (tensor.to_sparse(layout=torch.sparse_coo)._indices() for tensor in (a, b))
    counts = (torch.bincount(index, minlength=a.shape[1]) for index in (left[1], right[0]))
    return int(torch.dot(*counts))


def product(a: int, b: int, *, added: bool = False) -> Rule:
    """Count the product of two arguments; ``added`` to a third it takes one operation an element of the result."""
    return lambda args, out: (macs(args[a], args[b]), out.numel() if added else 0)


def linear(args: tuple[Any, ...], out: Any) -> Work:
    """Count (..., k) by weights (n, k). args: x, weight, bias."""
    bias = len(args) > 2 and args[2] is not None
    return args[0].numel() * args[1].shape[0], out.numel() if bias else 0


def rows(args: tuple[Any, ...], out: Any) -> Work:
    """Count rows of k elements by weights that are packed in whatever form: k for each element of the result."""
    return args[0].shape[-1] * out.numel(), 0


def grouped(args: tuple[Any, ...], out: Any) -> Work:
    """Count one product a group (an expert's rows by its weights), where offsets cut the rows, the columns or the inner
    dimension into groups: each row meets the weights of its own group alone. args: a, b, offsets, ..."""
    a, b = args[:2]
    shared = a.shape[0] if a.dim() == 3 and b.dim() == 2 else 1  # columns are cut: each stack of rows has its own
    return a.numel() * b.shape[-1] // shared, 0


def sampled(args: tuple[Any, ...], out: Any) -> Work:
    """Count a product of which only the elements of a sparse pattern are computed. args: pattern, a, b."""
    return stored(args[0]) * args[1].shape[-1], stored(args[0])


def listed(args: tuple[Any, ...], out: Any) -> Work:
    """Count one product for each pair of two lists."""
    return sum(map(macs, *args[:2])), 0


def bilinear(args: tuple[Any, ...], out: Any) -> Work:
    """Sum a product of three tensors, as y_o = sum A_oij (x_i z_j) and its gradients do: one MAC for each of their
    common elements; the product of the first and the last is elementwise. args: x, A, z, axes that each lacks (3)."""
    shapes = []
    for tensor, axes in zip(args[:3], args[3:6], strict=True):
        shape = list(tensor.shape)
        for axis in axes:
            shape.insert(axis, 1)
        shapes.append(shape)
    x, _, z = shapes
    outer = prod(map(max, zip_longest(x, z, fillvalue=1)))
    return prod(map(max, zip_longest(*shapes, fillvalue=1))), outer


def distances(args: tuple[Any, ...], out: Any) -> Work:
    """Count distances between all rows of a (..., n, k) and b (..., m, k). Euclidean ones sum squares of differences:
    k MACs, k differences and a root each; others a difference, its power and its sum. args: a, b, p (2 if missing)."""
    terms = out.numel() * args[0].shape[-1]
    return (terms, terms + out.numel()) if len(args) < 3 or args[2] == 2 else (0, 3 * terms)


def row_distances(args: tuple[Any, ...], out: Any) -> Work:
    """Count the distances between the rows of one matrix. args: a, p."""
    return distances((args[0], args[0], *args[1:]), out)


# -- convolutions -------------------------------------------------------------------------------------


def convolution(args: tuple[Any, ...], out: Any) -> Work:
    """Count each weight once per output position; transposed, per input position. args: x, w, bias, ..., transposed."""
    x, weight, bias = args[:3]
    transposed = len(args) > 6 and args[6] is True
    positions = x.numel() if transposed else out.numel()
    return positions * prod(weight.shape[1:]), out.numel() if bias is not None else 0


def forward_convolution(bias: int | None) -> Rule:
    """Count a convolution that is never transposed. args: x, w, ..., with the bias at that index."""

    def rule(args: tuple[Any, ...], out: Any) -> Work:
        biases = () if bias is None else args[bias : bias + 1]
        return convolution((*args[:2], *biases, None), out)

    return rule


def convolution_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Count the forward pass's MACs once for each gradient asked for, of the input and of the weight; torch's own
    formula forgets groups. args: gradient, x, w, ..., transposed (7), ..., output_mask."""
    gradient, x, weight = args[:3]
    positions = x.numel() if args[7] else gradient.numel()
    return sum(args[-1][:2]) * positions * prod(weight.shape[1:]), 0


def time_convolution(args: tuple[Any, ...], out: Any) -> Work:
    """Count a convolution over (time, batch, channels), with weights (k, C, C'). args: x, w, bias, padding."""
    return out.numel() * prod(args[1].shape[:2]), out.numel()


def time_convolution_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Count the gradients of the input and of the weight. args: gradient, x, w, ..."""
    return 2 * args[0].numel() * prod(args[2].shape[:2]), 0


# -- layers whose weights are packed --------------------------------------------------------------------


def packed_weights(args: tuple[Any, ...]) -> list[Tensor]:
    """Give as tensors the weights among an operator's arguments that lie in an object of a library's own."""
    return [arg.unpack()[0] for arg in args if isinstance(arg, torch.ScriptObject) and hasattr(arg, "unpack")]


def packed_linear(args: tuple[Any, ...], out: Any) -> Work:
    """Count a quantised layer; the weights are unpacked for their shape. args: x, packed, ..."""
    weight, bias = args[1].unpack()
    return args[0].numel() * weight.shape[0], out.numel() if bias is not None else 0


def packed_convolution(transposed: bool) -> Rule:
    """Count a quantised convolution. args: x, packed, ..."""
    return lambda args, out: convolution((args[0], *args[1].unpack(), None, None, None, transposed), out)


# -- attention ----------------------------------------------------------------------------------------


def attention(args: tuple[Any, ...], out: Any) -> Work:
    """Count Q K^T and the weights times V: B H L S (E + Ev); the scale and the softmax are 4 operations a weight."""
    query, key, value = args[:3]
    *batch, length, width = query.shape
    weights = prod(batch) * length * key.shape[-2]
    return weights * (width + value.shape[-1]), 4 * weights


def attention_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Count Q K^T once more, for it was not kept, and twice the forward's products. args: gradient, q, k, v."""
    macs, _ = attention(args[1:4], out)
    query, key = args[1:3]
    return 2 * macs + query.numel() * key.shape[-2], 0


# -- recurrent layers -----------------------------------------------------------------------------------

LSTM, LSTM_BIASES = 13, 8
"""Both products' sum takes 4, sigmoids 3, tanh 2, c = f c + i g 3, h = o tanh(c) 1; two biases go to four gates."""

GRU, GRU_BIASES = 10, 6
"""Sums take 2, sigmoids 2, n = tanh(x + r h) 3, h = n + z (h - n) 3; two biases go to three gates."""

RNN, RNN_BIASES = 2, 2
"""The sum takes 1, tanh or ReLU 1; there are two biases."""

CUDNN_CELLS = ((RNN, RNN_BIASES), (RNN, RNN_BIASES), (LSTM, LSTM_BIASES), (GRU, GRU_BIASES))
"""cuDNN's modes are ReLU, tanh, LSTM, GRU."""


def cell(operations: int, biases: int) -> Rule:
    """Count what follows the products in a step, for each element of the state. args: gates, gates, state, bias, ..."""

    def rule(args: tuple[Any, ...], out: Any) -> Work:
        biased = len(args) > 3 and args[3] is not None
        return 0, (operations + biases * biased) * first(out).numel()

    return rule


def mkldnn_lstm(args: tuple[Any, ...], out: Any) -> Work:
    """Count one layer and direction: both weight matrices and the cell at every step. args: x, w_ih, w_hh, b_ih, ..."""
    x, w_ih, w_hh = args[:3]
    hidden, biased = args[10], args[12]
    steps = prod(x.shape[:-1])
    return steps * (w_ih.numel() + w_hh.numel()), steps * hidden * (LSTM + LSTM_BIASES * biased)


def mkldnn_lstm_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Count the gradients of input and weights: the forward's products twice. args: x, w_ih, w_hh, ..."""
    x, w_ih, w_hh = args[:3]
    return 2 * prod(x.shape[:-1]) * (w_ih.numel() + w_hh.numel()), 0


def cudnn_rnn(args: tuple[Any, ...], out: Any) -> Work:
    """Count all layers and directions: every weight matrix and cell at every step. args: x, weights, ..., mode (6),
    hidden size (7), ..., layers (9), ..., bidirectional (13)."""
    x, weights = args[:2]
    steps = prod(x.shape[:-1])
    operations, biases = CUDNN_CELLS[args[6]]
    biased = any(weight.dim() == 1 for weight in weights)
    states = steps * args[7] * args[9] * (2 if args[13] else 1)
    return steps * _matrices(weights), states * (operations + biases * biased)


def cudnn_rnn_backward(args: tuple[Any, ...], out: Any) -> Work:
    """Count the gradients of input and weights: the forward's products twice. args: x, weights, ..."""
    return 2 * prod(args[0].shape[:-1]) * _matrices(args[1]), 0


def _matrices(weights: list[Tensor]) -> int:
    return sum(weight.numel() for weight in weights if weight.dim() == 2)
