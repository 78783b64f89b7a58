"""The elementwise operations of pooling, resampling and normalisation are functions of shapes."""

from math import prod
from typing import Any

from torch import Tensor

from resbench.operators.rules import CountedOperator, Rule, Work, first, per_output


def pool(args: tuple[Any, ...], out: Any) -> Work:
    """Count kernel elements per output."""
    output, kernel = first(out), args[1]
    spatial = 3 if output.dim() > 4 else 2
    window = prod(kernel) if len(kernel) > 1 else kernel[0] ** spatial
    return 0, output.numel() * window


def adaptive(args: tuple[Any, ...], out: Any) -> Work:
    """Count the elements read by the windows [floor(iH/n), ceil((i+1)H/n))."""

    def reads(side: int, size: int) -> int:
        return sum(-(-(i + 1) * side // size) - i * side // size for i in range(size))

    output, x = first(out), args[0]
    spatial = len(args[1])
    sides = zip(x.shape[-spatial:], output.shape[-spatial:], strict=True)
    return 0, prod(x.shape[:-spatial]) * prod(reads(*side) for side in sides)


def layer_norm(args: tuple[Any, ...], out: Any) -> Work:
    """Count mean, variance, shift, scale: 4 an element; gamma and beta together take one more."""
    affine = any(isinstance(a, Tensor) for a in args[1:])
    return 0, (5 if affine else 4) * first(out).numel()


def rms_norm(args: tuple[Any, ...], out: Any) -> Work:
    """Count mean square and scale: 3 an element; gamma takes one more."""
    return 0, (4 if args[2] is not None else 3) * first(out).numel()


def interpolation(taps: int) -> CountedOperator:
    """Count pixels read per output, as in pooling."""
    return CountedOperator(per_output(taps), "upsample", "Upsample", "resampling")


def smooth_interpolation(reach: int) -> Rule:
    """Count windows that grow where the image shrinks: they reach ``reach`` pixels to either side, or so many steps."""

    def reads(side: int, size: int) -> int:
        step = side / size
        support = reach * max(step, 1.0)
        ends = ((i + 0.5) * step for i in range(size))
        return sum(min(int(at + support + 0.5), side) - max(int(at - support + 0.5), 0) for at in ends)

    def rule(args: tuple[Any, ...], out: Any) -> Work:
        sides = zip(args[0].shape[-2:], out.shape[-2:], strict=True)
        return 0, prod(out.shape[:-2]) * prod(reads(*side) for side in sides)

    return rule


def grid_sample(spatial: int) -> Rule:
    """Count pixels read per output: two to a side, of the nearest none, bicubic four. args: x, grid, mode, ..."""

    def rule(args: tuple[Any, ...], out: Any) -> Work:
        taps = (2, 0, 4)[args[2]]
        return 0, taps**spatial * out.numel()

    return rule
