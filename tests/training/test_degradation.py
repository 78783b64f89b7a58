"""The verdict on a deep and a shallow network, and what it is made of."""

import math
import random
from dataclasses import replace

import pytest

from resbench.arch.published import TEST_ERRORS
from resbench.costs.measure import cost
from resbench.errors import OptionError
from resbench.networks.load import result_name
from resbench.networks.name import ModelName
from resbench.training.degradation import degradation, gaps, layers
from resbench.training.placements import ORDERS, SHORTCUTS, variants
from resbench.training.result import Cell, Degradation, Epoch, Training, TrainingRecipe
from resbench.workers.environment import environment


def result(model, seed, train, test, broken=""):
    epochs = (Epoch(1, 11, 0.1, 2.0, 0.9, 0.9, 1.0), Epoch(2, 22, 0.1, 1.0, train, test, 2.0))
    return Training(Cell(model, (3, 8, 8), seed, TrainingRecipe(22)), () if broken else epochs, (), broken)


def pairs(errors):
    """plain20 and plain56 with these training errors, a pair a seed."""
    return [result(f"plain{d}", seed, both[i], 0.5) for seed, both in enumerate(errors) for i, d in enumerate((20, 56))]


def test_a_higher_training_error_of_the_deeper_network_is_degradation():
    (gap,) = gaps([result("plain20", 0, 0.01, 0.05), result("plain56", 0, 0.30, 0.35)])
    assert (gap.shallow, gap.deep, gap.verdict) == ("plain20", "plain56", "degradation")
    assert (gap.train, gap.train_half) == (pytest.approx(0.29), None)
    assert "training error +29.0, test error +30.0 points; an optimisation failure, not overfitting" in str(gap)


def test_a_higher_test_error_alone_is_overfitting():
    (gap,) = gaps([result("resnet20", 0, 0.01, 0.05), result("resnet56", 0, 0.01, 0.09)])
    assert gap.verdict == "no degradation, but overfitting"
    assert "optimisation failure" not in str(gap)


def test_a_gap_below_a_point_is_none():
    (gap,) = gaps([result("resnet20", 0, 0.010, 0.05), result("resnet56", 0, 0.019, 0.05)])
    assert gap.verdict == "no degradation"


def test_a_gap_that_seeds_do_not_agree_on_is_none():
    train = [(0.01, 0.02), (0.01, 0.40), (0.01, 0.01)]
    (gap,) = gaps(pairs(train))
    assert gap.train == pytest.approx((0.01 + 0.39 + 0.0) / 3)
    assert gap.train_half > gap.train
    assert gap.verdict == "no degradation"


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_is_students_over_the_pairs(seeds):
    from scipy import stats

    draw = random.Random(seeds)
    errors = [(draw.random(), draw.random()) for _ in range(seeds)]
    (gap,) = gaps(pairs(errors))
    interval = stats.ttest_1samp([deep - shallow for shallow, deep in errors], 0).confidence_interval(0.95)
    assert gap.train - gap.train_half == pytest.approx(interval.low)
    assert gap.train + gap.train_half == pytest.approx(interval.high)


def test_a_network_whose_numbers_are_not_finite_degrades():
    (gap,) = gaps([result("plain20", 0, 0.01, 0.05), result("plain56", 0, 0, 0, "plain56, seed 0: the loss is nan")])
    assert gap.degrades
    assert "the loss is nan" in str(gap)


def test_what_is_broken_or_not_at_its_end_is_not_compared():
    broken = [result("plain20", 0, 0, 0, "nan"), result("plain56", 0, 0.5, 0.5)]
    both = [result("plain20", 0, 0, 0, "nan"), result("plain56", 0, 0, 0, "nan")]
    half = [result("plain20", 0, 0.1, 0.1), replace(result("plain56", 0, 0.8, 0.8), finished=False)]
    assert gaps(broken) == gaps(both) == gaps(half) == []
    (gap,) = gaps([*half, result("plain20", 1, 0.1, 0.1), result("plain56", 1, 0.2, 0.2)])
    assert gap.train == pytest.approx(0.1)


def test_a_verdict_says_in_its_own_line_that_it_rests_on_one_seed_or_few_iterations():
    one, few = "of one seed, so nothing is known of others", "after 2 of 20 epochs, in which a deep network may only be"
    (gap,) = gaps(pairs([(0.01, 0.30)]))
    assert f"; {one}; {few} behind" in str(gap)
    (gap,) = gaps(pairs([(0.01, 0.30), (0.02, 0.31)]))
    assert one not in str(gap)
    assert few in str(gap)
    (gap,) = gaps(pairs([(0.01, 0.30)]), "cifar10")
    assert "after 22 of the paper's 64,000 iterations" in str(gap)


def test_a_warm_up_that_cannot_be_is_refused_by_its_name():
    with pytest.raises(OptionError, match="expected warmup of at least 0, a whole number; received -1"):
        degradation("resnet8", warmup=-1)


def test_families_are_names_without_their_depth():
    found = gaps([result(name, 0, 0.1, 0.1) for name in ("plain20", "resnet20", "resnet32,shortcut=B", "resnet110")])
    assert [(gap.family, gap.shallow, gap.deep) for gap in found] == [("resnet", "resnet20", "resnet110")]
    assert ModelName.parse("file:nets.py:net56").stem_and_depth == ("file:nets.py:net56", 0)


@pytest.mark.parametrize(
    ("name", "depth"),
    [("plain20", 20), ("resnet56", 56), ("resnet110,shortcut=B", 110), ("preact_resnet164", 164), ("resnet50", 50)],
)
def test_layers_are_counted_as_in_papers(name, depth):
    assert layers(cost(name)) == depth


def test_the_head_fits_the_data_unless_it_is_said_otherwise():
    assert result_name("resnet18", classes=10) == "resnet18,classes=10"
    assert result_name("resnet18,classes=1000", classes=10) == "resnet18"
    assert result_name("file:nets.py:net", classes=100) == "file:nets.py:net"


def test_every_row_of_the_tables_stands_beside_what_was_published():
    found = variants(56, "all")
    assert len(found) == len(ORDERS) + len(SHORTCUTS) - 1
    assert all(printed is not None for printed in found.values())
    assert found["resnet56,shortcut=conv1x1"].percent == "12.22"
    assert variants(164, "orders")["preact_resnet164"].percent == "5.46"


def test_means_and_extremes_of_a_curve():
    trainings = result("plain20", 0, 0.2, 0.5), result("plain20", 1, 0.4, 0.7)
    outcome = Degradation(trainings, "digits", 1, 1, environment(), {"plain20": TEST_ERRORS["plain20"]})
    last = outcome.curve("plain20", "train_error")[-1]
    assert last == {"epoch": 2, "iteration": 22, "error": pytest.approx(0.3), "low": 0.2, "high": 0.4}
    (end,) = outcome.ends
    assert (end["seeds"], end["train_error"], end["published"]) == (2, pytest.approx(0.3), "8.8 to 9.6")
    assert end["train_spread"] == pytest.approx(12.706 * 0.1414214 / math.sqrt(2), rel=1e-4)


def test_a_name_that_says_its_input_is_trained_at_it():
    found = degradation(["resnet8,input=3x8x8", "plain8"], epochs=0.05, batch=64)
    assert [one.cell.input for one in found.trainings] == [(3, 8, 8)] * 2


def test_two_sizes_of_images_are_refused():
    with pytest.raises(OptionError, match="received 3x8x8 of resnet8,input=3x8x8 and 3x16x16 of plain8,input=3x16x16"):
        degradation(["resnet8,input=3x8x8", "plain8,input=3x16x16"], epochs=0.05)
