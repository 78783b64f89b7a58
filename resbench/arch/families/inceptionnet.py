"""An InceptionNet stacks the modules of GoogLeNet on small images, to ask what parallel branches, their 1x1 reductions
and a residual sum around them do. Nobody has published it.

>>> from resbench.arch import cost
>>> wide, thin = (cost(inceptionnet(reduce=reduce), (3, 32, 32)).macs for reduce in (False, True))
>>> round(wide / thin, 1)
2.6
"""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Node, Seq, shared, stack
from resbench.arch.entry import CIFAR, SZEGEDY14, entry
from resbench.arch.families.inception import conv_relu, inception_block
from resbench.arch.layers import BatchNorm2d, Conv2d, Flatten, Identity, Linear
from resbench.arch.pools import GlobalAvgPool, MaxPool2d
from resbench.errors import ArchitectureError


@shared
def module(in_channels: int, width: int, reduce: bool, bn: bool) -> Concat:
    """1x1, w | 3x3, 2w | 5x5, w / 2 | max, w / 2: the proportions of module 3a, which has w = 64 (Szegedy et al. 2014).

    With ``reduce`` a 1x1 of 3w / 2 stands before the 3x3, and one of w / 4 before the 5x5 (figure 2b); else neither
    (figure 2a, but with the projection behind the pooling, so that widths are equal). 4w channels come out.
    """
    if width % 4:
        raise ArchitectureError(f"expected a width that 4 divides, received {width}")
    half = width // 2
    if reduce:
        return inception_block(in_channels, (width, 3 * half, 2 * width, width // 4, half, half), bn=bn)
    return Concat(
        branch1=conv_relu(in_channels, width, 1, bn=bn),
        branch2=conv_relu(in_channels, 2 * width, 3, 1, 1, bn=bn),
        branch3=conv_relu(in_channels, half, 5, 1, 2, bn=bn),
        branch4=stack(MaxPool2d(3, 1, 1), conv_relu(in_channels, half, 1, bn=bn)),
    )


def _residual(in_channels: int, width: int, reduce: bool, bn: bool) -> Seq:
    """module - 1x1, + x, ReLU (as figure 16 of Szegedy et al. 2016 has it); a 1x1 brings x to other widths."""
    channels = 4 * width
    last = {"norm": BatchNorm2d(channels, eps=0.001)} if bn else {}
    paths = Seq(mixed=module(in_channels, width, reduce, bn), conv=Conv2d(channels, channels, 1, bias=not bn), **last)
    across: Node = Identity()
    if in_channels != channels:
        norm = {"norm": BatchNorm2d(channels, eps=0.001)} if bn else {}
        across = Seq(downsample=Seq(conv=Conv2d(in_channels, channels, 1, bias=not bn), **norm))
    return Seq(Add(paths, across), relu=ReLU())


def inceptionnet(
    *,
    depths: tuple[int, ...] = (2, 2, 2),
    width: int = 16,
    reduce: bool = True,
    residual: bool = False,
    bn: bool = True,
    classes: int = 10,
) -> Seq:
    """3x3, 4w; stages of so many modules of w, 2w, 4w, ..., a 3x3/2 max pooling between them; global average, fc.

    ``residual`` adds what flows into a module to what flows out of it.
    """
    made: dict[str, Node] = {"stem": conv_relu(3, 4 * width, 3, 1, 1, bn=bn)}
    channels = 4 * width
    for i, depth in enumerate(depths):
        wide = width * 2**i
        units: list[Node] = []
        for _ in range(depth):
            units.append(_residual(channels, wide, reduce, bn) if residual else module(channels, wide, reduce, bn))
            channels = 4 * wide
        if i:
            made[f"pool{i}"] = MaxPool2d(3, 2, 1)
        made[f"stage{i + 1}"] = stack(*units)
    return Seq(**made, avgpool=GlobalAvgPool(), flatten=Flatten(), fc=Linear(channels, classes))


ENTRIES = (entry("inception", "inceptionnet", CIFAR, f"{SZEGEDY14}, figure 2, on small images", inceptionnet),)
