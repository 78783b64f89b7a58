"""A convention says what somebody counts as the parameters or the work of a network, as a formula of its layers.

>>> from resbench.arch.catalog import architecture
>>> net = counted(architecture("resnet50"))
>>> net.macs, CONVENTIONS["MACs + biases"](net), CONVENTIONS["2 MACs"](net)
(4089184256, 4089185256, 8178368512)

Elements are those of a layer's output. The formulas that follow a program's code name it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import prod

from resbench.arch.acyclic import remembered
from resbench.arch.algebra import Combinator, Node, Operator, Seq, Shape
from resbench.arch.catalog import Architecture
from resbench.arch.cost import Stream, fold
from resbench.arch.count import KNOWN, count_operator
from resbench.arch.editing import select
from resbench.arch.entry import Size
from resbench.arch.layers import Conv2d
from resbench.arch.rows import Row

NORMS = ("BatchNorm2d", "LayerNorm2d", "GroupNorm")
GATES = ("ReLU", "ReLU6", "SiLU", "Hardswish", "Sigmoid", "Hardsigmoid", "GELU")
WINDOWS = ("MaxPool2d", "AvgPool2d")
POOLS = (*WINDOWS, "AdaptiveAvgPool2d")


@dataclass
class Sums:
    """All layers of one type together take this."""

    params: int = 0
    macs: int = 0
    elementwise: int = 0
    elements: int = 0
    """Their outputs have so many elements."""
    each: list[tuple[int, int]] = field(default_factory=list)
    """Elementwise operations and elements of each, in running order."""

    def add(self, other: "Sums") -> None:
        self.params += other.params
        self.macs += other.macs
        self.elementwise += other.elementwise
        self.elements += other.elements
        self.each += other.each


@dataclass(frozen=True)
class Counted:
    """A network is counted at one input, by type of layer."""

    body: Node
    input: Size
    types: Mapping[str, Sums]

    @property
    def params(self) -> int:
        return self._sum("params", self.types)

    @property
    def macs(self) -> int:
        return self._sum("macs", self.types)

    def elementwise(self, *types: str) -> int:
        """Sum the elementwise operations of these types, or of all."""
        return self._sum("elementwise", types or self.types)

    def elements(self, *types: str) -> int:
        return self._sum("elements", types)

    def params_of(self, *types: str) -> int:
        return self._sum("params", types)

    def _sum(self, what: str, types: Iterable[str]) -> int:
        return sum(getattr(self.types[one], what) for one in types if one in self.types)


def counted(net: Architecture) -> Counted:
    """Count a network at its input, its layers summed by type. Each distinct part is looked at once.

    Raises ShapeError where shapes do not fit.
    """
    return counted_at(net.body, net.input)


@remembered(KNOWN)
def counted_at(body: Node, input: Size) -> Counted:
    """Count a network at any input."""
    types: defaultdict[str, Sums] = defaultdict(Sums)
    _flow(body, (1, *input), types)
    return Counted(body, input, dict(types))


def _flow(node: Node, shape: Shape, types: defaultdict[str, Sums]) -> Shape:
    """Add what a node takes at a shape, and give the shape that flows out of it."""
    if isinstance(node, Seq):
        for _, part in node.parts:
            shape = _flow(part, shape, types)
        return shape
    out, known = _known(node, shape)
    for kind, sums in known.items():
        types[kind].add(sums)
    return out


@remembered(KNOWN)
def _known(node: Node, shape: Shape) -> tuple[Shape, Mapping[str, Sums]]:
    types: defaultdict[str, Sums] = defaultdict(Sums)
    rows: list[Row] = []
    if isinstance(node, Operator):
        rows.append(count_operator(node, [_flow(part, shape, types) for part in node], False, "inference").row)
        out = rows[-1].output
    else:  # the fold itself knows that a head does not run
        out = fold(node, "", Stream(shape), rows).shape
    for row in rows:
        elements = prod(row.output)
        one = Sums(row.params, row.macs, row.elementwise, elements, [(row.elementwise, elements)])
        types[row.type].add(one)
    return out, dict(types)


Formula = Callable[[Counted], int]
CONVENTIONS: dict[str, Formula] = {}
"""They stand here by the text that explains them."""


def convention(text: str) -> Callable[[Formula], Formula]:
    def add(formula: Formula) -> Formula:
        CONVENTIONS[text] = formula
        return formula

    return add


@convention("2 MACs")
def both_operations(net: Counted) -> int:
    return 2 * net.macs


@convention("MACs + biases")
def with_biases(net: Counted) -> int:
    return net.macs + net.elementwise("Conv2d", "Linear")


@convention("MACs + 2 an element of BN, 5 of LN")
def with_norms(net: Counted) -> int:
    """fvcore counts so; its adaptive pooling is `with_norms_and_poolings`."""
    return net.macs + net.elementwise(*NORMS)


@convention("MACs + 2 an element of BN, 5 of LN + average pooling")
def with_norms_and_poolings(net: Counted) -> int:
    return with_norms(net) + net.elementwise("AdaptiveAvgPool2d")


@convention("MACs + 2 an element of BN, 5 of LN + average pooling - classifier")
def trunk(net: Counted) -> int:
    return with_norms_and_poolings(net) - _classifier(net)


@convention("MACs + 5 an element of BN + average pooling - classifier")
def trunk_in_training(net: Counted) -> int:
    """fvcore counts 5 where the BN takes the statistics of the batch."""
    return net.macs + 5 * net.elements("BatchNorm2d") + net.elementwise("AdaptiveAvgPool2d") - _classifier(net)


@convention("MACs + 5 an element of LN - classifier")
def trunk_with_layer_norms(net: Counted) -> int:
    return net.macs + net.elementwise("LayerNorm2d") - _classifier(net)


@convention("MACs + 1 an element of LN, without the stem's and the last + average pooling - classifier")
def trunk_with_inner_norms(net: Counted) -> int:
    inner = sum(elements for _, elements in net.types["LayerNorm2d"].each[1:-1]) if "LayerNorm2d" in net.types else 0
    return net.macs + inner + net.elementwise("AdaptiveAvgPool2d") - _classifier(net)


@convention("2 MACs of convolutions")
def convolutions_twice(net: Counted) -> int:
    return 2 * (net.macs - _classifier(net))


@convention("MACs, cut to whole millions")
def cut(net: Counted) -> int:
    return net.macs // 10**6 * 10**6


@convention("MACs of convolutions")
def convolutions(net: Counted) -> int:
    return net.macs - _classifier(net)


@convention("half the operations of modules")
def half_operations(net: Counted) -> int:
    """A convolution without bias has (2 kh kw H' W' - 1) C C' / g of them; BN 4 an element, a sigmoid 4, SiLU 5.

    Source: ``gluon/model_stats.py`` of imgclsmob.
    """
    return (_operations(net) + _last_pooling(net)[0]) // 2


@convention("half the operations of modules, the last pooling 1 a channel")
def half_operations_pooled_once(net: Counted) -> int:
    return (_operations(net) + _last_pooling(net)[1]) // 2


@convention("half the operations of modules, without a last pooling")
def half_operations_not_pooled(net: Counted) -> int:
    return _operations(net) // 2


@convention("half the operations of modules, without a last pooling, and of a pooling in the first shortcut")
def half_operations_of_first_shortcut(net: Counted) -> int:
    """ResNet-D averages there over 1x1, which takes an operation an element."""
    return (_operations(net) + _stem_elements(net)) // 2


@convention("half the operations of modules, and of one more BN and ReLU behind the stem")
def half_operations_of_stem(net: Counted) -> int:
    return half_operations(net) + 5 * _stem_elements(net) // 2


@convention("parameters - gammas and betas of BN")
def without_norms(net: Counted) -> int:
    return net.params - net.params_of("BatchNorm2d")


@convention("parameters + running statistics")
def with_statistics(net: Counted) -> int:
    return net.params + net.params_of("BatchNorm2d")


@convention("parameters + running statistics + 7 of the input's normalisation")
def with_input_statistics(net: Counted) -> int:
    """Mean and variance of three channels, and how many were seen: a layer of the network in Keras."""
    return with_statistics(net) + 7


@convention("parameters + running statistics + a bias in each convolution")
def with_statistics_and_biases(net: Counted) -> int:
    return with_statistics(net) + net.params_of("BatchNorm2d") // 2


@convention("parameters + running statistics - gammas")
def with_statistics_without_gammas(net: Counted) -> int:
    return with_statistics(net) - net.params_of("BatchNorm2d") // 2


@convention("parameters + running statistics + a bias in the convolutions of stem, sums and shortcuts")
def with_statistics_and_outer_biases(net: Counted) -> int:
    convolutions = {name: node for name, node in select(net.body, Conv2d) if isinstance(node, Conv2d)}
    outer = ("conv3", "downsample", "0")
    last = (node.out_channels for name, node in convolutions.items() if name == "conv1" or name.split(".")[-1] in outer)
    return with_statistics(net) + sum(last)


@convention("parameters + a BN of 64 channels behind the stem")
def with_stem_norm(net: Counted) -> int:
    return net.params + 2 * 64


def _classifier(net: Counted) -> int:
    return net.types["Linear"].macs if "Linear" in net.types else 0


def _last_pooling(net: Counted) -> tuple[int, int]:
    """Give the operations and the elements of the pooling before the classifier."""
    return next((net.types[one].each[-1] for one in ("AdaptiveAvgPool2d", "AvgPool2d") if one in net.types), (0, 0))


def _stem_elements(net: Counted) -> int:
    """The maximum behind the stem gives so many."""
    return net.types["MaxPool2d"].each[0][1] if "MaxPool2d" in net.types else 0


def _operations(net: Counted) -> int:
    activations = (
        net.elements("ReLU", "ReLU6", "Hardsigmoid")
        + 2 * net.elements("Hardswish")
        + 4 * net.elements("Sigmoid")
        + 5 * net.elements("SiLU")
    )
    moved = net.elements("ChannelShuffle") + net.elementwise(*WINDOWS) + 4 * net.elements("BatchNorm2d")
    return 2 * net.macs - _unbiased(net.body) + activations + moved


@remembered(KNOWN)
def _unbiased(node: Node) -> int:
    """Sum C C' / g of the convolutions without bias."""
    if isinstance(node, Conv2d):
        return 0 if node.bias else node.in_channels * node.out_channels // node.groups
    return sum(_unbiased(part) for _, part in node.parts) if isinstance(node, Combinator) else 0
