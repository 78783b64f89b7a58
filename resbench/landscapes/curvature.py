"""The curvature of a loss at the weights, from products of its Hessian with vectors: it is never written down.

eigenvalues   Lanczos, every vector made orthogonal to all before it, twice
trace         Hutchinson: the mean of v H v over probes v of random signs
density       of the eigenvalues, by Lanczos from the same probes (Ghorbani et al. 2019)
sharpness     how much the loss rises on a step of length rho along the gradient (Foret et al. 2021)
"""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from resbench.errors import cannot_run
from resbench.landscapes.density import Spectrum
from resbench.landscapes.losses import Direction, Losses
from resbench.workers.medians import mean_and_half

Product = Callable[[Tensor], Tensor]

CONVERGED = 1e-3
"""An eigenvalue is known when its residual is at most this share of the largest."""

RHO = 0.05
"""The sharpness is of a step so long (Foret et al. 2021, sec. 3)."""


class Eigenvalue(NamedTuple):
    """``residual`` is |H v - value v|: some eigenvalue of the matrix lies within it."""

    value: float
    residual: float
    converged: bool


class Curvature(NamedTuple):
    """The curvature at the centre of a plane."""

    eigenvalues: tuple[Eigenvalue, ...]
    """These are the largest, from above; the last one is the most negative, or least."""
    trace: float
    trace_half: float | None
    """This is half of the 95 % interval over ``probes``."""
    probes: int
    steps: int
    """Lanczos took so many products, from each probe."""
    gradient: float
    """The gradient is so long."""
    sharpness: float
    spectra: tuple[Spectrum, ...] = ()
    """These are what the probes say of the density of the eigenvalues."""
    size: int = 0
    """The Hessian has so many eigenvalues: one for each weight."""


class Hessian:
    """The Hessian of a mean loss, as what it makes of vectors: float64, one number for each weight."""

    def __init__(self, losses: Losses) -> None:
        self.losses, self.params = losses, losses.params
        self.size = sum(p.numel() for p in self.params)
        self.products = 0

    def __call__(self, vector: Tensor) -> Tensor:
        """Return H v, over all batches, each weighted by its images."""
        self.products += 1
        parts = self.parts(vector)
        found = torch.zeros_like(vector)
        for loss, share in self._losses():
            with self.losses.running():
                slopes = torch.autograd.grad(loss, self.params, create_graph=True, materialize_grads=True)
                along = torch.stack([(slope * part).sum() for slope, part in zip(slopes, parts, strict=True)]).sum()
                found += flat(torch.autograd.grad(along, self.params, materialize_grads=True)) * share
        return found

    def gradient(self) -> Tensor:
        """Return the gradient of the loss."""
        found = torch.zeros(self.size, dtype=torch.float64, device=self.params[0].device)
        for loss, share in self._losses():
            with self.losses.running():
                found += flat(torch.autograd.grad(loss, self.params, materialize_grads=True)) * share
        return found

    @torch.no_grad()
    def loss(self) -> float:
        """Return the loss where the weights are: of the function whose Hessian it is, statistics of BN and all."""
        return float(torch.stack([loss.double() * share for loss, share in self._losses()]).sum())

    def _losses(self) -> Iterator[tuple[Tensor, float]]:
        """Yield the loss of each batch, and the share of the images that it has."""
        losses, total = self.losses, sum(self.losses.sizes)
        for (x, targets), size in zip(losses.batches, losses.sizes, strict=True):
            with losses.running():
                loss = losses.loss(losses.module(x), targets)
            yield loss, size / total

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Cut a vector into pieces of the parameters' shapes."""
        pieces = torch.split(vector, [p.numel() for p in self.params])
        return [piece.view(p.shape).to(p.dtype) for piece, p in zip(pieces, self.params, strict=True)]


def flat(parts: Direction) -> Tensor:
    """Put tensors into one vector of float64."""
    return torch.cat([part.detach().reshape(-1).double() for part in parts if part is not None])


class Lanczos(NamedTuple):
    """``values`` of H in a space that ``steps`` products span, ascending."""

    values: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    """The start has these shares of its square in the vectors of the values."""
    basis: Tensor
    inner: np.ndarray

    def vector(self, index: int) -> Tensor:
        """Return the vector of a value."""
        return self.basis.T @ torch.from_numpy(self.inner[:, index]).to(self.basis.device)


def lanczos(product: Product, start: Tensor, steps: int) -> Lanczos:
    """Find values and vectors of a symmetric matrix in the space of start, H start, H H start, ...

    It ends before ``steps`` where that space holds all that the start has to do with.
    """
    most = min(steps, len(start))
    with cannot_run(f"{steps} steps of Lanczos"):
        basis = start.new_empty(most + 1, len(start))
    basis[0] = start / start.norm()
    diagonal, beside = [], []
    for i in range(most):
        found = product(basis[i])
        diagonal.append(float(found @ basis[i]))
        known = basis[: i + 1]
        for _ in range(2):
            found = found - known.T @ (known @ found)
        beside.append(float(found.norm()))
        if not beside[-1] > 1e-10 * max(map(abs, diagonal)):
            break
        basis[i + 1] = found / beside[-1]
    count = len(diagonal)
    inner = np.diag(diagonal) + np.diag(beside[: count - 1], 1) + np.diag(beside[: count - 1], -1)
    if not np.isfinite(inner).all():
        return Lanczos(np.full(1, np.nan), np.full(1, inf), np.ones(1), basis[:1], np.ones((1, 1)))
    values, vectors = np.linalg.eigh(inner)
    return Lanczos(values, beside[-1] * np.abs(vectors[-1]), vectors[0] ** 2, basis[:count], vectors)


def eigenvalues(found: Lanczos, most: int) -> tuple[Eigenvalue, ...]:
    """Return the largest, and the least."""
    scale = float(np.abs(found.values).max())
    chosen = [*[*range(len(found.values) - 1, 0, -1)][:most], 0]
    return tuple(
        Eigenvalue(value, residual, bool(residual <= CONVERGED * scale))
        for value, residual in ((float(found.values[i]), float(found.residuals[i])) for i in chosen)
    )


def signs(size: int, seed: int, number: int, device: torch.device) -> Tensor:
    """Draw a probe: ones, each of a random sign (Rademacher)."""
    draw = torch.Generator().manual_seed(1_000_003 * seed + number)
    return torch.randint(0, 2, (size,), generator=draw).double().mul_(2).sub_(1).to(device)


def trace(spectra: Sequence[Spectrum], size: int) -> tuple[float, float | None]:
    """Estimate the trace, with half of its 95 % interval over the probes (Hutchinson 1989): of each v H v, which its
    spectrum gives exactly."""
    return mean_and_half([size * one.mean for one in spectra])


def start(size: int, seed: int, device: torch.device) -> Tensor:
    """Draw the first vector of Lanczos."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device)


def curvature(losses: Losses, steps: int, most: int, probes: int, seed: int, told: Callable[[int], None]) -> Curvature:
    """Measure the curvature where the centre is; ``told`` hears of every product."""
    with losses.differentiable():
        hessian = Hessian(losses)

        def product(vector: Tensor) -> Tensor:
            found = hessian(vector)
            told(hessian.products)
            return found

        slope = hessian.gradient()
        known: tuple[Eigenvalue, ...] = ()
        spectra = []
        for number in range(probes):
            found = lanczos(product, signs(hessian.size, seed, number, slope.device), steps)
            known = known or eigenvalues(found, most)
            spectra.append(Spectrum(tuple(found.values.tolist()), tuple(found.weights.tolist())))
            del found  # its basis is as large as the weights, so many times
        parts = hessian.parts(slope * (RHO / slope.norm()) if slope.any() else slope)
        here = hessian.loss()
        losses.move((1.0, parts))
        rise = hessian.loss() - here
    losses.move()
    longest = max(len(one.values) for one in spectra)
    return Curvature(
        known, *trace(spectra, hessian.size), probes, longest, float(slope.norm()), rise, tuple(spectra), hessian.size
    )


def top_two(losses: Losses, steps: int, seed: int) -> list[list[Tensor | None]]:
    """Return the vectors of the two largest eigenvalues, each as long as all weights together."""
    with losses.differentiable():
        hessian = Hessian(losses)
        found = lanczos(hessian, start(hessian.size, seed, losses.params[0].device), steps)
        long = flat(losses.centre).norm()
        return [[*hessian.parts(found.vector(-1 - i) * long)] for i in range(2)]
