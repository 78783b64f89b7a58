"""Each layer against torch.nn's of the same name: shapes, parameters, MACs; and what both refuse."""

import math
import pickle
from itertools import product

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from resbench.arch import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    ChannelShuffle,
    ChannelSlice,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    DropPath,
    Flatten,
    GlobalAvgPool,
    GlobalResponseNorm,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Identity,
    LayerNorm2d,
    LayerScale,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    PadChannels,
    PReLU,
    ReLU,
    ReLU6,
    SamePad,
    Scale,
    Seq,
    Sigmoid,
    SiLU,
    SplitSoftmax,
    Tanh,
    cost,
)
from resbench.arch.padding import same_padding
from resbench.errors import ArchitectureError, ShapeError
from resbench.networks import modules


def meta(module, shape):
    """Output shape, parameters and torch's MACs of a module on the meta device: nothing is computed."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        output = module.to("meta").eval()(torch.empty(shape, device="meta"))
    flops = counter.get_total_flops()
    assert flops % 2 == 0
    return tuple(output.shape), sum(p.numel() for p in module.parameters()), flops // 2


def ours(layer, shape):
    output = layer.output(shape)
    return output, layer.params, layer.macs(output)


def name(value):
    """A class by its name, anything else as it prints: the name of a case."""
    return value.__name__ if isinstance(value, type) else str(value)


# -- convolutions and linear layers ---------------------------------------------------------------------------

CONVS = [  # kernel, stride, padding, dilation, groups
    (1, 1, 0, 1, 1),
    (3, 1, 1, 1, 1),
    (3, 2, 1, 1, 1),
    (7, 2, 3, 1, 1),
    (3, 1, 2, 2, 1),
    (3, 3, 0, 2, 1),
    (2, 2, 0, 1, 1),
    (3, 1, 1, 1, 2),
    (3, 2, 1, 1, 4),
    (5, 1, 2, 1, 12),
    ((1, 7), 1, (0, 3), 1, 1),
    ((7, 1), 1, (3, 0), 1, 1),
    ((3, 5), (2, 1), (1, 0), (1, 2), 2),
    ((2, 3), (3, 2), (4, 1), (2, 1), 3),
]


@pytest.mark.parametrize("conv", CONVS, ids=str)
@pytest.mark.parametrize("shape", [(1, 12, 14, 14), (2, 12, 17, 9)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d_is_torchs(conv, shape, bias):
    kernel, stride, padding, dilation, groups = conv
    layer = Conv2d(12, 24, kernel, stride, padding, groups, dilation, bias)
    module = nn.Conv2d(12, 24, kernel, stride, padding, dilation, groups, bias, device="meta")
    assert ours(layer, shape) == meta(module, shape)
    output = layer.output(shape)
    assert layer.elementwise(shape, output) == (math.prod(output) if bias else 0)  # one addition an output


TRANSPOSED = [  # kernel, stride, padding, output padding, groups, dilation
    (2, 2, 0, 0, 1, 1),
    (3, 2, 1, 1, 1, 1),
    (4, 2, 1, 0, 4, 1),
    (3, 1, 2, 0, 1, 2),
    ((3, 5), (2, 3), (1, 0), (0, 2), 3, (2, 1)),
]


@pytest.mark.parametrize("conv", TRANSPOSED, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_conv_transpose2d_is_torchs(conv, bias):
    kernel, stride, padding, more, groups, dilation = conv
    fields = (12, 24, kernel, stride, padding, more, groups, bias, dilation)
    for shape in ((1, 12, 7, 7), (2, 12, 5, 9)):
        assert ours(ConvTranspose2d(*fields), shape) == meta(nn.ConvTranspose2d(*fields, device="meta"), shape)


@pytest.mark.parametrize("sizes", list(product((1, 3, 512), (1, 10, 1000))), ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(sizes, bias):
    layer, module = Linear(*sizes, bias=bias), nn.Linear(*sizes, bias=bias, device="meta")
    assert ours(layer, (4, sizes[0])) == meta(module, (4, sizes[0]))
    assert layer.elementwise((4, sizes[0]), (4, sizes[1])) == (4 * sizes[1] if bias else 0)


def test_depthwise_costs_a_channelth():
    full, depthwise = Conv2d(32, 32, 3, padding=1, bias=False), Conv2d(32, 32, 3, padding=1, groups=32, bias=False)
    shape = (1, 32, 8, 8)
    assert full.params == 32 * depthwise.params
    assert full.macs(shape) == 32 * depthwise.macs(shape)


# -- pooling --------------------------------------------------------------------------------------------------

POOLS = [  # kernel, stride, padding
    (2, 2, 0),
    (2, 0, 0),
    (3, 2, 0),
    (3, 2, 1),
    (3, 1, 1),
    (3, 3, 0),
    (5, 3, 0),
    (5, 3, 2),
    (2, 3, 1),
    ((3, 2), (2, 1), (1, 0)),
    ((1, 4), (3, 2), (0, 2)),
]


@pytest.mark.parametrize("pool", POOLS, ids=str)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("kinds", [(MaxPool2d, nn.MaxPool2d), (AvgPool2d, nn.AvgPool2d)], ids=["max", "avg"])
def test_pools_are_torchs_on_even_and_odd_sizes(pool, ceil_mode, kinds):
    kernel, stride, padding = pool
    layer = kinds[0](kernel, stride, padding, ceil_mode)
    module = kinds[1](kernel, stride or None, padding, ceil_mode=ceil_mode)
    for side in range(5, 16):
        shape = (1, 3, side, side + 4)
        assert ours(layer, shape) == meta(module, shape)
        output = layer.output(shape)
        window = math.prod(kernel) if isinstance(kernel, tuple) else kernel**2
        assert layer.elementwise(shape, output) == math.prod(output) * window


def test_ceil_mode_keeps_the_last_incomplete_window():
    floor, ceil = MaxPool2d(3, 2), MaxPool2d(3, 2, ceil_mode=True)
    assert [pool.output((1, 1, 7, 8)) for pool in (floor, ceil)] == [(1, 1, 3, 3), (1, 1, 3, 4)]


@pytest.mark.parametrize("kinds", [(MaxPool2d, nn.MaxPool2d), (AvgPool2d, nn.AvgPool2d)], ids=["max", "avg"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools_take_the_sizes_that_torch_takes(kinds, ceil_mode):
    for kernel, stride, padding, side in product((1, 2, 3, 4, 5), (1, 2, 3), (0, 1, 2), (1, 2, 3, 4)):
        if 2 * padding > kernel:
            continue
        shape = (1, 1, side, side)
        try:
            expected = meta(kinds[1](kernel, stride, padding, ceil_mode=ceil_mode), shape)[0]
        except RuntimeError:
            expected = None
        try:
            found = kinds[0](kernel, stride, padding, ceil_mode).output(shape)
        except ShapeError:
            found = None
        assert found == expected, (kernel, stride, padding, side)


@pytest.mark.parametrize("size", [1, 2, 7, (1, 1), (3, 2), (6, 9)], ids=str)
@pytest.mark.parametrize("shape", [(1, 4, 7, 7), (2, 4, 8, 5), (1, 4, 1, 1)], ids=str)
def test_adaptive_pooling_is_torchs_and_counts_what_it_reads(size, shape):
    layer = AdaptiveAvgPool2d(size)
    assert ours(layer, shape) == meta(nn.AdaptiveAvgPool2d(size), shape)
    # Every window's extent, read off the gradient of its mean: 1 / n at each of its n elements.
    x = torch.ones(1, 1, *shape[2:], requires_grad=True)
    read = 0
    for y in nn.AdaptiveAvgPool2d(size)(x).flatten():
        read += int(torch.autograd.grad(y, x, retain_graph=True)[0].count_nonzero())
    assert layer.elementwise(shape, layer.output(shape)) == shape[0] * shape[1] * read


def test_global_average_pooling_is_adaptive_to_one():
    assert GlobalAvgPool() == AdaptiveAvgPool2d(1) == AdaptiveAvgPool2d((1, 1))
    assert GlobalAvgPool().elementwise((2, 3, 7, 5), (2, 3, 1, 1)) == 2 * 3 * 7 * 5


# -- the others -----------------------------------------------------------------------------------------------

MAPS = (2, 8, 6, 5)
N = math.prod(MAPS)


@pytest.mark.parametrize(
    ("layer", "module", "elementwise"),
    [
        (BatchNorm2d(8), nn.BatchNorm2d(8), 2 * N),
        (ReLU(), nn.ReLU(), N),
        (ReLU6(), nn.ReLU6(), N),
        (LeakyReLU(0.2), nn.LeakyReLU(0.2), N),
        (ELU(0.5), nn.ELU(0.5), N),
        (GELU(), nn.GELU(), N),
        (GELU("tanh"), nn.GELU("tanh"), N),
        (SiLU(), nn.SiLU(), N),
        (Hardswish(), nn.Hardswish(), N),
        (Sigmoid(), nn.Sigmoid(), N),
        (Hardsigmoid(), nn.Hardsigmoid(), N),
        (Tanh(), nn.Tanh(), N),
        (PReLU(), nn.PReLU(), N),
        (PReLU(8, 0.1), nn.PReLU(8, 0.1), N),
        (DropPath(), modules.DropPath(), 0),
        (LayerNorm2d(8), modules.LayerNorm2d(8), 5 * N),
        (GroupNorm(2, 8), nn.GroupNorm(2, 8), 5 * N),
        (GlobalResponseNorm(8), modules.GlobalResponseNorm(8, 1e-6), 5 * N + 2 * 2 * 8 + 2),
        (LayerScale(8), modules.LayerScale(8, 1e-6), N),
        (ChannelShuffle(4), nn.ChannelShuffle(4), 0),
        (SplitSoftmax(2), modules.SplitSoftmax(2), 3 * N),
        (ChannelSlice(2, 7), modules.ChannelSlice(2, 7), 0),
        (LocalResponseNorm(), nn.LocalResponseNorm(5), 10 * N),
        (LocalResponseNorm(3), nn.LocalResponseNorm(3), 8 * N),
        (Dropout(), nn.Dropout(), 0),
        (Identity(), nn.Identity(), 0),
        (Flatten(), nn.Flatten(), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_layers_without_macs_are_torchs(layer, module, elementwise):
    assert ours(layer, MAPS) == meta(module, MAPS)
    assert layer.elementwise(MAPS, layer.output(MAPS)) == elementwise


@pytest.mark.parametrize(
    ("factor", "offset", "operations"), [(0.5, 0, 1), (-1, 1, 2), (2, 0.5, 2), (1, 1, 2), (1, 0, 1)]
)
def test_scale_is_a_product_and_with_an_offset_a_sum(factor, offset, operations):
    layer = Scale(factor, offset)
    assert ours(layer, MAPS) == (MAPS, 0, 0)
    assert layer.elementwise(MAPS, MAPS) == operations * N


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("sides", [(8, 8), (7, 5), (1, 2)], ids=str)
def test_pad_channels_is_a_strided_slice_and_zeros(stride, sides):
    x = torch.ones(2, 4, *sides, device="meta")
    expected = nn.functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, 6))
    assert ours(PadChannels(4, 10, stride), tuple(x.shape)) == (tuple(expected.shape), 0, 0)
    # the projection that it stands in for gives the same shape
    assert Conv2d(4, 10, 1, stride).output(tuple(x.shape)) == tuple(expected.shape)


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
def test_padding_as_same_gives_a_position_for_each_stride_that_begins(kernel, stride):
    """The zeros are those of TensorFlow's notes on padding, in the other of its two forms: by the rest of the side."""
    for side in range(1, 16):
        rest = side % stride
        total = max(kernel - (rest or stride), 0)
        assert same_padding(side, kernel, stride) == (total // 2, total - total // 2)
        padded = SamePad(kernel, stride).output((1, 4, side, side + 1))
        assert Conv2d(4, 4, kernel, stride).output(padded)[2:] == (-(-side // stride), -(-(side + 1) // stride))


def test_silent_layers_have_no_row_and_free_ones_no_work():
    assert cost(Identity(), (3, 4, 4)).layers == cost(Flatten(), (3, 4, 4)).layers == ()
    assert [row[2:7] for row in cost(Dropout(), (3, 4, 4)).layers] == [((1, 3, 4, 4), 0, 0, 0, 48)]
    assert [row[2:7] for row in cost(PadChannels(3, 5), (3, 4, 4)).layers] == [((1, 5, 4, 4), 0, 0, 0, 80)]


# -- what is refused, each beside its nearest accepted neighbour -----------------------------------------------


@pytest.mark.parametrize(
    ("kind", "accepted", "rejected", "field"),
    [
        (Conv2d, (1, 64, 3), (0, 64, 3), "in_channels"),
        (Conv2d, (3, 64, 3), (3, -64, 3), "out_channels"),
        (Conv2d, (3, 64, 3), (3.0, 64, 3), "in_channels"),
        (Conv2d, (3, 64, 3), ("3", 64, 3), "in_channels"),
        (Conv2d, (1, 64, 3), (True, 64, 3), "in_channels"),
        (Conv2d, (1, 2**20, 1), (1, 2**20 + 1, 1), "out_channels"),
        (Conv2d, (3, 64, 1), (3, 64, 0), "kernel"),
        (Conv2d, (3, 64, (1, 7)), (3, 64, (1, 0)), "kernel"),
        (Conv2d, (3, 64, (3, 3)), (3, 64, (3, 3, 3)), "kernel"),
        (Conv2d, (3, 64, (3, 3)), (3, 64, [3, 3]), "kernel"),
        (Conv2d, (3, 64, 3, 1), (3, 64, 3, 0), "stride"),
        (Conv2d, (3, 64, 3, 1, 0), (3, 64, 3, 1, -1), "padding"),
        (Conv2d, (3, 64, 3, 1, 1), (3, 64, 3, 1, "same"), "padding"),
        (Conv2d, (6, 9, 3, 1, 0, 3), (6, 9, 3, 1, 0, 2), "groups"),
        (Conv2d, (6, 9, 3, 1, 0, 1), (6, 9, 3, 1, 0, 0), "groups"),
        (Conv2d, (3, 64, 3, 1, 0, 1, 1), (3, 64, 3, 1, 0, 1, 0), "dilation"),
        (Conv2d, (3, 64, 3, 1, 0, 1, 1, False), (3, 64, 3, 1, 0, 1, 1, "no"), "bias"),
        (Conv2d, (3, 64, 3, 1, 0, 1, 1, True), (3, 64, 3, 1, 0, 1, 1, 2), "bias"),
        (Conv2d, (3, 64, 3, 1, 0, 1, 1, True, -6), (3, 64, 3, 1, 0, 1, 1, True, math.nan), "bias_init"),
        (Linear, (1, 10), (0, 10), "in_features"),
        (Linear, (64, 1), (64, 0), "out_features"),
        (Linear, (64, 10, False), (64, 10, None), "bias"),
        (BatchNorm2d, (1,), (0,), "channels"),
        (BatchNorm2d, (64, 1e-3), (64, math.inf), "eps"),
        (BatchNorm2d, (64, 1e-3, 1), (64, 1e-3, 1.1), "momentum"),
        (PReLU, (1, 0), (0, 0), "channels"),
        (PReLU, (1, 0), (1, math.inf), "init"),
        (DropPath, (0.2,), (1,), "p"),
        (ConvTranspose2d, (6, 9, 3, 1, 0, 0, 3), (6, 9, 3, 1, 0, 0, 2), "groups"),
        (ConvTranspose2d, (6, 9, 3, 2, 0, 1), (6, 9, 3, 2, 0, 2), "output_padding"),
        (LayerNorm2d, (64, 0), (64, -1e-6), "eps"),
        (GroupNorm, (4, 64), (5, 64), "groups"),
        (GlobalResponseNorm, (1,), (0,), "channels"),
        (LayerScale, (64, 0), (64, math.nan), "init"),
        (SplitSoftmax, (2,), (1,), "splits"),
        (ChannelSlice, (0, 1), (0, 0), "stop"),
        (ChannelSlice, (3, 4), (4, 4), "stop"),
        (ChannelSlice, (0, 4), (-1, 4), "start"),
        (ChannelShuffle, (2,), (1,), "groups"),
        (AvgPool2d, (2, 2, 0, False, False), (2, 2, 0, False, 0), "count_include_pad"),
        (MaxPool2d, (3, 2, 1), (3, 2, 2), "padding"),
        (MaxPool2d, (3, 0), (3, -1), "stride"),
        (MaxPool2d, (3, 2, 0, True), (3, 2, 0, "yes"), "ceil_mode"),
        (AvgPool2d, (1,), (0,), "kernel"),
        (AvgPool2d, ((1, 2), 1, (0, 1)), ((1, 2), 1, (1, 1)), "padding"),
        (AdaptiveAvgPool2d, (1,), (0,), "size"),
        (AdaptiveAvgPool2d, ((1, 2),), ((1, None),), "size"),
        (LocalResponseNorm, (1,), (0,), "size"),
        (Dropout, (0,), (-0.1,), "p"),
        (Dropout, (0.999,), (1,), "p"),
        (Dropout, (0.5,), (math.nan,), "p"),
        (LeakyReLU, (0.2,), (math.nan,), "slope"),
        (ELU, (2,), ("2",), "alpha"),
        (GELU, ("tanh",), ("erf",), "approximate"),
        (Scale, (0,), (math.inf,), "factor"),
        (Scale, (1, 1), (1, "1"), "offset"),
        (PadChannels, (16, 16, 2), (16, 15, 2), "out_channels"),
        (PadChannels, (16, 32, 1), (16, 32, 0), "stride"),
        (SamePad, (1, 1), (0, 1), "kernel"),
        (SamePad, (3, 2), (3, 0), "stride"),
    ],
    ids=name,
)
def test_a_value_is_refused_where_it_is_made(kind, accepted, rejected, field):
    kind(*accepted)
    with pytest.raises(ArchitectureError, match=rf"^{kind.__name__}: {field} must be .*, received "):
        kind(*rejected)


def test_nesting_is_bounded_where_it_is_made():
    node = Seq(conv=Conv2d(3, 8, 1))
    for _ in range(99):
        node = Seq(node)
    assert cost(node, (3, 4, 4)).macs == 24 * 16
    assert eval(repr(node)) == node
    assert len({node, pickle.loads(pickle.dumps(node))}) == 1
    with pytest.raises(ArchitectureError, match="at most 100 deep, received 101"):
        Seq(node)


@pytest.mark.parametrize(
    ("layer", "accepted", "rejected", "message"),
    [
        (Conv2d(3, 8, 3), (1, 3, 9, 9), (1, 4, 9, 9), "expects 3 channels, received 4x9x9"),
        (PReLU(4), (1, 4, 9, 9), (1, 3, 9, 9), "expects 4 channels, received 3x9x9"),
        (ConvTranspose2d(3, 8, 1, 1, 1), (1, 3, 3, 3), (1, 3, 2, 3), "needs a larger input than 3x2x3"),
        (ChannelSlice(1, 4), (1, 4, 9, 9), (1, 3, 9, 9), "expect at least 4 channels, received 3x9x9"),
        (SplitSoftmax(2), (1, 4, 1, 1), (1, 3, 1, 1), "expects a multiple of 2 channels, received 3x1x1"),
        (ChannelShuffle(2), (1, 4, 9, 9), (1, 3, 9, 9), "expects a multiple of 2 channels, received 3x9x9"),
        (GroupNorm(4, 4), (2, 4, 1, 1), (1, 4, 1, 1), "expects more than one value a group, received 4x1x1"),
        (Conv2d(3, 8, 3), (1, 3, 3, 3), (1, 3, 2, 3), "needs a larger input than 3x2x3: its window spans 3"),
        (Conv2d(3, 8, 3, dilation=2), (1, 3, 5, 5), (1, 3, 4, 5), "its window spans 5"),
        (Conv2d(3, 8, 3, padding=1), (1, 3, 1, 1), (1, 3), "expects CxHxW maps, received 3"),
        (Conv2d(3, 8, 3), (2, 3, 9, 9), (2, 3, 9), "expects CxHxW maps, received 2x3x9"),
        (BatchNorm2d(3), (1, 3, 1, 1), (1, 2, 1, 1), "expects 3 channels"),
        (Linear(3, 8), (1, 3), (1, 4), "fc 8 expects 3 features, received 4"),
        (Linear(3, 8), (1, 3), (1, 3, 3, 3), "expects 3 features, received 3x3x3"),
        (MaxPool2d(3), (1, 1, 3, 3), (1, 1, 2, 3), "needs a larger input"),
        (AvgPool2d(2, 1, 1), (1, 1, 1, 1), (1, 4), "expects CxHxW maps"),
        (AdaptiveAvgPool2d(7), (1, 1, 1, 1), (1, 49), "expects CxHxW maps"),
        (PadChannels(3, 8), (1, 3, 4, 4), (1, 8, 4, 4), "expects 3 channels, received 8x4x4"),
        (LocalResponseNorm(), (1, 3, 4, 4), (1, 3), "expects"),
        (SamePad(3, 2), (1, 3, 4, 4), (1, 3), "expects"),
    ],
    ids=str,
)
def test_a_shape_is_refused_where_it_does_not_fit(layer, accepted, rejected, message):
    layer.output(accepted)
    with pytest.raises(ShapeError, match=message):
        layer.output(rejected)


def test_a_single_number_stands_for_both_sides():
    assert Conv2d(3, 8, 3, 2, 1) == Conv2d(3, 8, (3, 3), (2, 2), (1, 1))
    assert MaxPool2d(2) == MaxPool2d(2, 2) == MaxPool2d((2, 2), (2, 2))
    assert MaxPool2d(2) != AvgPool2d(2)


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (Conv2d(3, 64, 7, 2, 3, bias=False), "Conv2d(3, 64, 7, stride=2, padding=3, bias=False)"),
        (Conv2d(64, 64, (1, 7), padding=(0, 3)), "Conv2d(64, 64, (1, 7), padding=(0, 3))"),
        (MaxPool2d(3, 2, ceil_mode=True), "MaxPool2d(3, stride=2, ceil_mode=True)"),
        (GlobalAvgPool(), "AdaptiveAvgPool2d(1)"),
        (Scale(-1, 1), "Scale(-1, offset=1)"),
        (ReLU(), "ReLU()"),
    ],
    ids=str,
)
def test_a_layer_prints_as_it_is_written(layer, text):
    assert repr(layer) == str(layer) == text
