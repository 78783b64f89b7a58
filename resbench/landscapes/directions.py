"""Directions in the space of the weights, and how long they are.

    filter       Gaussian, each filter as long as the network's own: d_ij / |d_ij| |w_ij| (Li et al. 2018, eq. 1)
    layer        Gaussian, each tensor as long as the network's own
    none         Gaussian, of variance 1
    top          the two eigenvectors of the Hessian with the largest eigenvalues, as long as the weights
    trajectory   the two principal components of the weights along a training

A filter is what gives one output: a row of a linear layer, a kernel of a convolution. Parameters of one axis (biases,
and what a normalisation multiplies and adds) stay where they are, or move by a vector as long as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

RANDOM = ("filter", "layer", "none")

KINDS = (*RANDOM, "top", "trajectory")

BIASES = ("zero", "own")


def random(module: nn.Module, kind: str, biases: str, seed: int, number: int) -> list[Tensor | None]:
    """Draw the direction of a seed and number: whatever the device, and in every precision but for rounding."""
    draw = torch.Generator().manual_seed(1_000_003 * seed + number)
    groups = {id(m.weight): m.groups for m in module.modules() if isinstance(m, _ConvTransposeNd)}
    found: list[Tensor | None] = []
    for p in module.parameters():
        own = torch.randn(p.shape, generator=draw, dtype=torch.float64).to(p.device)
        if p.dim() < 2 and biases == "zero":
            found.append(None)
            continue
        weight = p.detach().double()
        if kind == "filter" and p.dim() > 1:
            own.view(shape := _filters(p, groups.get(id(p)))).mul_(_lengths(weight, shape) / _lengths(own, shape))
        elif kind != "none":
            own.mul_(weight.norm() / own.norm())
        found.append(own.to(p.dtype))
    return found


def _filters(weight: Tensor, groups: int | None) -> tuple[int, ...]:
    """Return the shape in which the axes 1 and 3 are what belongs to one output.

    A transposed convolution of ``groups`` has its inputs first, and the outputs of each group behind them.
    """
    if groups is None:
        return len(weight), 1, 1, -1
    return groups, len(weight) // groups, weight.shape[1], -1


def _lengths(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the length of each filter."""
    found: Tensor = torch.linalg.vector_norm(values.reshape(shape), dim=(1, 3), keepdim=True)
    return found
