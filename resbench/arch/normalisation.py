"""These layers normalise each image by its own statistics, where BN takes those of a batch.

>>> LayerNorm2d(96).params, GroupNorm(32, 256).params, GlobalResponseNorm(384).params
(192, 512, 768)
"""

from dataclasses import dataclass
from math import prod

from resbench.arch.algebra import Shape
from resbench.arch.fields import Epsilon, Whole, check_fields, refuse
from resbench.arch.layers import Affine, check_maps
from resbench.errors import ShapeError
from resbench.units import FP32_BYTES, shape_text


@dataclass(frozen=True, slots=True, repr=False)
class LayerNorm2d(Affine):
    """gamma (x - mean) / sqrt(var + eps) + beta over the channels of each position (Liu et al. 2022, sec. 2.6).

    2 parameters a channel, 5 operations an element.
    """

    channels: Whole
    eps: Epsilon = 1e-6
    brief = "LN"

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return 5 * prod(output)

    def kept_bytes(self, output: Shape) -> int:
        """The mean and the deviation at each position."""
        return 2 * FP32_BYTES * prod(output) // self.channels


@dataclass(frozen=True, slots=True, repr=False)
class GroupNorm(Affine):
    """gamma (x - mean) / sqrt(var + eps) + beta over an image's channels, group by group (Wu & He 2018, eq. 1-7).

    2 parameters a channel, 5 operations an element. A group of one value has no variance: torch runs none of them where
    the whole batch has one value a group.
    """

    by_whole_map = ("inference", "training")

    groups: Whole
    channels: Whole
    eps: Epsilon = 1e-5

    def __post_init__(self) -> None:
        check_fields(self)
        if self.channels % self.groups:
            refuse(self, "groups", f"a divisor of {self.channels} channels", self.groups)

    def output(self, shape: Shape) -> Shape:
        if prod(check_maps(self, shape, self.channels)) == self.groups:
            raise ShapeError(f"{self.brief} expects more than one value a group, received {shape_text(shape)}")
        return shape

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return 5 * prod(output)

    def kept_bytes(self, output: Shape) -> int:
        """The mean and the deviation of each group."""
        return 2 * FP32_BYTES * output[0] * self.groups

    @property
    def brief(self) -> str:
        return f"GN {self.groups}"


@dataclass(frozen=True, slots=True, repr=False)
class GlobalResponseNorm(Affine):
    """x + gamma x g / (mean(g) + eps) + beta, g the norm of each map (Woo et al. 2023, eq. 1-3): 2 C parameters.

    It takes 5 operations an element: one for the norm, two products and two sums.
    """

    kind = "function"
    by_whole_map = ("inference", "training")

    channels: Whole
    eps: Epsilon = 1e-6
    brief = "GRN"

    def elementwise(self, shape: Shape, output: Shape) -> int:
        images, channels = output[:2]
        return 5 * prod(output) + 2 * images * channels + images  # a mean and a quotient for each map

    def kept_bytes(self, output: Shape) -> int:
        """The product x g / mean(g), and of each map its norm and its quotient, of each image the mean."""
        images, channels = output[:2]
        return FP32_BYTES * (prod(output) + 2 * images * channels + images)
