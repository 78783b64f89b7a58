"""A training: its steps are those of the formula, and it goes on bit for bit from wherever it was stopped."""

import math
from functools import cache

import pytest
import torch
from torch import nn

from resbench.data import load_split
from resbench.errors import MeasureError, OptionError
from resbench.networks.load import load
from resbench.training.feed import Feed, crop
from resbench.training.result import TrainingRecipe
from resbench.training.run import TrainingRun, first_not_finite

SIZE = (3, 8, 8)


@pytest.fixture(scope="module")
def parts():
    return [part.resized(SIZE) for part in load_split("digits")]


@pytest.fixture(scope="module")
def feed(parts):
    return Feed(*parts, 128, False, "cpu")


def run(feed, name="resnet20", recipe=None, seed=0, **more):
    return TrainingRun(name, load(name, SIZE, seed=seed).module, seed, recipe or TrainingRecipe(22), feed, **more)


def finish(one):
    while not one.finished:
        for _ in one.epoch():
            pass
        one.close()
    return one


def same(a, b):
    values = (one.model.state_dict().values() for one in (a, b))
    return all(torch.equal(x, y) for x, y in zip(*values, strict=True))


def test_the_rate_falls_at_one_half_and_three_quarters_as_in_the_paper():
    recipe = TrainingRecipe(64_000, warmup=400)
    rates = {step: recipe.rate(step) for step in (0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999)}
    assert list(rates.values()) == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"batch": 1}, {"lr": 0}, {"lr": math.nan}, {"dtype": "fp16"}])
def test_a_recipe_that_cannot_be_is_refused(wrong):
    with pytest.raises(OptionError, match=r"expected|takes"):
        TrainingRecipe(**{"iterations": 10, **wrong})


def test_the_steps_are_those_of_the_formula(feed):
    """v = 0.9 v + g + 1e-4 w; w = w - lr v, on batches put together by hand. Without BN and at a small rate, for a deep
    network makes much of the last bit."""
    one = run(feed, "plain8,norm=none", TrainingRecipe(3, lr=0.01))
    net = load("plain8,norm=none", SIZE).module.train()
    params = list(net.parameters())
    velocity = [torch.zeros_like(p) for p in params]
    rows, losses = feed.rows(0, 0), []
    for step in range(3):
        chosen = rows[step][0]
        x = (feed.images[chosen].float() - feed.images.float().mean(0)) / feed.images.float().std(correction=0)
        loss = nn.functional.cross_entropy(net(x), feed.labels[chosen])
        net.zero_grad()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for p, v in zip(params, velocity, strict=True):
                v.mul_(0.9).add_(p.grad + 1e-4 * p)
                p.sub_(one.recipe.rate(step) * v)
    finish(one)
    assert one.history[0].loss == pytest.approx(sum(losses) / 3, rel=1e-6)
    for ours, theirs in zip(one.params, params, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_errors_are_those_of_the_batches_and_of_the_test_images(feed):
    one = finish(run(feed, recipe=TrainingRecipe(33, lr=0.02)))
    assert [epoch.epoch for epoch in one.history] == [1, 2, 3]
    assert [epoch.iteration for epoch in one.history] == [11, 22, 33]
    one.model.eval()
    with torch.no_grad():
        answers = one.model(feed.normal(feed.test_images)).argmax(1)
    assert one.history[-1].test_error == pytest.approx((answers != feed.test_labels).float().mean().item())
    assert one.history[-1].train_error < one.history[0].train_error < 0.95
    assert one.history[0].train_error * 11 * 128 == pytest.approx(round(one.history[0].train_error * 11 * 128))


def test_the_last_epoch_may_be_a_part(feed):
    one = finish(run(feed, recipe=TrainingRecipe(13)))
    assert [epoch.iteration for epoch in one.history] == [11, 13]


@pytest.fixture(scope="module")
def uninterrupted(feed):
    """A network's whole run, made once."""
    return cache(lambda name: finish(run(feed, name)))


@pytest.mark.parametrize("name", ["resnet8", "resnet8,shortcut=dropout"])
@pytest.mark.parametrize("stop", [1, 10, 11, 12, 21])
def test_a_run_goes_on_bit_for_bit_from_any_step(feed, uninterrupted, name, stop):
    whole = uninterrupted(name)
    first = run(feed, name)
    while first.step < stop:
        for _ in first.epoch():
            if first.step >= stop:
                break
        else:
            first.close()
    torch.manual_seed(12345)  # what else is drawn in the program does not matter
    second = run(feed, name)
    second.restore(first.state())
    finish(second)
    assert same(whole, second)
    assert [epoch[:-1] for epoch in whole.history] == [epoch[:-1] for epoch in second.history]


def test_seeds_differ_and_a_seed_is_itself(feed):
    a, b, c = (finish(run(feed, recipe=TrainingRecipe(2), seed=seed)) for seed in (0, 0, 1))
    assert same(a, b)
    assert not same(a, c)


def test_the_probe_changes_nothing_and_its_rows_are_kept(feed):
    plain, observed = finish(run(feed)), finish(run(feed, every=11))
    assert same(plain, observed)
    assert {row.step for row in observed.rows} == {0, 11}
    assert {row.statistic for row in observed.rows} >= {"gradient", "strength", "first_to_last"}


@pytest.mark.parametrize(("lr", "where"), [(1e20, "first in the "), (1e38, "first in the ")])
def test_what_is_not_finite_is_named_with_step_and_layer(feed, lr, where):
    one = finish(run(feed, "plain20,norm=none", TrainingRecipe(22, lr=lr)))
    assert one.finished
    assert "plain20,norm=none, seed 0: the loss is" in one.broken
    assert "at step " in one.broken
    assert where in one.broken
    assert one.step <= 11


def test_the_first_layer_that_is_not_finite_is_found():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 2))
    x = torch.ones(1, 2)
    assert first_not_finite(net, x) == ""
    nn.init.constant_(net[2].weight, 3e38)
    nn.init.constant_(net[0].weight, 10)
    assert first_not_finite(net, x) == "the output of 2"
    net[3].weight.data[0, 0] = math.nan
    assert first_not_finite(net, x) == "the output of 2"
    net[0].bias.data[0] = math.inf
    assert first_not_finite(net, x) == "the weights of 0"


def test_bf16_trains_too(feed):
    one = finish(run(feed, "resnet8", TrainingRecipe(33, dtype="bf16", lr=0.02)))
    assert one.history[-1].train_error < one.history[0].train_error
    assert all(p.dtype == torch.float32 for p in one.params)


def test_a_loss_that_is_finite_to_the_end_does_not_hide_weights_that_are_not(feed):
    one = run(feed, "plain8,norm=none", TrainingRecipe(1, lr=1e42))
    finish(one)
    assert "weights are not finite after the last step" in one.broken


def test_a_network_without_parameters_or_with_too_few_classes_is_refused(feed):
    with pytest.raises(MeasureError, match="no parameter to train"):
        TrainingRun("flat", nn.Flatten(), 0, TrainingRecipe(1), feed)
    few = TrainingRun("few", nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), 0, TrainingRecipe(1), feed)
    with pytest.raises(MeasureError, match="at least 10 classes"):
        finish(few)


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(feed, parts):
    rows = [feed.rows(seed, epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert not torch.equal(rows[0], rows[3])
    chosen = rows[0][:, 0].flatten()
    assert len(chosen.unique()) == len(chosen) == 11 * 128
    offsets, flips = rows[0][:, 1:3], rows[0][:, 3]
    assert offsets.unique().tolist() == list(range(9))
    assert 0.4 < flips.float().mean() < 0.6


def test_a_crop_is_the_padded_image_cut_and_mirrored():
    x = torch.arange(2 * 3 * 6 * 5.0).view(2, 3, 6, 5)
    top, left, flip = torch.tensor([0, 7]), torch.tensor([8, 3]), torch.tensor([0, 1])
    found = crop(x, top, left, flip)
    padded = nn.functional.pad(x, (4, 4, 4, 4))
    assert torch.equal(found[0], padded[0, :, 0:6, 8:13])
    assert torch.equal(found[1], padded[1, :, 7:13, 3:8].flip(2))
    middle = torch.full((2,), 4)
    assert torch.equal(crop(x, middle, middle, torch.zeros(2, dtype=torch.int64)), x)


def test_the_pixels_of_the_training_images_have_mean_0_and_deviation_1(parts):
    feed = Feed(*parts, 128, True, "cpu")
    x = feed.normal(feed.images)
    assert x.mean(0).abs().max() < 1e-3
    assert x.is_contiguous(memory_format=torch.channels_last)
    batch, labels = feed.training(feed.rows(0, 0)[0])
    assert batch.shape == (128, *SIZE)
    assert labels.shape == (128,)
    assert not torch.equal(batch, Feed(*parts, 128, False, "cpu").training(feed.rows(0, 0)[0])[0])
