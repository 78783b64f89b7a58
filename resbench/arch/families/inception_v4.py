"""Inception-v4 takes factorised modules further, behind a stem with modules of its own (Szegedy et al. 2016)."""

from resbench.arch.algebra import Concat, Node, Seq, stack
from resbench.arch.entry import SZEGEDY16, Size, entry
from resbench.arch.families.inception import conv_relu
from resbench.arch.layers import Flatten, Linear
from resbench.arch.pools import AvgPool2d, GlobalAvgPool, MaxPool2d

INPUT: Size = (3, 299, 299)

Step = tuple[str, int]
"""A convolution of a path: kernel and stride as the figures write them (``3x3``, ``1x7``, ``3x3/2``), and width."""


def path(in_channels: int, *steps: Step) -> Seq:
    """Convolutions follow each other; one that does not stride keeps the size."""
    convs = []
    for kind, width in steps:
        kernel, _, stride = kind.partition("/")
        height, _, side = (int(word) if word.isdigit() else word for word in kernel.partition("x"))
        assert isinstance(height, int)
        assert isinstance(side, int)
        padding = (0, 0) if stride else (height // 2, side // 2)
        convs.append(conv_relu(in_channels, width, (height, side), int(stride or 1), padding))
        in_channels = width
    return convs[0] if len(convs) == 1 else stack(*convs)


def valid(in_channels: int, out_channels: int) -> Seq:
    """3x3 that reads no padding."""
    return conv_relu(in_channels, out_channels, 3)


def parallel(*paths: Node) -> Concat:
    """The paths stand side by side, and are called branch0, branch1, ..."""
    return Concat(**{f"branch{i}": branch for i, branch in enumerate(paths)})


def averaged(in_channels: int, out_channels: int) -> Seq:
    """avg 3x3 without its padding - 1x1."""
    pool = AvgPool2d(3, 1, 1, count_include_pad=False)
    return stack(pool, path(in_channels, ("1x1", out_channels)))


def inception_v4_stem() -> list[Node]:
    """3x3/2 32, 3x3 32, 3x3 64, (max/2 | 3x3/2 96), (3x3 96 | 1x7, 7x1, 3x3 96), (3x3/2 192 | max/2) (figure 3)."""
    short = stack(path(160, ("1x1", 64)), valid(64, 96))
    long = stack(*path(160, ("1x1", 64), ("1x7", 64), ("7x1", 64)), valid(64, 96))
    return [
        path(3, ("3x3/2", 32)),
        valid(32, 32),
        path(32, ("3x3", 64)),
        Seq(Concat(maxpool=MaxPool2d(3, 2), conv=path(64, ("3x3/2", 96)))),
        parallel(short, long),
        Seq(Concat(conv=path(192, ("3x3/2", 192)), maxpool=MaxPool2d(3, 2))),
    ]


def inception_v4_a() -> Concat:
    """1x1 | 1x1 - 3x3 | 1x1 - 3x3 - 3x3 | avg - 1x1 on 35x35 (figure 4)."""
    return parallel(
        path(384, ("1x1", 96)),
        path(384, ("1x1", 64), ("3x3", 96)),
        path(384, ("1x1", 64), ("3x3", 96), ("3x3", 96)),
        averaged(384, 96),
    )


def inception_v4_b() -> Concat:
    """1x1 | 1x1 - 1x7 - 7x1 | 1x1 - 7x1 - 1x7 - 7x1 - 1x7 | avg - 1x1 on 17x17 (figure 5)."""
    return parallel(
        path(1024, ("1x1", 384)),
        path(1024, ("1x1", 192), ("1x7", 224), ("7x1", 256)),
        path(1024, ("1x1", 192), ("7x1", 192), ("1x7", 224), ("7x1", 224), ("1x7", 256)),
        averaged(1024, 128),
    )


def inception_v4_c() -> Concat:
    """1x1 | 1x1 - (1x3 | 3x1) | 1x1 - 3x1 - 1x3 - (1x3 | 3x1) | avg - 1x1 on 8x8 (figure 6)."""

    def fork(in_channels: int) -> Concat:
        return Concat(a=path(in_channels, ("1x3", 256)), b=path(in_channels, ("3x1", 256)))

    return Concat(
        Seq(branch0=path(1536, ("1x1", 256))),
        Seq(branch1_0=path(1536, ("1x1", 384)), branch1_1=fork(384)),
        Seq(
            branch2_0=path(1536, ("1x1", 384)),
            branch2_1=path(384, ("3x1", 448)),
            branch2_2=path(448, ("1x3", 512)),
            branch2_3=fork(512),
        ),
        Seq(branch3=averaged(1536, 256)),
    )


def inception_v4(*, classes: int = 1000) -> Seq:
    """The stem, 4 A, reduction, 7 B, reduction, 3 C, global average, fc (figure 9)."""
    to_17 = parallel(path(384, ("3x3/2", 384)), path(384, ("1x1", 192), ("3x3", 224), ("3x3/2", 256)), MaxPool2d(3, 2))
    to_8 = parallel(
        path(1024, ("1x1", 192), ("3x3/2", 192)),
        path(1024, ("1x1", 256), ("1x7", 256), ("7x1", 320), ("3x3/2", 320)),
        MaxPool2d(3, 2),
    )
    modules = [*[inception_v4_a()] * 4, to_17, *[inception_v4_b()] * 7, to_8, *[inception_v4_c()] * 3]
    return Seq(
        features=stack(*inception_v4_stem(), *modules),
        global_pool=GlobalAvgPool(),
        flatten=Flatten(),
        last_linear=Linear(1536, classes),
    )


NAMES = (((r"(branch\w+_\d)([ab])\.", r"\1.\2."),),)
"""timm calls the ends of a fork branch1_1a and branch1_1b."""

ENTRIES = (
    entry("inception", "inception_v4", INPUT, f"{SZEGEDY16}, figure 9", inception_v4),
    entry("block", "inception_v4_a", (384, 35, 35), f"{SZEGEDY16}, figure 4", inception_v4_a),
    entry("block", "inception_v4_b", (1024, 17, 17), f"{SZEGEDY16}, figure 5", inception_v4_b),
    entry("block", "inception_v4_c", (1536, 8, 8), f"{SZEGEDY16}, figure 6", inception_v4_c),
)
