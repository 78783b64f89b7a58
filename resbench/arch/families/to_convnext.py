"""A ResNet becomes a ConvNeXt in the steps of Liu et al. 2022, figure 2: each edits the network before it.

    macro design         stages, patchify          3, 3, 9, 3 units; a stem of one 4x4/4
    ResNeXt              depthwise, width          the 3x3 takes each channel alone; 96 channels in place of 64
    inverted bottleneck  inverted                  1x1, 4C; 3x3 depthwise; 1x1, C; and x itself has C channels
    large kernel         moved-up, kernel          the depthwise convolution comes first; then it is 7x7
    micro design         gelu to downsampling      one GELU and one LN a unit; LN - 2x2/2 between the stages

>>> from resbench.arch.catalog import architecture
>>> [round(architecture(f"resnet_to_convnext,step={step}").totals().macs / 1e9, 2) for step in ("resnet", "width")]
[4.09, 5.27]
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

from resbench.arch.activations import GELU, ReLU
from resbench.arch.algebra import Node, Seq, stack
from resbench.arch.blocks import Stage, bottleneck_convs, trunk, unit
from resbench.arch.editing import select
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.families.resnet import imagenet_resnet
from resbench.arch.layers import BatchNorm2d, Conv2d, Identity, Linear
from resbench.arch.normalisation import LayerNorm2d
from resbench.arch.pools import GlobalAvgPool
from resbench.errors import ArchitectureError

Step = Literal[
    "resnet",
    "stages",
    "patchify",
    "depthwise",
    "width",
    "inverted",
    "moved-up",
    "kernel",
    "gelu",
    "fewer-activations",
    "fewer-norms",
    "layer-norm",
    "downsampling",
]


Start = Literal["resnet50", "resnet200"]


class Plan(NamedTuple):
    """A ResNet gets so many units a stage, this width with them, and another one once it is depthwise."""

    depth: int
    units: tuple[int, ...]
    first_width: int
    width: int
    kernel: int = 7

    @property
    def stages(self) -> list[Stage]:
        """The stages give C, 2C, 4C and 8C channels."""
        return [Stage(self.width * 2**i, units, 2 if i else 1) for i, units in enumerate(self.units)]


PLANS: Mapping[Start, Plan] = {
    "resnet50": Plan(50, (3, 3, 9, 3), 64, 96),
    "resnet200": Plan(200, (3, 3, 27, 3), 84, 128),
}
"""ResNet-50 becomes ConvNeXt-T, ResNet-200 ConvNeXt-B (appendix C)."""


def changed(net: Node, what: type[Node] | str, changes: Callable[[Any], Mapping[str, Any]]) -> Node:
    """What is of this kind, or of such a name, has other fields."""

    def edited(layer: Any, _: str) -> Any:
        return replace(layer, **changes(layer))

    return select(net, what).replace(edited)


def wider(net: Node, share: Fraction) -> Node:
    """Every layer has ``share`` times as many channels, but for the image and the classes."""

    def of(channels: int) -> int:
        return int(share * channels)

    def scaled(conv: Conv2d) -> Mapping[str, Any]:
        inner, depthwise = conv.in_channels != IMAGENET[0], conv.groups > 1
        return {
            "in_channels": of(conv.in_channels) if inner else conv.in_channels,
            "out_channels": of(conv.out_channels),
            "groups": of(conv.groups) if depthwise else 1,
        }

    net = changed(net, Conv2d, scaled)
    net = changed(net, BatchNorm2d, lambda bn: {"channels": of(bn.channels)})
    return changed(net, Linear, lambda fc: {"in_features": of(fc.in_features)})


def without(net: Node, *names: str) -> Node:
    """What has these names is taken out."""
    for name in names:
        net = select(net, name).replace(Identity())
    return net


def restaged(net: Node, plan: Plan) -> Node:
    """The stages have other numbers of units; the wider regime is 84 channels wide with it."""
    units = iter(plan.units)

    def repeated(stage: Any, _: str) -> Node:
        first, second, *_ = stage
        return stack(first, *[second] * (next(units) - 1))

    net = select(net, "layer?").replace(repeated)
    return net if plan.first_width == 64 else wider(net, Fraction(plan.first_width, 64))


def patchified(net: Node, plan: Plan) -> Node:
    """4x4/4, with a bias, in place of 7x7/2 - BN - ReLU - max/2."""
    net = select(net, "conv1").replace(Conv2d(3, plan.first_width, 4, 4))
    return without(net, "bn1", "relu", "maxpool")


def depthwise(net: Node, plan: Plan) -> Node:
    """The 3x3 takes each channel by itself."""
    return changed(net, "*.conv2", lambda conv: {"groups": conv.in_channels})


def rebuilt(net: Node, plan: Plan, convs: Callable[[int, int, int], tuple[Conv2d, ...]]) -> Node:
    """The units have other convolutions, of which the last gives C channels, and so has the classifier 8C."""
    stages = trunk(plan.width, plan.stages, lambda *widths, first: unit(convs(*widths), "B"))
    net = select(net, "layer?").replace(lambda _, name: stages[name])
    return changed(net, Linear, lambda _: {"in_features": plan.stages[-1].width})


def inverted(net: Node, plan: Plan) -> Node:
    """[1x1, 4C; 3x3 depthwise, 4C, /stride; 1x1, C] (figure 3b)."""
    return rebuilt(net, plan, lambda x, c, stride: bottleneck_convs(x, 4 * c, stride, groups=4 * c, out_channels=c))


def moved_up(net: Node, plan: Plan) -> Node:
    """[3x3 depthwise, /stride; 1x1, 4C; 1x1, C] (figure 3c)."""
    return rebuilt(
        net,
        plan,
        lambda x, c, stride: (
            Conv2d(x, x, 3, stride, 1, groups=x, bias=False),
            Conv2d(x, 4 * c, 1, bias=False),
            Conv2d(4 * c, c, 1, bias=False),
        ),
    )


def kernels(net: Node, plan: Plan) -> Node:
    """The depthwise convolution is 7x7."""
    return changed(net, "layer*.conv1", lambda _: {"kernel": plan.kernel, "padding": plan.kernel // 2})


def layer_norms(net: Node, plan: Plan) -> Node:
    """LN in place of BN, and biases in the units' convolutions, which BN made needless."""
    net = select(net, BatchNorm2d).replace(lambda bn, _: LayerNorm2d(bn.channels))  # type: ignore[attr-defined]
    return changed(net, "layer*.conv?", lambda _: {"bias": True})


def downsampling(net: Node, plan: Plan) -> Node:
    """LN - 2x2/2 opens a stage, all units of a stage are equal, and LN stands behind the stem and the last average."""

    def opened(stage: Any, name: str) -> Node:
        *_, equal = stage
        units = stack(*[equal] * len(stage.parts))
        channels = plan.stages[int(name[-1]) - 1].width
        halved = stack(LayerNorm2d(channels // 2), Conv2d(channels // 2, channels, 2, 2))
        return units if name == "layer1" else Seq(downsample=halved, blocks=units)

    net = select(net, "layer?").replace(opened)
    net = select(net, "conv1").replace(lambda conv, _: stack(conv, LayerNorm2d(plan.width)))
    return select(net, "avgpool").replace(stack(GlobalAvgPool(), LayerNorm2d(plan.stages[-1].width)))


EDITS: Mapping[Step, Callable[[Node, Plan], Node]] = {
    "resnet": lambda net, plan: net,
    "stages": restaged,
    "patchify": patchified,
    "depthwise": depthwise,
    "width": lambda net, plan: wider(net, Fraction(plan.width, plan.first_width)),
    "inverted": inverted,
    "moved-up": moved_up,
    "kernel": kernels,
    "gelu": lambda net, plan: select(net, ReLU).replace(GELU()),
    "fewer-activations": lambda net, plan: without(net, "*.relu[13]"),
    "fewer-norms": lambda net, plan: without(net, "*.bn[23]"),
    "layer-norm": layer_norms,
    "downsampling": downsampling,
}
"""Each makes its step of the network before it."""


def to_convnext(
    *, start: Start = "resnet50", step: Step = "downsampling", kernel: int = 7, classes: int = 1000
) -> Node:
    """A ResNet is edited up to a step, the depthwise ``kernel`` being 7x7 from the step of that name on.

    The last step is ConvNeXt-T or -B without LayerScale, which the paper adds as a technique of training.
    """
    steps = get_args(Step)[: get_args(Step).index(step) + 1]
    if kernel % 2 == 0:
        raise ArchitectureError(f"expected an odd kernel, which has a middle, such as 7; received {kernel}")
    if kernel != 7 and "kernel" not in steps:
        raise ArchitectureError(f"kernel belongs to step=kernel and the steps behind it; the step is {step}")
    plan = PLANS[start]._replace(kernel=kernel)
    net: Node = imagenet_resnet(plan.depth, classes=classes)
    for one in steps:
        net = EDITS[one](net, plan)
    return net


ENTRIES = (entry("lesson", "resnet_to_convnext", IMAGENET, "Liu et al. 2022, figure 2", to_convnext),)
