"""ConvNeXt is a ResNet brought up to what vision transformers do (Liu et al. 2022; v2: Woo et al. 2023)."""

from resbench.arch.activations import GELU
from resbench.arch.algebra import Add, Node, Seq, stack
from resbench.arch.channels import LayerScale
from resbench.arch.entry import IMAGENET, entry
from resbench.arch.layers import Conv2d, Flatten, Identity, Linear
from resbench.arch.normalisation import GlobalResponseNorm, LayerNorm2d
from resbench.arch.pools import GlobalAvgPool

LAYOUTS = {
    "tiny": ((3, 3, 9, 3), 96),
    "small": ((3, 3, 27, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
}
"""So many blocks in each stage, and the width of the first, which doubles (sec. 3)."""


def convnext_block(channels: int) -> Seq:
    """[7x7 depthwise; LN; 1x1, 4C; GELU; 1x1, C], each channel scaled, + x (figure 4).

    The numbers are torchvision's, which moves channels last and back at 1 and 6.
    """
    block: dict[str, Node] = {
        "0": Conv2d(channels, channels, 7, padding=3, groups=channels),
        "2": LayerNorm2d(channels),
        "3": Conv2d(channels, 4 * channels, 1),
        "4": GELU(),
        "5": Conv2d(4 * channels, channels, 1),
    }
    return Seq(Add(Seq(block=Seq(**block), layer_scale=LayerScale(channels)), Identity()))


def convnext(size: str, *, classes: int = 1000) -> Seq:
    """4x4/4 C - LN, stages of C, 2C, 4C, 8C with LN - 2x2/2 between them, global average, LN, fc (table 9)."""
    depths, width = LAYOUTS[size]
    features: list[Node] = [stack(Conv2d(3, width, 4, 4), LayerNorm2d(width))]
    for i, depth in enumerate(depths):
        if i:
            features.append(stack(LayerNorm2d(width), Conv2d(width, 2 * width, 2, 2)))
            width *= 2
        features.append(stack(*[convnext_block(width)] * depth))
    return Seq(
        features=stack(*features),
        avgpool=GlobalAvgPool(),
        classifier=stack(LayerNorm2d(width), Flatten(), Linear(width, classes)),
    )


# -- v2 -----------------------------------------------------------------------------------------------

V2 = {
    "atto": ((2, 2, 6, 2), 40),
    "femto": ((2, 2, 6, 2), 48),
    "pico": ((2, 2, 6, 2), 64),
    "nano": ((2, 2, 8, 2), 80),
    "tiny": ((3, 3, 9, 3), 96),
    "base": ((3, 3, 27, 3), 128),
    "large": ((3, 3, 27, 3), 192),
    "huge": ((3, 3, 27, 3), 352),
}
"""So many blocks in each stage, and the width of the first, which doubles (Woo et al. 2023, appendix A)."""


def convnext_v2_block(channels: int) -> Seq:
    """[7x7 depthwise; LN; 1x1, 4C; GELU; GRN; 1x1, C] + x (Woo et al. 2023, figure 5)."""
    wide = 4 * channels
    mlp = Seq(fc1=Conv2d(channels, wide, 1), act=GELU(), grn=GlobalResponseNorm(wide), fc2=Conv2d(wide, channels, 1))
    depthwise = Conv2d(channels, channels, 7, padding=3, groups=channels)
    return Seq(Add(Seq(conv_dw=depthwise, norm=LayerNorm2d(channels), mlp=mlp), Identity()))


def convnext_v2(size: str, *, classes: int = 1000) -> Seq:
    """4x4/4 C - LN, stages of C, 2C, 4C, 8C that LN - 2x2/2 opens, global average, LN, fc (figure 5)."""
    depths, width = V2[size]
    stem = stack(Conv2d(3, width, 4, 4), LayerNorm2d(width))
    stages: list[Node] = []
    for i, depth in enumerate(depths):
        opening: dict[str, Node] = {}
        if i:
            opening = {"downsample": stack(LayerNorm2d(width), Conv2d(width, 2 * width, 2, 2))}
            width *= 2
        stages.append(Seq(**opening, blocks=stack(*[convnext_v2_block(width)] * depth)))
    return Seq(
        stem=stem,
        stages=stack(*stages),
        head=Seq(global_pool=GlobalAvgPool(), norm=LayerNorm2d(width), flatten=Flatten(), fc=Linear(width, classes)),
    )


_TORCHVISION = ((r"layer_scale$", "layer_scale.weight"),)
_TIMM = (
    (r"^stem\.", "features.0."),
    (r"^stages\.(\d)\.downsample\.", lambda found: f"features.{2 * int(found[1])}."),
    (r"^stages\.(\d)\.blocks\.", lambda found: f"features.{2 * int(found[1]) + 1}."),
    (r"(\d)\.conv_dw\.", r"\1.block.0."),
    (r"(\d)\.norm\.", r"\1.block.2."),
    (r"(\d)\.mlp\.fc1\.", r"\1.block.3."),
    (r"(\d)\.mlp\.fc2\.", r"\1.block.5."),
    (r"(\d)\.gamma$", r"\1.layer_scale.weight"),
    (r"^head\.norm\.", "classifier.0."),
    (r"^head\.fc\.", "classifier.2."),
)
NAMES = (_TORCHVISION, _TIMM)
"""Of v1 both call some tensors otherwise: each layer scale is a parameter of its block there."""

ENTRIES = (
    *(entry("convnext", f"convnext_{size}", IMAGENET, "Liu et al. 2022, Table 9", convnext, size) for size in LAYOUTS),
    *(entry("convnext", f"convnextv2_{size}", IMAGENET, "Woo et al. 2023, Table 9", convnext_v2, size) for size in V2),
    entry("block", "convnext_block", (96, 56, 56), "Liu et al. 2022, figure 4", convnext_block, 96),
    entry("block", "convnext_v2_block", (96, 56, 56), "Woo et al. 2023, figure 5", convnext_v2_block, 96),
)
