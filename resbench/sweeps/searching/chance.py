"""A search is worth what it finds beyond chance: this module holds it against random searches of the same budget."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resbench.sweeps.draws import costed, within
from resbench.sweeps.figures import Figures
from resbench.sweeps.limits import Limit
from resbench.sweeps.readings.statistics import hypervolume
from resbench.sweeps.searching.result import Chance
from resbench.sweeps.space import Space

SEARCHES = 10
"""A search is held against so many random ones."""

Points = NDArray[np.float64]


def chance(
    space: Space, names: Sequence[str], limits: Sequence[Limit], points: Points, seed: int
) -> tuple[float, Chance]:
    """Return the hypervolume of points, one of each network, and that of random searches of as many networks.

    ``names`` are figures that cost nothing. Each is brought to [0, 1] between the least and the most that any of these
    searches found, on a logarithmic axis where all are above 0; the reference is 1 of each.
    """
    others = [_drawn(space, names, limits, len(points), seed + 1 + i) for i in range(SEARCHES)]
    every = np.vstack([points, *others])
    scaled = _scaled(every)
    ends = np.cumsum([len(points), *map(len, others)])
    own, *rest = (hypervolume(part, [1.0] * len(names)) for part in np.split(scaled, ends[:-1]))
    return own, Chance(len(points), tuple(sorted(rest)))


def _drawn(space: Space, names: Sequence[str], limits: Sequence[Limit], most: int, seed: int) -> Points:
    """Draw so many networks, each once, and return the figures of those that have some."""
    fits: Any = partial(within, tuple(limits))
    found = [costed(one).found for one in islice(space.distinct(seed, fits), most)]
    rows = [[float(getattr(one, name)) for name in names] for one in found if isinstance(one, Figures)]
    return np.array(rows).reshape(-1, len(names))


def _scaled(points: Points) -> Points:
    """Bring each column to [0, 1], along a logarithmic axis where all its values are above 0."""
    columns = []
    for column in points.T:
        axis = np.log(column) if (column > 0).all() else column
        spread = axis.max() - axis.min()
        columns.append((axis - axis.min()) / (spread or 1.0))
    return np.stack(columns, axis=1)
