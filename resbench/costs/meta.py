"""Normalisation and linear layers run quickly on the meta device, which is asked for shapes and types alone.

torch finds them by taking a normalisation apart into dozens of operators in Python: four fifths of the time in which a
ResNet is followed. They are those of the input. What has another form than that of a layer is left to torch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def batch_norm(
    x: Tensor, weight: Any, bias: Any, mean: Any, variance: Any, training: bool, *rest: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Make the output, and mean and deviation of the batch; None for what torch is to judge."""
    if x.dim() < 2 or not _fit(x, x.shape[1:2], weight, bias, mean, variance):
        return None
    return (torch.empty_like(x), *_statistics(x, x.shape[1:2]))


def layer_norm(
    x: Tensor, shape: list[int], weight: Any, bias: Any, *rest: float
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Make the output, and mean and deviation of each row; None for what torch is to judge."""
    own = tuple(shape)
    if not own or x.shape[-len(own) :] != own or not x.is_contiguous() or not _fit(x, own, weight, bias):
        return None
    return (torch.empty_like(x), *_statistics(x, (*x.shape[: -len(own)], *(1 for _ in own))))


def linear(bias: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    """Make the output (n, m) of (n, k) x (k, m) + (m)."""
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[0] or a.dtype != b.dtype or not b.is_meta:
        return None
    return a.new_empty((a.shape[0], b.shape[1])) if _fit(a, b.shape[1:], bias) else None


def _fit(x: Tensor, shape: Sequence[int], *given: Tensor | None) -> bool:
    """Tell whether what is given is of the input's type, on its device and of that shape."""
    return all(one is None or (one.is_meta and one.shape == shape and one.dtype == x.dtype) for one in given)


def _statistics(x: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Make statistics in float32 at least."""
    mean, deviation = (x.new_empty(shape, dtype=torch.float32 if x.itemsize < 4 else x.dtype) for _ in range(2))
    return mean, deviation


META_KERNELS: Mapping[Any, Callable[..., Any]] = {
    torch.ops.aten.native_batch_norm.default: batch_norm,
    torch.ops.aten.native_layer_norm.default: layer_norm,
    torch.ops.aten.addmm.default: linear,
}


def run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Give what an operator gives, quickly where its first argument is on the meta device."""
    kernel = META_KERNELS.get(func)
    quick = kernel(*args) if kernel and not kwargs and args[0].is_meta else None
    return func(*args, **kwargs) if quick is None else quick
