"""The density of a matrix's eigenvalues, by stochastic Lanczos quadrature (Ghorbani et al. 2019; Yao et al. 2020).

    density(t) = mean over probes of  sum_i  weight_i g(t - value_i)

Lanczos from a probe v of n random signs gives values, and as weights the shares that v has in their vectors. For any
smooth f the sum of weight_i f(value_i) is near v f(H) v / n, exactly so for polynomials of degree 2 steps - 1; its mean
over probes is the mean of f over all eigenvalues. Here f is a Gaussian around t.
"""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from resbench.workers.medians import mean_and_half

BROAD = 0.01
"""The Gaussian's standard deviation is this share of the range of all values."""


class Spectrum(NamedTuple):
    """A probe stands for these eigenvalues, each with the share of all that it stands for."""

    values: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Return the mean of the eigenvalues, as this probe has it."""
        return float(np.dot(self.values, self.weights))


class Density(NamedTuple):
    """The density of the eigenvalues at values, with half of its 95 % interval over probes; its integral is 1.

    Of one probe the interval is not known, nan.
    """

    at: NDArray[np.float64]
    mean: NDArray[np.float64]
    half: NDArray[np.float64]
    broad: float
    """The eigenvalues are broadened by a Gaussian of this standard deviation."""


def density(spectra: Sequence[Spectrum], points: int = 301) -> Density | None:
    """Broaden the spectra of all probes, at equal steps; None where a value is not finite, or all are the same."""
    values = np.concatenate([one.values for one in spectra])
    if not np.isfinite(values).all() or not np.ptp(values):
        return None
    broad = BROAD * float(np.ptp(values))
    at = np.linspace(values.min() - 4 * broad, values.max() + 4 * broad, points)
    each = np.array([broadened(one.values, one.weights, at, broad) for one in spectra])
    pairs = [mean_and_half([*column]) for column in each.T]
    return Density(
        at, np.array([mean for mean, _ in pairs]), np.array([nan if half is None else half for _, half in pairs]), broad
    )


def broadened(
    values: Sequence[float], weights: Sequence[float], at: NDArray[np.float64], broad: float
) -> NDArray[np.float64]:
    """Return the sum of weighted Gaussians around values."""
    apart = (at[:, None] - np.asarray(values)) / broad
    found = np.exp(-(apart**2) / 2) @ np.asarray(weights) / (broad * np.sqrt(2 * np.pi))
    return np.asarray(found)
