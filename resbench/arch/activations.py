"""The activations are layers that take each element by itself."""

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Literal

from resbench.arch.algebra import Layer, Shape
from resbench.arch.fields import Number, Wanted, Whole
from resbench.arch.kinds import Kind
from resbench.arch.windows import SELF, Window
from resbench.errors import ShapeError
from resbench.units import shape_text


class Activation(Layer):
    """An activation is counted as one operation an element, whatever its formula.

    Its gradient needs its argument, unless its ``kind`` says that it follows from the result.
    """

    __slots__ = ()
    kind: ClassVar[Kind] = "function"

    def elementwise(self, shape: Shape, output: Shape) -> int:
        return prod(output)


class ReLU(Activation):
    """max(x, 0)."""

    __slots__ = ()
    kind = "activation"


class ReLU6(Activation):
    """min(max(x, 0), 6) (Howard et al. 2017)."""

    __slots__ = ()


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    __slots__ = ()
    kind = "activation"


class Tanh(Activation):
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x))."""

    __slots__ = ()
    kind = "activation"


class SiLU(Activation):
    """x sigmoid(x), also called swish (Elfwing et al. 2017; Ramachandran et al. 2017)."""

    __slots__ = ()


class Hardswish(Activation):
    """x min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, sec. 5.2)."""

    __slots__ = ()


class Hardsigmoid(Activation):
    """min(max(x + 3, 0), 6) / 6 (Howard et al. 2019, sec. 5.2)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, repr=False)
class GELU(Activation):
    """x Phi(x), Phi the normal distribution, or its approximation by a hyperbolic tangent (Hendrycks & Gimpel 2016)."""

    approximate: Annotated[
        Literal["none", "tanh"], Wanted("'none' or 'tanh'", lambda word: word in ("none", "tanh"))
    ] = "none"


@dataclass(frozen=True, slots=True, repr=False)
class LeakyReLU(Activation):
    """max(x, 0) + slope min(x, 0) (Maas et al. 2013)."""

    slope: Number = 0.01


@dataclass(frozen=True, slots=True, repr=False)
class PReLU(Activation):
    """max(x, 0) + a min(x, 0), a learned, one or one a channel, from ``init`` (He et al. 2015b, eq. 1)."""

    kind = "product"

    channels: Whole = 1
    init: Number = 0.25

    @property
    def params(self) -> int:
        return self.channels

    def output(self, shape: Shape) -> Shape:
        if self.channels > 1 and shape[1] != self.channels:
            raise ShapeError(f"{self.brief} expects {self.channels} channels, received {shape_text(shape)}")
        return shape

    def window(self, shape: Shape) -> Window:
        return SELF


@dataclass(frozen=True, slots=True, repr=False)
class ELU(Activation):
    """max(x, 0) + alpha (exp(min(x, 0)) - 1) (Clevert et al. 2015)."""

    alpha: Number = 1.0
