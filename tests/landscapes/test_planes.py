"""A plane is the loss at weights that are put there one by one, whatever normalises them, and leaves nothing behind."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

import resbench
from resbench.errors import OptionError, ResbenchError
from resbench.landscapes.directions import random
from resbench.landscapes.losses import Losses, cross_entropy


def network(norm=True, seed=0):
    torch.manual_seed(seed)
    norms = [nn.BatchNorm2d(4), nn.BatchNorm2d(6)] if norm else [nn.Identity(), nn.Identity()]
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), norms[0], nn.ReLU(), nn.Conv2d(4, 6, 3, stride=2), norms[1], nn.ReLU()
    )
    net = nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)).double()
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.weight, 1, 0.3)
            nn.init.normal_(m.bias, 0, 0.3)
            m.running_mean.normal_(0, 0.2)
            m.running_var.uniform_(0.5, 1.5)
    return net


def batches(sizes=(7, 7, 3), seed=1):
    draw = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, 3, 8, 8, generator=draw, dtype=torch.float64),
            torch.randint(0, 5, (n,), generator=draw),
        )
        for n in sizes
    ]


def naive(net, shown, terms, bn):
    """The loss with every image counted once, on a copy whose weights are written in full."""
    own = copy.deepcopy(net)
    with torch.no_grad():
        for i, p in enumerate(own.parameters()):
            for share, direction in terms:
                if direction[i] is not None:
                    p += share * direction[i]
        norms = [m for m in own.modules() if isinstance(m, nn.BatchNorm2d)]
        own.eval()
        if bn == "recompute":
            torch.optim.swa_utils.update_bn([x for x, _ in shown], own)
            own.eval()
        if bn == "train":
            for m in norms:
                m.train()
        losses, wrong, count = 0.0, 0, 0
        for x, y in shown:
            scores = own(x)
            losses += float(nn.functional.cross_entropy(scores, y, reduction="sum"))
            wrong += int((scores.argmax(1) != y).sum())
            count += len(y)
    return losses / count, wrong / count


@pytest.mark.parametrize("bn", ["eval", "train", "recompute"])
def test_every_point_is_the_naive_one(bn):
    net, shown = network(), batches()
    found = resbench.landscape(net, batches=shown, points=5, span=0.7, bn=bn).surfaces[0]
    pair = [random(net, "filter", "zero", 0, k) for k in range(2)]
    for (j, b), (i, a) in itertools.product(enumerate((-0.7, -0.35, 0, 0.35, 0.7)), repeat=2):
        loss, error = naive(net, shown, [(a, pair[0]), (b, pair[1])], bn)
        assert found.loss[j][i] == pytest.approx(loss, rel=1e-10, abs=1e-12)
        assert found.error[j][i] == error
    assert found.centre[0] == found.loss[2][2] == pytest.approx(naive(net, shown, [], bn)[0], rel=1e-10)


def state(net):
    modes = [m.training for m in net.modules()]
    momenta = [m.momentum for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    grads = [(p.requires_grad, p.grad) for p in net.parameters()]
    return {name: value.clone() for name, value in net.state_dict().items()}, modes, momenta, grads


def assert_equal(before, after):
    assert before[1:] == after[1:]
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])


@pytest.mark.parametrize("bn", ["eval", "train", "recompute"])
def test_a_module_comes_back_as_it_was(bn):
    net = network().train()
    before = state(net)
    resbench.landscape(net, batches=batches(), points=3, bn=bn, curvature=3)
    assert_equal(before, state(net))

    calls = itertools.count()

    def breaks(outputs, targets):
        if next(calls) == 10:
            raise RuntimeError("enough")
        return cross_entropy(outputs, targets)

    with pytest.raises(ResbenchError, match="enough"):
        resbench.landscape(net, batches=batches(), loss=breaks, points=3, bn=bn)
    assert_equal(before, state(net))


def test_a_module_of_unknown_classes_has_no_share_below_guessing():
    found = resbench.landscape(network(), batches=batches(), points=3)
    assert [*found.figures()] == []
    assert "below guessing" not in str(found)


def test_the_same_call_gives_the_same_plane():
    one, two = (resbench.landscape(network(), batches=batches(), points=5).surfaces[0] for _ in range(2))
    assert one.loss == two.loss
    assert one.error == two.error


def test_what_is_not_finite_stays_so():
    def loss(outputs, targets):
        found = cross_entropy(outputs, targets)
        return torch.where(found > 1.9, torch.inf, torch.where(found > 1.8, torch.nan, found))

    net, shown = network(), batches()
    plain = resbench.landscape(net, batches=shown, points=7, span=2).surfaces[0].plane
    wild = resbench.landscape(net, batches=shown, points=7, span=2, loss=loss, tolerance=0.01).surfaces[0]
    assert np.isnan(wild.plane).any()
    assert np.isinf(wild.plane).any()
    kept = np.isfinite(wild.plane)
    assert kept.any()
    assert np.array_equal(wild.plane[kept], plain[kept]), "nothing was put in the place of what is not finite"
    assert all(map(all, wild.exact)), "and no spline goes through it"


def test_directions_have_both_signs_and_the_length_of_what_they_move():
    net = nn.Sequential(
        nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ConvTranspose2d(6, 8, 2, groups=2), nn.Linear(3, 5)
    ).double()
    drawn = random(net, "filter", "zero", 3, 0)
    assert [one is None for one in drawn] == [p.dim() < 2 for p in net.parameters()]
    conv, up, linear = (drawn[i] for i in (0, 4, 6))
    for own, weight in ((conv, net[0].weight), (linear, net[3].weight)):
        assert (own > 0).any() and (own < 0).any()
        assert torch.allclose(own.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-12)
    for group, out in itertools.product(range(2), range(4)):
        filters = [one[3 * group : 3 * group + 3, out].detach() for one in (up, net[2].weight)]
        assert float(filters[0].norm()) == pytest.approx(float(filters[1].norm()), rel=1e-12)
    for kind in ("filter", "layer"):
        moved = random(net, kind, "own", 3, 0)
        for own, p in zip(moved, net.parameters(), strict=True):
            assert own.norm().item() == pytest.approx(p.norm().item(), rel=1e-12)
    raw = random(net, "none", "own", 3, 0)
    assert torch.cat([one.flatten() for one in raw]).std() == pytest.approx(1, abs=0.1)
    assert not torch.equal(raw[0], random(net, "none", "own", 3, 1)[0])


def planes(net, shown, directions, **more):
    return resbench.landscape(net, batches=shown, points=5, directions=directions, **more).surfaces[0].plane


def test_what_computes_the_same_has_the_same_picture():
    net, shown = network(), batches((16, 16))
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.eps = 1e-30
    scaled = copy.deepcopy(net)
    with torch.no_grad():
        scaled[0][0].weight *= 10
        scaled[0][0].bias *= 10
    same, other = (planes(one, shown, "filter") for one in (net, scaled))
    assert np.allclose(same, other, rtol=1e-6)
    assert not np.allclose(planes(net, shown, "none"), planes(scaled, shown, "none"), rtol=1e-2)

    plain = network(norm=False)
    pair = copy.deepcopy(plain)
    with torch.no_grad():
        pair[0][0].weight *= 10
        pair[0][0].bias *= 10
        pair[0][3].weight /= 10
    same, other = (planes(one, shown, "filter", bn="eval") for one in (plain, pair))
    assert np.allclose(same, other, rtol=1e-6)
    assert not np.allclose(planes(plain, shown, "none"), planes(pair, shown, "none"), rtol=1e-2)


def test_no_chunking_changes_what_statistics_are_of():
    net, shown = network(), batches((8, 8))
    whole = [tuple(map(torch.cat, zip(*shown, strict=True)))]
    halves = resbench.landscape(net, batches=shown, points=3, bn="eval").surfaces[0].plane
    assert np.allclose(
        halves, resbench.landscape(net, batches=whole, points=3, bn="eval").surfaces[0].plane, rtol=1e-12
    )
    with torch.no_grad():
        losses = Losses(copy.deepcopy(net), whole, cross_entropy, "train")
        assert losses.value().loss == pytest.approx(naive(net, whole, [], "train")[0], rel=1e-12)


def test_batches_may_come_from_a_loader_once():
    net, shown = network(), batches((6, 6, 2))
    x, y = (torch.cat(parts) for parts in zip(*shown, strict=True))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=6)
    plain = resbench.landscape(net, batches=shown, points=3)
    for once in (loader, iter(shown)):
        found = resbench.landscape(net, batches=once, points=3)
        assert found.surfaces[0].loss == plain.surfaces[0].loss
        assert "14 images of batches of your own" in str(found)
        assert "over batches of up to 6" in str(found)


def test_a_module_without_parameters_and_other_wrong_input():
    with pytest.raises(ResbenchError, match="no parameters"):
        resbench.landscape(nn.Flatten(), batches=batches())
    with pytest.raises(OptionError, match="expected batches"):
        resbench.landscape(network(), batches=[])
    for wrong, words in (
        ({"span": 0}, "--span"),
        ({"span": math.inf}, "--span"),
        ({"points": 1}, "--points"),
        ({"points": 10}, "odd"),
        ({"bn": "frozen"}, "recompute, eval, train"),
        ({"directions": "up"}, "filter, layer, none, top"),
        ({"biases": "1"}, "zero, own"),
        ({"tolerance": 2}, "--tolerance"),
    ):
        with pytest.raises(OptionError, match=words):
            resbench.landscape(network(), batches=batches(), **wrong)


def test_what_cannot_be_judged_is_said():
    net, shown = network(), batches()
    x, y = shown[0]
    for wrong, words in (
        ({"batches": [x]}, "pairs"),
        ({"batches": [(x, None)]}, "pairs"),
        ({"batches": [(x, y + 5)]}, "5 outputs where targets are of"),
        ({"batches": shown, "curvature": -1}, "--curvature"),
        ({"batches": shown, "curvature": 10**6}, "as many steps as there are weights at most"),
        ({"batches": shown, "seeds": 2}, "neither seeds nor epochs"),
    ):
        with pytest.raises((ResbenchError, ValueError), match=words):
            resbench.landscape(net, points=3, **wrong)
    with pytest.raises(OptionError, match="one or the other"):
        resbench.landscape("resnet8", batches=shown)
    empty = (x[:0], y[:0])
    plain = resbench.landscape(net, batches=shown, points=3)
    assert resbench.landscape(net, batches=[empty, *shown], points=3).surfaces[0].loss == plain.surfaces[0].loss
    assert "No BN." in str(resbench.landscape(network(norm=False), batches=shown, points=3))


def test_a_scripted_module_comes_back_in_its_mode():
    net = torch.jit.script(network().train())
    resbench.landscape(net, batches=batches(), points=3)
    assert net.training
    assert all(m.training for m in net.modules())


def test_what_the_package_itself_does_wrong_is_not_worded_as_what_a_network_cannot(monkeypatch):
    def slip(*_):
        raise NameError("name 'slip' is not defined")

    net = network()
    before = state(net)
    monkeypatch.setattr("resbench.landscapes.plane.left_out", slip)
    with pytest.raises(NameError, match="slip"):
        resbench.landscape(net, batches=batches(), points=9, tolerance=0.01)
    assert_equal(before, state(net))
