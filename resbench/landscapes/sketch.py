"""Planes as characters, side by side in a terminal: one scale for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from resbench.landscapes.grid import height

if TYPE_CHECKING:
    from resbench.landscapes.result import Landscapes, Surface

SHADES = " .:-=+*#%@"
NOT_FINITE = "!"
MOST = 25
"""So many points of a side are shown at most."""


def sketch(found: Landscapes, width: int) -> str:
    """Draw log10 of the loss, dark where it is high, as many planes side by side as there is room for."""
    planes = [one.plane for one in found.surfaces]
    values = np.concatenate([plane[np.isfinite(plane)] for plane in planes])
    if not len(values):
        return ""
    low, high = float(height(values.min())), float(height(values.max()))
    step = -(-(found.way.points - 1) // (MOST - 1))
    pictures = [_lines(found.label(one), one, low, high, step) for one in found.surfaces]
    across = max(1, (width + 3) // (len(pictures[0][0]) + 3))
    rows = [pictures[i : i + across] for i in range(0, len(pictures), across)]
    blocks = ["\n".join("   ".join(lines).rstrip() for lines in zip(*row, strict=True)) for row in rows]
    legend = f"loss from {values.min():.3g} to {values.max():.3g}, by its logarithm:  {SHADES.strip()}"
    wild = any(not np.isfinite(plane).all() for plane in planes)
    return "\n" + "\n\n".join([*blocks, legend + (f"   {NOT_FINITE} not finite" if wild else "")]) + "\n"


def _lines(label: str, one: Surface, low: float, high: float, step: int) -> list[str]:
    """Draw one plane, the second direction upwards, two characters wide so that it is square."""
    shown = one.plane[::-step, ::step]
    wide = 2 * shown.shape[1]
    lines = []
    for row in shown:
        marks = []
        for value in row:
            if not np.isfinite(value):
                marks.append(NOT_FINITE)
                continue
            share = (float(height(value)) - low) / (high - low) if high > low else 0.0
            marks.append(SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)])
        lines.append("".join(2 * mark for mark in marks))
    return [f"{label:^{wide}.{wide}}", *lines]
