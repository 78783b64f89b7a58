"""Formulas by a second route: enumeration, dense Jacobians, closed forms."""

from itertools import pairwise, product
from math import prod

import pytest
import torch
from torch import nn

from resbench.errors import OptionError
from resbench.gradients.frozen import frozen, jacobians, shattering
from resbench.gradients.result import Flow
from resbench.gradients.statistics import STATISTICS, StatisticRow, chosen_statistics, growth_per_layer, path_lengths
from resbench.gradients.verdicts import Thresholds, Verdict, against, chosen_verdicts, verdicts
from resbench.networks.build import build


def test_path_lengths_are_those_of_all_paths_enumerated():
    shares = [0.1, 0.5, 0.3, 0.9, 0.25]
    counted = [0.0] * 6
    for path in product((0, 1), repeat=5):
        counted[sum(path)] += prod(p if taken else 1 - p for p, taken in zip(shares, path, strict=True))
    lengths = path_lengths(shares)
    assert lengths == pytest.approx(counted)
    assert sum(k * share for k, share in enumerate(lengths)) == pytest.approx(sum(shares))


def test_growth_is_the_factor_of_a_geometric_row_and_least_squares_else():
    assert growth_per_layer([1, 3, 5, 9], [1.21**-d for d in (1, 3, 5, 9)]) == pytest.approx(1.21)
    numpy = pytest.importorskip("numpy")
    depths, norms = [1, 2, 4, 7], [3.0, 2.5, 1.0, 0.7]
    assert growth_per_layer(depths, norms) == pytest.approx(numpy.exp(-numpy.polyfit(depths, numpy.log(norms), 1)[0]))
    assert growth_per_layer([1], [1.0]) is None
    assert growth_per_layer([1, 2], [1.0, 0.0]) is None


def test_frozen_is_the_training_pass_whatever_comes_next():
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = build("resnet20").double().train()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    still = frozen(model, x.double())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        trained, held = model(x.double()), still(x.double())
    # the running variance is the unbiased one: n / (n - 1) larger, n = 8 * 8 * 8 in the last stage
    assert (trained - held).abs().max() < 0.02 * trained.abs().max()
    with torch.no_grad():
        assert torch.allclose(still(x[:1].double()), held[:1])


def test_a_linear_network_is_not_shattered_and_has_rank_one():
    linear = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 10)).eval()
    a, b = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = shattering(linear, a, b)
    assert found["c1"] == pytest.approx(1, abs=1e-6)
    assert found["effective_rank"] == pytest.approx(1, abs=1e-5)


def test_effective_rank_and_c1_are_those_of_the_matrix_of_gradients():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 5)).double().eval()
    a, b = 3 * torch.randn(2, 3, 2, 2, dtype=torch.float64)
    found = shattering(net, a, b, seed=7)
    direction = torch.randn(5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    rows = []
    for t in torch.linspace(0, 1, 48, dtype=torch.float64):
        x = (a + t * (b - a))[None].requires_grad_()
        (net(x)[0] @ direction).backward()
        rows.append(x.grad.flatten())
    g = torch.stack(rows)
    cosines = [torch.cosine_similarity(u, v, dim=0) for u, v in pairwise(g)]
    assert found["c1"] == pytest.approx(torch.stack(cosines).mean().item())
    sigma = torch.linalg.svdvals(g)
    assert found["effective_rank"] == pytest.approx((sigma.square().sum() / sigma[0] ** 2).item())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.func's own imports
def test_a_blocks_jacobian_is_that_of_dense_linear_algebra():
    model = build("resnet14", seed=1).double().train()
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    still = frozen(model, x)
    found = jacobians(still, x)
    assert list(found) == [f"layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1)]
    block, held = still.get_submodule("layer3.1"), {}
    block.register_forward_pre_hook(lambda m, args: held.update(x=args[0].detach().clone()))
    still(x)
    tops, energies = [], []
    for image in held["x"]:
        dense = torch.autograd.functional.jacobian(lambda v: block(v[None])[0], image)
        matrix = dense.reshape(image.numel(), image.numel())
        tops.append(torch.linalg.matrix_norm(matrix, 2))
        energies.append(matrix.square().sum() / image.numel())
    assert found["layer3.1"]["sigma_max"] == pytest.approx(torch.stack(tops).mean().item(), rel=0.02)
    assert found["layer3.1"]["energy"] == pytest.approx(torch.stack(energies).mean().item(), rel=0.1)


def rows(step=0, **values):
    """``early`` and ``last`` are update ratios of six layers."""
    found = []
    values.setdefault("first_to_last", 50)  # healthy
    for name, value in values.items():
        if name in ("early", "last"):
            places = (0, 1) if name == "early" else (5,)
            found += [StatisticRow("net", 0, step, "layer", f"conv{i}", i / 5, "update", value) for i in places]
        else:
            found.append(StatisticRow("net", 0, step, "network", "", 1.0, name, value))
    middle = [StatisticRow("net", 0, step, "layer", f"conv{i}", i / 5, "update", 0.01) for i in (2, 3, 4)]
    return sorted([*found, *(middle if "early" in values else [])], key=lambda row: row.depth)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"first_to_last": 9e-4}, ["vanishing"]),
        ({"first_to_last": 1.1e3}, ["exploding"]),
        ({"first_to_last": 50}, ["healthy"]),
        ({"first_to_last": 500}, ["marginal"]),
        ({"first_to_last": 5e-3}, ["marginal"]),
        ({"early": 0.31, "last": 0.01}, ["healthy", "over-stepping"]),
        ({"early": 0.31, "last": 0.01, "step": 10}, ["healthy"]),
        ({"early": 9e-5, "last": 2e-3}, ["healthy", "frozen"]),
        ({"early": 9e-5, "last": 9e-4}, ["healthy"]),
        ({"c1": 0.05}, ["healthy", "shattered"]),
        ({"c1": 0.5}, ["healthy", "intact"]),
        ({"c1": 0.2}, ["healthy"]),
    ],
)
def test_verdicts_at_their_thresholds(values, words):
    assert [verdict.word for verdict in verdicts(Flow("net", (), tuple(rows(**values))), Thresholds())] == words


def test_thresholds_can_be_set_and_a_gate_told_what_fails():
    limits = Thresholds().changed(["exploding=10", "healthy=0.5:5", "over-stepping=0.1"])
    assert (limits.exploding, limits.healthy, limits.over_stepping) == (10, (0.5, 5), 0.1)
    found = verdicts(Flow("net", (), tuple(rows(first_to_last=20))), limits)
    assert against(found, ["exploding"]) == [Verdict("exploding", 0, "R = 20")]
    assert against(found, ["vanishing"]) == []
    for bad in ("exploding", "exploding=x", "healthy=3", "loud=3", "c1=1:2", "exploding=nan", "healthy=9:1"):
        with pytest.raises(OptionError, match="--threshold"):
            Thresholds().changed([bad])
    with pytest.raises(OptionError, match="--fail-on takes vanishing, exploding"):
        chosen_verdicts(["explodes"])


def test_statistics_are_chosen_by_name():
    assert [s.key for s in chosen_statistics(["gradient", "cosine"])] == ["gradient", "cosine"]
    assert {s.place for s in chosen_statistics(["all"])} == {"boundary", "layer", "sum", "norm", "relu", "block"}
    with pytest.raises(OptionError, match=r"--stat takes gradient.*did you mean cosine"):
        chosen_statistics(["cosin"])
    assert all(key == s.key and s.formula for key, s in STATISTICS.items())
