"""Inception-ResNets add the result of a module, scaled down, to what came in (Szegedy et al. 2016)."""

from resbench.arch.activations import ReLU
from resbench.arch.algebra import Add, Concat, Seq, stack, walk
from resbench.arch.entry import SZEGEDY16, entry
from resbench.arch.families.inception_v4 import INPUT, averaged, parallel, path, valid
from resbench.arch.layers import Conv2d, Dropout, Flatten, Identity, Linear, Scale
from resbench.arch.pools import GlobalAvgPool, MaxPool2d

# -- Inception-ResNet-v2 ------------------------------------------------------------------------------


def scaled_residual(channels: int, paths: Concat, factor: float, *, activated: bool = True) -> Seq:
    """relu(x + factor W (paths of x)): the branch is scaled down so that training stays stable (figure 20)."""
    ends = [[node.out_channels for _, node in walk(part) if isinstance(node, Conv2d)][-1] for part in paths]
    branch = Seq(paths, conv2d=Conv2d(sum(ends), channels, 1), scale=Scale(factor))
    return Seq(Add(branch, Identity()), **({"act": ReLU()} if activated else {}))


def block35() -> Seq:
    """[1x1 | 1x1 - 3x3 | 1x1 - 3x3 - 3x3; 1x1, 320] scaled by 0.17, + x (figure 16)."""
    paths = parallel(
        path(320, ("1x1", 32)),
        path(320, ("1x1", 32), ("3x3", 32)),
        path(320, ("1x1", 32), ("3x3", 48), ("3x3", 64)),
    )
    return scaled_residual(320, paths, 0.17)


def block17() -> Seq:
    """[1x1 | 1x1 - 1x7 - 7x1; 1x1, 1088] scaled by 0.1, + x (figure 17)."""
    paths = parallel(path(1088, ("1x1", 192)), path(1088, ("1x1", 128), ("1x7", 160), ("7x1", 192)))
    return scaled_residual(1088, paths, 0.1)


def block8(*, last: bool = False) -> Seq:
    """[1x1 | 1x1 - 1x3 - 3x1; 1x1, 2080] scaled by 0.2, + x (figure 19); the last neither scaled nor activated."""
    paths = parallel(path(2080, ("1x1", 192)), path(2080, ("1x1", 192), ("1x3", 224), ("3x1", 256)))
    return scaled_residual(2080, paths, 1.0 if last else 0.2, activated=not last)


def inception_resnet_v2(*, classes: int = 1000) -> Seq:
    """The stem of v3, an Inception module, 10 + 20 + 10 residual modules with reductions, 1x1 1536, fc (figure 15).

    It is the authors' release, which is wider than the figures at 35x35 (320) and 17x17 (1088), 8x8 (2080).
    """
    mixed_5b = parallel(
        path(192, ("1x1", 96)),
        path(192, ("1x1", 48), ("5x5", 64)),
        path(192, ("1x1", 64), ("3x3", 96), ("3x3", 96)),
        averaged(192, 64),
    )
    mixed_6a = parallel(
        path(320, ("3x3/2", 384)), path(320, ("1x1", 256), ("3x3", 256), ("3x3/2", 384)), MaxPool2d(3, 2)
    )
    mixed_7a = parallel(
        path(1088, ("1x1", 256), ("3x3/2", 384)),
        path(1088, ("1x1", 256), ("3x3/2", 288)),
        path(1088, ("1x1", 256), ("3x3", 288), ("3x3/2", 320)),
        MaxPool2d(3, 2),
    )
    return Seq(
        conv2d_1a=path(3, ("3x3/2", 32)),
        conv2d_2a=valid(32, 32),
        conv2d_2b=path(32, ("3x3", 64)),
        maxpool_3a=MaxPool2d(3, 2),
        conv2d_3b=path(64, ("1x1", 80)),
        conv2d_4a=valid(80, 192),
        maxpool_5a=MaxPool2d(3, 2),
        mixed_5b=mixed_5b,
        repeat=stack(*[block35()] * 10),
        mixed_6a=mixed_6a,
        repeat_1=stack(*[block17()] * 20),
        mixed_7a=mixed_7a,
        repeat_2=stack(*[block8()] * 9),
        block8=block8(last=True),
        conv2d_7b=path(2080, ("1x1", 1536)),
        global_pool=GlobalAvgPool(),
        flatten=Flatten(),
        classif=Linear(1536, classes),
    )


# -- Inception-ResNet-v1 ------------------------------------------------------------------------------


def inception_resnet_v1(*, classes: int = 1000) -> Seq:
    """The stem, 5 + 10 + 5 residual modules with reductions between them, global average, fc (figures 10 to 15).

    Stem: 3x3/2 32, 3x3 32, 3x3 64, max/2, 1x1 80, 3x3 192, 3x3/2 256. The modules are as wide as the paper's table of
    reductions says (k 192, l 192, m 256, n 384), and scaled as those of v2.
    """
    module35 = parallel(
        path(256, ("1x1", 32)),
        path(256, ("1x1", 32), ("3x3", 32)),
        path(256, ("1x1", 32), ("3x3", 32), ("3x3", 32)),
    )
    module17 = parallel(path(896, ("1x1", 128)), path(896, ("1x1", 128), ("1x7", 128), ("7x1", 128)))
    module8 = parallel(path(1792, ("1x1", 192)), path(1792, ("1x1", 192), ("1x3", 192), ("3x1", 192)))
    reduction_a = parallel(
        path(256, ("3x3/2", 384)), path(256, ("1x1", 192), ("3x3", 192), ("3x3/2", 256)), MaxPool2d(3, 2)
    )
    reduction_b = parallel(
        path(896, ("1x1", 256), ("3x3/2", 384)),
        path(896, ("1x1", 256), ("3x3/2", 256)),
        path(896, ("1x1", 256), ("3x3", 256), ("3x3/2", 256)),
        MaxPool2d(3, 2),
    )
    return Seq(
        conv2d_1a=path(3, ("3x3/2", 32)),
        conv2d_2a=valid(32, 32),
        conv2d_2b=path(32, ("3x3", 64)),
        maxpool_3a=MaxPool2d(3, 2),
        conv2d_3b=path(64, ("1x1", 80)),
        conv2d_4a=valid(80, 192),
        conv2d_4b=path(192, ("3x3/2", 256)),
        repeat_1=stack(*[scaled_residual(256, module35, 0.17)] * 5),
        mixed_6a=reduction_a,
        repeat_2=stack(*[scaled_residual(896, module17, 0.1)] * 10),
        mixed_7a=reduction_b,
        repeat_3=stack(*[scaled_residual(1792, module8, 0.2)] * 5),
        avgpool=GlobalAvgPool(),
        flatten=Flatten(),
        dropout=Dropout(0.2),
        fc=Linear(1792, classes),
    )


ENTRIES = (
    entry("inception", "inception_resnet_v1", INPUT, f"{SZEGEDY16}, figure 15", inception_resnet_v1),
    entry("inception", "inception_resnet_v2", INPUT, f"{SZEGEDY16}, figure 15", inception_resnet_v2),
    entry("block", "block35", (320, 35, 35), f"{SZEGEDY16}, figure 16", block35),
    entry("block", "block17", (1088, 17, 17), f"{SZEGEDY16}, figure 17", block17),
    entry("block", "block8", (2080, 8, 8), f"{SZEGEDY16}, figure 19", block8),
)
