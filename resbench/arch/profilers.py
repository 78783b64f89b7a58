"""Programs count networks by rules of their own, and zoos print what they say: thop, and Paddle's summary.

>>> from resbench.arch.catalog import architecture
>>> net = counted(architecture("resnet50"))
>>> CONVENTIONS[f"{THOP} + 2 an element of BN, {PICTURED}"](net), CONVENTIONS[PADDLE](net)
(5282531328, 8187735552)
"""

from collections.abc import Sequence
from math import prod

from resbench.arch.acyclic import remembered
from resbench.arch.algebra import Node
from resbench.arch.conventions import CONVENTIONS as CONVENTIONS
from resbench.arch.conventions import GATES, POOLS, Counted, convention, counted_at
from resbench.arch.conventions import counted as counted
from resbench.arch.cost import cost
from resbench.arch.count import KNOWN
from resbench.arch.editing import select
from resbench.arch.entry import Size
from resbench.arch.layers import Conv2d, Linear
from resbench.arch.rows import Row

# -- thop, by which timm's model cards were made ------------------------------------------------------

THOP = "MACs + biases of convolutions + poolings"
STRIDED = "without what strides"
PICTURED = "of a wider picture"

PICTURE = 1.2745
"""The figures of timm's model cards follow to the last digit if the input was a picture, scaled to the height that they
state and not cropped, so many times as wide as high. Nobody says so, but 60 figures at nine heights agree."""


@convention(f"{THOP}, {PICTURED}")
def thop(net: Counted) -> int:
    """An average takes 1 an element, or its window and 1 where its size is adapted, and the pooling of a gate, which is
    no module, nothing. The last fully connected layer is not there, nor a BN that is of a class of timm's own."""
    wide = _pictured(net)
    linear = [layer.params for layer in _linears(net)][-1:]
    convolved = wide.macs + wide.elementwise("Conv2d", "Linear") - sum(linear)
    return convolved + wide.elements("AvgPool2d") + sum(wide.types["AdaptiveAvgPool2d"].each[-1])


@convention(f"{THOP} + 2 an element of BN, {PICTURED}")
def thop_with_norms(net: Counted) -> int:
    return thop(net) + _pictured(net).elementwise("BatchNorm2d")


@convention(f"{THOP} + 2 an element of BN, {STRIDED}, {PICTURED}")
def thop_without_strides(net: Counted) -> int:
    """With TensorFlow's padding a convolution that strides is of a class of timm's own."""
    rows = _convolutions(_pictured(net))
    return thop_with_norms(net) - sum(row.macs + row.elementwise for row, conv in rows if conv.stride != (1, 1))


def _pictured(net: Counted) -> Counted:
    channels, height, _ = net.input
    return counted_at(net.body, (channels, height, int(PICTURE * height)))


# -- Paddle's summary, by which the tables of PaddleClas were made ------------------------------------

AGAIN = "groups divided out twice"
PADDLE = f"2 MACs + ReLU + pooling windows, {AGAIN}"


@convention(PADDLE)
def paddle(net: Counted) -> int:
    """A filter has in / groups channels already when they are divided by the groups, so that nothing is left of a
    depthwise one. A MAC of a fully connected layer is one operation, and BN is part of its convolution.

    Source: ``python/paddle/fluid/contrib/model_stat.py`` of Paddle.
    """
    convolved = sum(prod(row.output) * _filter(conv) for row, conv in _convolutions(net))
    connected = sum(layer.in_features * layer.out_features for layer in _linears(net))
    return 2 * convolved + connected + net.elements("ReLU", "Sigmoid") + net.elementwise("MaxPool2d", "AvgPool2d")


@convention(f"{PADDLE}, + 2 an element of BN")
def paddle_with_norms(net: Counted) -> int:
    return paddle(net) + net.elementwise("BatchNorm2d")


@convention(f"{PADDLE}, + a projection in the first sum")
def paddle_with_projection(net: Counted) -> int:
    """Their ResNets of basic blocks project in the first block too, where the shape stays."""
    if "Add" not in net.types:
        return paddle(net)
    elements, (_, height, width) = net.types["Add"].each[0][1], net.input
    return paddle(net) + 2 * elements * (elements // (height // 4 * (width // 4)))


@convention(f"parameters - biases of convolutions, {AGAIN}")
def paddle_parameters(net: Counted) -> int:
    """A fully connected layer has one bias."""
    filters = sum(conv.out_channels * _filter(conv) for _, conv in _convolutions(net))
    connected = sum(layer.in_features * layer.out_features + 1 for layer in _linears(net))
    return filters + net.params_of("BatchNorm2d") + connected


def _filter(conv: Conv2d) -> int:
    return conv.in_channels // conv.groups // conv.groups * prod(conv.kernel)  # type: ignore[arg-type]


# -- ptflops, by which some figures of OpenMMLab were made --------------------------------------------

PTFLOPS = "MACs + biases of convolutions + 2 an element of BN + 1 of activations + what poolings read"


@convention(PTFLOPS)
def ptflops(net: Counted) -> int:
    """It counts modules."""
    rows = cost(net.body, net.input).layers
    read = sum(prod(rows[place].output) for row in rows if row.type in POOLS for place in row.reads)
    return net.macs + net.elementwise("Conv2d", "BatchNorm2d", *GATES) + read


@convention(f"{PTFLOPS} - classifier")
def ptflops_of_trunk(net: Counted) -> int:
    return ptflops(net) - sum(layer.in_features * layer.out_features for layer in _linears(net)[-1:])


# -- fvcore, by which most of OpenMMLab's were made ---------------------------------------------------

FVCORE = "MACs + 5 an element of BN + average pooling - classifier"


@convention(f"{FVCORE}, with the strides in the 1x1 behind a 3x3")
def late_strides(net: Counted) -> int:
    """Where a 3x3 strides here it does not there, as in OpenMMLab's fused units of EfficientNet v2, and it gives four
    times as many outputs. The stem is the same."""
    rows = _convolutions(net)
    strided = [row for row, conv in rows if conv.stride == (2, 2) and conv.groups == 1 and conv.in_channels > 3]
    return CONVENTIONS[FVCORE](net) + sum(3 * (row.macs + 5 * prod(row.output)) for row in strided)


# -- layers -------------------------------------------------------------------------------------------


def _linears(net: Counted) -> list[Linear]:
    found = select(net.body, Linear) if "Linear" in net.types else ()
    return [layer for _, layer in found if isinstance(layer, Linear)]


def _convolutions(net: Counted) -> Sequence[tuple[Row, Conv2d]]:
    """Each comes with its row at the input of the network."""
    return _placed(net.body, net.input)


@remembered(KNOWN)
def _placed(body: Node, input: Size) -> Sequence[tuple[Row, Conv2d]]:
    layers = dict(select(body, Conv2d))
    found = ((row, layers.get(row.name)) for row in cost(body, input).layers)
    return [(row, layer) for row, layer in found if isinstance(layer, Conv2d)]
