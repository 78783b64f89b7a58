"""Eigenvalues and traces are those of the Hessian that is written out."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from test_planes import batches, network
from torch import nn
from torch.func import functional_call

import resbench
from resbench.landscapes.convexity import Extremes
from resbench.landscapes.curvature import Hessian, eigenvalues, lanczos, signs, start, trace
from resbench.landscapes.density import Spectrum, broadened, density
from resbench.landscapes.directions import random
from resbench.landscapes.losses import Losses, cross_entropy
from resbench.networks.load import load
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


def spectrum(matrix, first, steps):
    found = lanczos(lambda v: matrix @ v, first, steps)
    return Spectrum(tuple(found.values.tolist()), tuple(found.weights.tolist()))


def probed(matrix, seed, number, steps):
    return spectrum(matrix, signs(len(matrix), seed, number, torch.device("cpu")), steps)


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
    for seed in range(400):
        mean, half = trace([probed(matrix, seed, number, 1) for number in range(12)], len(matrix))
        inside += abs(mean - exact) <= half
    assert 366 <= inside <= 394


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


@pytest.mark.parametrize("bn", ["eval", "recompute", "train"])
def test_the_step_along_the_gradient_ends_in_the_function_of_the_gradient(bn):
    net, shown = network(), batches((12, 12, 5))
    landscape = resbench.landscape(net, batches=shown, points=3, bn=bn, curvature=2)
    assert ("BN's statistics are here the centre's, as constants" in str(landscape)) == (bn == "recompute")
    if bn == "recompute":
        torch.optim.swa_utils.update_bn([x for x, _ in shown], net)
    net.train(bn == "train")

    def loss():
        return sum(nn.functional.cross_entropy(net(x), y) * len(y) for x, y in shown) / 29

    here = loss()
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(here, list(net.parameters()))])
    vector = nn.utils.parameters_to_vector(net.parameters()) + 0.05 * slope / slope.norm()
    nn.utils.vector_to_parameters(vector.detach(), net.parameters())
    found = landscape.surfaces[0].curvature
    assert found.gradient == pytest.approx(float(slope.norm()), rel=1e-9)
    assert found.sharpness == pytest.approx((loss() - here).item(), rel=1e-9)


def test_top_directions_are_the_eigenvectors():
    net, shown = small(), batches((20, 9))
    matrix = dense(net, shown)
    values = np.linalg.eigvalsh(matrix)
    found = resbench.landscape(net, batches=shown, points=3, span=1e-3, directions="top", curvature=len(matrix))
    plane = found.surfaces[0].plane
    long = float(torch.cat([p.detach().flatten() for p in net.parameters()]).norm())
    bends = (plane[1, 2] + plane[1, 0] - 2 * plane[1, 1]), (plane[2, 1] + plane[0, 1] - 2 * plane[1, 1])
    assert np.array(bends) / (1e-3 * long) ** 2 == pytest.approx(values[::-1][:2], rel=1e-3)


def test_over_all_basis_vectors_the_density_is_that_of_the_eigenvalues():
    matrix = dense(small(), batches((20, 9)))
    values, n = np.linalg.eigvalsh(matrix), len(matrix)
    each = [spectrum(torch.from_numpy(matrix), one, n) for one in torch.eye(n, dtype=torch.float64)]
    found = density(each)
    exact = broadened(values, np.full(n, 1 / n), found.at, found.broad)
    assert found.broad == pytest.approx(0.01 * np.ptp(values))
    assert found.mean == pytest.approx(exact, abs=1e-8 * exact.max())
    assert np.trapezoid(found.mean, found.at) == pytest.approx(1, abs=1e-3)


def test_the_density_of_probes_has_the_moments_and_the_shape_of_the_spectrum():
    matrix = torch.from_numpy(dense(small(), batches((20, 9))))
    n, probes = len(matrix), 40
    values, vectors = torch.linalg.eigh(matrix)
    for number in range(3):
        v, one = signs(n, 7, number, torch.device("cpu")), probed(matrix, 7, number, 2)
        assert {*v.tolist()} == {-1.0, 1.0}
        assert one.mean * n == pytest.approx(float(v @ matrix @ v), rel=1e-9)
        assert np.dot(np.square(one.values), one.weights) * n == pytest.approx(float((matrix @ v).square().sum()))
    each = [probed(matrix, 7, number, n) for number in range(probes)]
    found = density(each)
    apart = (torch.from_numpy(found.at)[:, None] - values) / found.broad
    peaks = torch.exp(-(apart**2) / 2) / (found.broad * np.sqrt(2 * np.pi))
    for t, mean, at in zip(peaks, found.mean, found.at, strict=True):
        whole = vectors @ torch.diag(t) @ vectors.T  # the Gaussian of the matrix, of which a probe gives v f(H) v / n
        off = whole - torch.diag(whole.diag())
        deviation = float((2 * off.square().sum() / probes).sqrt()) / n
        assert abs(mean - float(t.mean())) <= 5 * deviation + 1e-9, at
    mean, half = trace(each, n)
    assert abs(mean - float(values.sum())) <= 2 * half
    inside = np.abs(found.mean - peaks.mean(1).numpy()) <= found.half + 1e-9
    assert inside.mean() > 0.6, "the interval over the probes holds the density at most places"


def test_of_one_probe_the_interval_is_not_known():
    one = Spectrum((1.0, 2.0), (0.5, 0.5))
    assert np.isnan(density([one]).half).all()
    assert (density([one, one]).half == 0).all()


def test_a_matrix_of_one_value_or_of_none_that_is_finite_has_no_density():
    assert density([Spectrum((3.0,), (1.0,))]) is None
    assert density([Spectrum((float("nan"),), (1.0,)), Spectrum((1.0, 2.0), (0.5, 0.5))]) is None


def test_a_landscape_has_the_density_of_its_centre():
    net, shown = small(), batches((20, 9))
    matrix = torch.from_numpy(dense(net, shown))
    landscape = resbench.landscape(net, batches=shown, points=3, curvature=6)
    found = landscape.surfaces[0].curvature
    assert (found.size, found.steps, len(found.spectra)) == (len(matrix), 6, found.probes)
    for number, one in enumerate(found.spectra):
        same = probed(matrix, 0, number, 6)
        assert one.values == pytest.approx(same.values, rel=1e-6, abs=1e-9)
        assert one.weights == pytest.approx(same.weights, rel=1e-4, abs=1e-9)
    assert found.trace == pytest.approx(np.mean([len(matrix) * one.mean for one in found.spectra]))
    assert "density of the eigenvalues" in [picture.name for picture in landscape.pictures()]


@pytest.mark.parametrize("bn", ["eval", "recompute"])
def test_extremes_over_the_plane_are_those_of_dense_matrices(bn):
    net, shown = network(), batches((12, 12, 5))
    size = sum(p.numel() for p in net.parameters())
    landscape = resbench.landscape(net, batches=shown, points=3, span=0.5, bn=bn, curvature=60, convexity=3)
    found = landscape.surfaces[0]
    pair = [random(net, "filter", "zero", 0, k) for k in range(2)]
    with unchanged(net):
        losses = Losses(net, shown, cross_entropy, bn)
        for j, b in enumerate((-0.5, 0.0, 0.5)):
            for i, a in enumerate((-0.5, 0.0, 0.5)):
                losses.at((a, pair[0]), (b, pair[1]))  # with statistics that belong there
                values = np.linalg.eigvalsh(dense(net, shown))
                bend = found.bends[j][i]
                assert bend.converged
                assert (bend.least, bend.largest) == pytest.approx((values[0], values[-1]), abs=2e-3 * values[-1])
                assert found.ratios[j][i] == pytest.approx(abs(values[0] / values[-1]), abs=2e-3)
    assert len(values) == size
    assert found.ratio == found.ratios[1][1]
    assert found.highest_ratio == found.ratios.max()
    assert found.bends[1][1].largest == pytest.approx(found.curvature.eigenvalues[0].value, rel=1e-3)
    assert "convexity over the plane" in [picture.name for picture in landscape.pictures()]


@pytest.mark.parametrize("bn", ["eval", "recompute", "train"])
def test_the_centre_has_one_value_however_few_the_steps(bn):
    landscape = resbench.landscape(network(), batches=batches((12, 12, 5)), points=3, bn=bn, curvature=3, convexity=3)
    found = landscape.surfaces[0]
    top, least = found.curvature.eigenvalues[0], found.curvature.eigenvalues[-1]
    assert found.bends[1][1] == Extremes(least.value, least.residual, top.value, top.residual)
    assert found.ratio == abs(least.value / top.value)
    assert found.unsure == sum(not one.converged for row in found.bends for one in row) > 0
    [verdict] = landscape.verdicts()
    assert f"at most, not converged at {found.unsure} of 9 points" in verdict
    assert f"not converged at {found.unsure} of 9 points" in landscape.tables()[1].notes[-1]


def test_a_point_is_said_not_to_converge_where_its_residual_is_large():
    assert Extremes(-1.0, 1e-4, 4.0, 1e-3).converged
    assert not Extremes(-1.0, 1e-4, 4.0, 1e-2).converged
    assert np.isnan(Extremes(0.0, 0.0, 0.0, 0.0).ratio)


def test_weights_that_are_not_a_number_have_rows_of_their_own_and_cost_no_other_network_its(tmp_path):
    torch.manual_seed(0)
    state = load("plain8", (3, 16, 16)).module.state_dict()
    torch.save(state, tmp_path / "whole.pt")
    next(iter(state.values())).view(-1)[0] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    names = [f"plain8,weights={tmp_path / name}" for name in ("nan.pt", "whole.pt")]
    words = {"points": 3, "images": 16, "curvature": 3}
    found = resbench.landscape(names, "3x16x16", **words)
    alone = resbench.landscape(names[1], "3x16x16", **words)
    broken, whole = (one.curvature for one in found.surfaces)
    assert np.isnan([broken.eigenvalues[0].value, broken.trace, broken.gradient, broken.sharpness]).all()
    assert broken.trace_half is None
    assert whole == alone.surfaces[0].curvature
    assert "by 3 steps" in str(found), "and not by the single step of the broken one"
    found.save(tmp_path / "found.json")
    assert str(resbench.load(tmp_path / "found.json")) == str(found)
