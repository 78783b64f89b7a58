"""All numbers of a step are of one loss, that whose gradient is applied; what is not known is left out."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from resbench import GradientProbe
from resbench.errors import MeasureError
from resbench.networks.build import build


def chain():
    torch.manual_seed(0)
    return nn.Sequential(*[nn.Sequential(nn.Linear(8, 8), nn.Tanh()) for _ in range(4)], nn.Linear(8, 4)).train()


def batch(n=32):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(n, 8, generator=draw), torch.randint(0, 4, (n,), generator=draw)


def found(probe, *statistics):
    rows = [row for row in probe.rows if not statistics or row.statistic in statistics]
    return {(row.statistic, row.name): row.value for row in rows}


def step(model, optimizer, probe, scaler=None, weight=1.0):
    x, y = batch()
    loss = weight * cross_entropy(probe(x), y)
    optimizer.zero_grad()
    if scaler is None:
        loss.backward()
        optimizer.step()
    else:
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()


def whole():
    """The rows of one plain step."""
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    step(model, optimizer, probe)
    probe.read(lr=0.1)
    return found(probe)


def test_the_parts_of_a_batch_have_the_numbers_of_the_whole_batch():
    """Norms by sums of squares, cosines, responses and dead channels: everything but what a BN sees."""
    x = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(8)
    readings = []
    for parts in (1, 4):
        model = build("resnet20,norm=none").double().train()
        nn.init.constant_(model.get_submodule("layer2.0.conv1").weight[:5], -0.01)
        probe = GradientProbe(model)
        for one, labels in zip(x.chunk(parts), y.chunk(parts), strict=True):
            (cross_entropy(probe(one), labels) / parts).backward()
        probe.read(lr=0.1)
        readings.append(found(probe))
    assert readings[0].keys() == readings[1].keys()
    assert {"gradient", "identity", "cosine", "strength", "dead", "effective_depth"} <= {key for key, _ in readings[0]}
    assert readings[1] == pytest.approx(readings[0], rel=1e-9, abs=1e-12)


def test_the_response_behind_a_bn_is_that_of_all_parts():
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)).double().eval()
    model[1].running_mean.uniform_(-1, 1)
    x, y = batch(12)
    probe = GradientProbe(model)
    for rows in (slice(0, 2), slice(2, 12)):
        cross_entropy(probe(x.double()[rows]), y[rows]).backward()
    probe.read()
    expected = model[:2](x.double()).std(correction=0).item()
    assert found(probe, "deviation") == {("deviation", "1"): pytest.approx(expected, rel=1e-9)}


@pytest.mark.parametrize("init", [2.0**16, 3e38])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_loss_scaler_changes_no_number(init, enabled):
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    step(model, optimizer, probe, torch.amp.GradScaler("cpu", init_scale=init, enabled=enabled))
    probe.read(lr=0.1)
    assert found(probe) == pytest.approx(whole(), rel=1e-4)


def test_a_loss_scaler_changes_no_number_of_the_sums():
    readings = []
    for scaler in (torch.amp.GradScaler("cpu", enabled=False), torch.amp.GradScaler("cpu", init_scale=2.0**70)):
        model = build("resnet8").train()
        optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
        x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        scaler.scale(cross_entropy(probe(x), torch.arange(4))).backward()
        scaler.step(optimizer)
        scaler.update()
        probe.read(optimizer)
        readings.append(found(probe))
    assert ("cosine", "layer1.0.add") in readings[0]
    assert readings[1] == pytest.approx(readings[0], rel=1e-3, abs=1e-6)


def test_what_the_loss_was_multiplied_by_can_be_said():
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    x, y = batch()
    (128 * cross_entropy(probe(x), y)).backward()
    for p in model.parameters():
        p.grad /= 128
    optimizer.step()
    probe.read(optimizer, scale=128)
    assert found(probe) == pytest.approx(whole(), rel=1e-5)


def test_weights_that_the_optimiser_does_not_move_have_the_same_unit():
    model = chain()
    optimizer, probe = torch.optim.SGD(model[:3].parameters(), 0.1), GradientProbe(model)
    step(model, optimizer, probe, torch.amp.GradScaler("cpu"))
    probe.read(optimizer)
    expected = whole()
    assert found(probe, "weight_gradient") == pytest.approx(
        {key: value for key, value in expected.items() if key[0] == "weight_gradient"}, rel=1e-4
    )
    assert {name for _, name in found(probe, "update")} == {"0.0", "1.0", "2.0"}


@pytest.mark.parametrize("zeroed", [None, True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_step_that_the_scaler_leaves_out_is_no_observation_and_the_next_one_is(zeroed, named):
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    scaler = torch.amp.GradScaler("cpu")
    for weight in (float("inf"), 1.0):
        step(model, optimizer, probe, scaler, weight)
        if zeroed is not None:
            optimizer.zero_grad(set_to_none=zeroed)
        probe.read(optimizer if named else 0.1)
    assert {row.step for row in probe.rows} == {1}
    expected = {key: value for key, value in whole().items() if key[0] != "weight_growth"}
    assert {key: value for key, value in found(probe).items() if key[0] != "weight_growth"} == pytest.approx(
        expected, rel=1e-4
    )


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_that_are_zeroed_before_the_reading_are_those_that_were_applied(to_none):
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    step(model, optimizer, probe)
    optimizer.zero_grad(to_none)
    probe.read(optimizer)
    assert found(probe) == whole()


def test_zeroed_gradients_that_nobody_told_of_are_left_out_or_refused():
    for to_none in (True, False):
        model = chain()
        probe = GradientProbe(model)
        x, y = batch()
        cross_entropy(probe(x), y).backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        model.zero_grad(to_none)
        if to_none:
            with pytest.raises(MeasureError, match="before zero_grad"):
                probe.read(0.1)
        else:
            probe.read(0.1)
            assert not found(probe, "weight_gradient", "update", "relative_gradient")
            assert found(probe, "moved", "gradient") == pytest.approx(
                {key: value for key, value in whole().items() if key[0] in ("moved", "gradient")}
            )


def test_without_a_rate_what_needs_one_is_left_out():
    model = chain()
    probe = GradientProbe(model)
    x, y = batch()
    cross_entropy(probe(x), y).backward()
    probe.read()
    assert not found(probe, "update", "effective_lr")
    assert len(found(probe, "weight_gradient")) == 5


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)])
@pytest.mark.parametrize("keyword", [False, True])
def test_the_rate_is_that_of_the_step_whatever_becomes_of_it(rate, keyword):
    """A scheduler's next rate, in a tensor or in the group, is none of this step."""
    model = chain()
    optimizer = torch.optim.SGD(model.parameters(), rate)
    probes = [GradientProbe(model) for _ in range(2)]
    x, y = batch()
    cross_entropy(probes[0](x) + 0 * probes[1](x), y).backward()
    optimizer.step()
    probes[0].read(lr=rate) if keyword else probes[0].read(rate)
    group = optimizer.param_groups[0]
    if isinstance(rate, torch.Tensor):
        group["lr"].fill_(7.0)
    group["lr"] = 9.0
    probes[1].read(optimizer)
    if isinstance(rate, torch.Tensor):
        rate.fill_(0.1)
    for probe in probes:
        moved = {("update", name): value for (_, name), value in found(probe, "moved").items()}
        assert found(probe, "update") == pytest.approx(moved, rel=1e-4)
        assert all(type(row.value) is float for row in probe.rows)


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_of_other_optimisers_than_sgd_the_step_that_they_take_counts(kind):
    model = chain()
    optimizer, probe = getattr(torch.optim, kind)(model.parameters(), 1e-2), GradientProbe(model)
    step(model, optimizer, probe)
    probe.read(optimizer)
    updates = {name: value for (_, name), value in found(probe, "update").items()}
    assert updates == {name: value for (_, name), value in found(probe, "moved").items()}
    if kind == "Adam":  # its first step has the size of the rate, whatever the gradient's
        expected = {name: 1e-2 * model.get_submodule(name).weight.numel() ** 0.5 for name in updates}
        sizes = found(probe, "weight")
        assert updates == pytest.approx({name: expected[name] / sizes["weight", name] for name in updates}, rel=1e-3)


def test_an_optimiser_that_evaluates_its_loss_is_read_at_its_last_evaluation():
    model = chain()
    optimizer, probe = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3), GradientProbe(model)
    x, y = batch()
    before = model[0][0].weight.detach().clone()
    last = {}

    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(probe(x), y)
        loss.backward()
        last["gradient"] = model[0][0].weight.grad.norm().item()
        return loss

    optimizer.step(closure)
    probe.read(optimizer)
    rows = found(probe)
    assert rows["weight_gradient", "0.0"] == pytest.approx(last["gradient"])
    moved = ((model[0][0].weight - before).norm() / before.norm()).item()
    assert rows["moved", "0.0"] == rows["update", "0.0"] == pytest.approx(moved)
    assert rows["gradient", "0.1"] > 0


def test_a_reading_without_a_backward_pass_is_refused_and_the_next_step_is_right():
    model = chain()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    kept = probe(batch()[0])
    with pytest.raises(MeasureError, match="call read after backward"):
        probe.read(optimizer)
    step(model, optimizer, probe)
    probe.read(optimizer)
    assert kept.requires_grad
    assert found(probe) == whole()
