"""Eigenvalues and traces are those of the Hessian that is written out."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from test_planes import batches, network
from torch import nn
from torch.func import functional_call

import resbench
from resbench.landscapes.curvature import Hessian, eigenvalues, lanczos, start, trace
from resbench.landscapes.losses import Losses, cross_entropy
from resbench.restoring.unchanged import unchanged


def small(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5)).double()


def dense(net, shown):
    """The Hessian of the mean over all images, entry by entry."""
    names, sizes = zip(*[(name, p.shape) for name, p in net.named_parameters()], strict=True)
    x, y = (torch.cat(parts) for parts in zip(*shown, strict=True))

    def loss(vector):
        pieces = torch.split(vector, [size.numel() for size in sizes])
        weights = {name: piece.view(size) for name, piece, size in zip(names, pieces, sizes, strict=True)}
        return nn.functional.cross_entropy(functional_call(net, weights, (x,)), y)

    vector = torch.cat([p.detach().flatten() for p in net.parameters()])
    return torch.autograd.functional.hessian(loss, vector).numpy()


def test_eigenvalues_are_those_of_the_dense_matrix_and_of_scipy():
    net, shown = small(), batches((40, 40, 16))
    whole = np.linalg.eigvalsh(dense(net, shown))
    losses = Losses(net, shown, cross_entropy, "eval")
    with losses.differentiable():
        hessian = Hessian(losses)
        found = lanczos(hessian, start(hessian.size, 0, torch.device("cpu")), hessian.size)
        five = eigenvalues(found, 5)
        operator = LinearOperator(
            (hessian.size,) * 2, lambda v: hessian(torch.from_numpy(v.ravel())).numpy(), dtype=float
        )
        theirs = eigsh(operator, 5, which="LA", return_eigenvectors=False)
    assert [one.value for one in five[:5]] == pytest.approx(whole[::-1][:5], abs=1e-6 * whole[-1])
    assert sorted(one.value for one in five[:5]) == pytest.approx(theirs, abs=1e-6 * whole[-1])
    assert five[-1].value == pytest.approx(whole[0], abs=1e-6 * whole[-1])
    assert all(one.converged for one in five)


def test_no_eigenvalue_comes_twice_and_what_is_not_known_is_said():
    draw = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(200, 200, generator=draw, dtype=torch.float64))
    values = torch.cat([torch.linspace(-1, 1, 197, dtype=torch.float64), torch.tensor([50.0, 30.0, 20.0]).double()])
    matrix = q @ torch.diag(values) @ q.T
    many = lanczos(lambda v: matrix @ v, start(200, 1, torch.device("cpu")), 120)
    top = eigenvalues(many, 3)
    assert [one.value for one in top[:3]] == pytest.approx([50, 30, 20], rel=1e-9)
    assert (np.diff(np.sort(many.values)) > 1e-9).all()
    few = lanczos(lambda v: matrix @ v, start(200, 1, torch.device("cpu")), 4)
    assert not all(one.converged for one in eigenvalues(few, 3))
    for value, residual in zip(few.values, few.residuals, strict=True):
        assert np.abs(values.numpy() - value).min() <= residual + 1e-9, "an eigenvalue lies within the residual"


def test_a_matrix_of_few_values_ends_early():
    found = lanczos(lambda v: 3 * v, torch.ones(10, dtype=torch.float64), 8)
    assert found.values.tolist() == [3.0]
    assert found.residuals.tolist() == [0.0]


def test_the_interval_of_the_trace_holds_it_in_most_draws():
    net, shown = small(), batches((20,))
    matrix = torch.from_numpy(dense(net, shown))
    exact = float(matrix.trace())
    inside = 0
    for seed in range(100):
        mean, half = trace(lambda v: matrix @ v, len(matrix), 12, seed, torch.device("cpu"))
        inside += abs(mean - exact) <= half
    assert inside >= 90


@pytest.mark.parametrize("bn", ["eval", "recompute", "train"])
def test_products_with_batch_norm_are_differences_of_gradients(bn):
    net, shown = network(), batches((12, 12, 5))
    with unchanged(net):
        losses = Losses(net, shown, cross_entropy, bn)
        with losses.differentiable():
            hessian = Hessian(losses)
            v = start(hessian.size, 5, torch.device("cpu"))
            v /= v.norm()
            exact = hessian(v)
            slopes = []
            for sign in (1, -1):  # statistics stay what they are at the centre, but those of a batch
                losses.move((1e-6 * sign, hessian.parts(v)))
                slopes.append(hessian.gradient())
    assert torch.allclose(exact, (slopes[0] - slopes[1]) / 2e-6, atol=1e-6 * float(exact.norm()))


def test_the_curvature_of_a_landscape_is_that_of_its_centre():
    net, shown = small(), batches((20, 9))
    matrix = dense(net, shown)
    found = resbench.landscape(net, batches=shown, points=3, curvature=len(matrix)).surfaces[0].curvature
    whole = np.linalg.eigvalsh(matrix)
    assert found.eigenvalues[0].value == pytest.approx(whole[-1], rel=1e-6)
    assert found.eigenvalues[-1].value == pytest.approx(whole[0], abs=1e-6 * whole[-1])
    assert abs(found.trace - np.trace(matrix)) <= 2 * found.trace_half
    x, y = (torch.cat(parts) for parts in zip(*shown, strict=True))
    loss = nn.functional.cross_entropy(net(x), y)
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])
    assert found.gradient == pytest.approx(float(slope.norm()), rel=1e-9)
    vector = nn.utils.parameters_to_vector(net.parameters()) + 0.05 * slope / slope.norm()
    nn.utils.vector_to_parameters(vector.detach(), net.parameters())
    rise = (nn.functional.cross_entropy(net(x), y) - loss).item()
    assert found.sharpness == pytest.approx(rise, rel=1e-9)


def test_top_directions_are_the_eigenvectors():
    net, shown = small(), batches((20, 9))
    matrix = dense(net, shown)
    values = np.linalg.eigvalsh(matrix)
    found = resbench.landscape(net, batches=shown, points=3, span=1e-3, directions="top", curvature=len(matrix))
    plane = found.surfaces[0].plane
    long = float(torch.cat([p.detach().flatten() for p in net.parameters()]).norm())
    bends = (plane[1, 2] + plane[1, 0] - 2 * plane[1, 1]), (plane[2, 1] + plane[0, 1] - 2 * plane[1, 1])
    assert np.array(bends) / (1e-3 * long) ** 2 == pytest.approx(values[::-1][:2], rel=1e-3)
