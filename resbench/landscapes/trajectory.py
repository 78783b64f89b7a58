"""The plane in which a training moved most: the two principal components of its weights, less those at the end.

    X = [w_0 - w; w_1 - w; ...]      X less its mean = U S V'      d1, d2 = the first two rows of V'

as in Li et al. 2018, sec. 7. X is wide, so U and S come of the small matrix of products of its rows.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from resbench.errors import OptionError
from resbench.landscapes.losses import Direction

ROOM = 1.25
"""The directions are so many times as long as the training is wide, so that all of it lies between -1 and 1."""


class Trajectory(NamedTuple):
    """``path`` has the shares of both directions for each weights kept, the last being the end itself: (0, 0)."""

    directions: Sequence[Direction]
    path: tuple[tuple[float, float], ...]
    explained: tuple[float, float]
    """So large a share of the variance of all weights lies along each direction."""


def trajectory(kept: Iterable[Sequence[Tensor]], end: Sequence[Tensor]) -> Trajectory:
    """Find the plane of a training from weights along it. Raises OptionError where there are fewer than three."""
    last = _row(end)
    rows = torch.stack([_row(weights).to(last.device) - last for weights in kept])
    if len(rows) < 3:
        raise OptionError(f"--directions trajectory: expected weights of 3 epochs or more, received {len(rows)}")
    centred = rows - rows.mean(0)
    squares, turned = torch.linalg.eigh((centred @ centred.T).double())
    axes = [(centred.T @ turned[:, -1 - i].to(rows.dtype)) for i in range(2)]
    axes = [axis / axis.norm() for axis in axes]
    places = torch.stack([(rows @ axis).double() for axis in axes], 1)
    long = ROOM * float(places.abs().max())
    total = float(squares.clamp_min(0).sum())
    path = [tuple((place / long).tolist()) for place in places]
    return Trajectory(
        [_parts(axis * long, end) for axis in axes],
        (*((a, b) for a, b in path), *([(0.0, 0.0)] if path[-1] != (0.0, 0.0) else [])),
        (float(squares[-1]) / total, float(squares[-2]) / total),
    )


def _row(weights: Sequence[Tensor]) -> Tensor:
    return torch.cat([p.detach().float().reshape(-1) for p in weights])


def _parts(row: Tensor, like: Sequence[Tensor]) -> list[Tensor | None]:
    pieces = torch.split(row, [p.numel() for p in like])
    return [piece.view(p.shape).to(p.dtype) for piece, p in zip(pieces, like, strict=True)]
