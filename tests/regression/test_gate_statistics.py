"""Everything is an order statistic of the Walsh averages: against scipy, brute force and planted effects."""

import itertools
import statistics

import numpy
import pytest
from scipy.stats import wilcoxon

from resbench.regression.walsh import (
    BLOCK,
    RESAMPLES,
    SEED,
    estimate,
    holm,
    lower_bound,
    rank,
    resampled,
    slower,
    walsh,
)

STRICTEST = 0.005 / 8
"""One look of two at 1 % in all, eight benchmarks."""


@pytest.fixture
def draw():
    return numpy.random.default_rng(0)


def detectable(d):
    """The least effect that would have been rejected beyond a margin of 1 %."""
    *_, found = estimate(d, 0.01, STRICTEST)
    return found


def test_p_is_the_share_of_all_signs_with_a_rank_sum_as_large(draw):
    d, margin = draw.normal(0.02, 0.02, 9), 0.01
    ranks = numpy.abs(d - margin).argsort().argsort() + 1
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=9)]
    observed = ranks[d > margin].sum()
    assert slower(d, margin) == pytest.approx(numpy.mean([one >= observed for one in sums]))


def test_each_row_has_its_own_margin(draw):
    d, margins = draw.normal(0, 0.02, (3, 16)), numpy.array([0.0, 0.01, -0.01])
    alone = [wilcoxon(row - margin, alternative="greater").pvalue for row, margin in zip(d, margins, strict=True)]
    assert slower(d, margins[:, None]) == pytest.approx(alone)


@pytest.mark.parametrize("value, p", [(0.05, 1 / 2**16), (0.01, 1.0), (0.0, 1.0)])
def test_rounds_all_alike_or_at_the_margin_have_a_p(value, p):
    assert slower([value] * 16, 0.01) == pytest.approx(p)


def test_the_test_rejects_exactly_if_the_lower_bound_is_above_the_margin(draw):
    rejected = 0
    for _ in range(1000):
        n, level = int(draw.integers(5, 41)), float(draw.choice([0.05, 0.01, STRICTEST]))
        d, margin = draw.normal(0.02, 0.03, n), float(draw.normal(0, 0.02))
        p = wilcoxon(d - margin, alternative="greater").pvalue
        assert (p <= level) == (lower_bound(d, level) > margin)
        rejected += p <= level
    assert 200 < rejected < 800


def test_the_rank_is_that_of_the_rank_sums_of_all_subsets():
    sums = numpy.array([sum(i + 1 for i in range(10) if bits >> i & 1) for bits in range(2**10)])
    for level in (0.0009, 0.001, 0.005, 0.05, 0.5):
        assert rank(10, level) == sum((sums <= w).mean() <= level for w in range(56))


def test_too_few_rounds_reject_nothing_and_detect_nothing():
    d = [0.5] * 10
    assert 1 / 2**10 > STRICTEST > 1 / 2**11
    assert lower_bound(d, STRICTEST) == -numpy.inf
    assert detectable(d) == numpy.inf
    assert detectable([*d, 0.5, 0.5]) < 0.02


def test_holm_rejects_step_by_step_from_the_least_p(draw):
    for _ in range(200):
        p, level = draw.random(8) ** 4, 0.05
        rejected, order = set(), p.argsort()
        for step, i in enumerate(order):
            if p[i] > level / (8 - step):
                break
            rejected.add(int(i))
        assert set(numpy.flatnonzero(holm(p) <= level).tolist()) == rejected


def test_the_effect_is_the_median_of_all_averages_of_two(draw):
    d = draw.normal(0, 1, 16).tolist()
    pairs = itertools.combinations_with_replacement(d, 2)
    effect, *_ = estimate(d, 0.01, STRICTEST)
    assert effect == pytest.approx(statistics.median((a + b) / 2 for a, b in pairs))


def test_a_resample_is_the_walsh_averages_of_whole_blocks_drawn_anew(draw):
    d = draw.normal(0, 1, 16)
    often = numpy.random.default_rng(SEED).multinomial(8, [1 / 8] * 8, size=RESAMPLES)
    drawn = [d.reshape(8, BLOCK).repeat(times, axis=0).ravel() for times in often]
    expected = numpy.sort([walsh(one) for one in drawn], axis=1)
    for k, found in zip((1, 68, 136), resampled(d, 1, 68, 136), strict=True):
        assert found == pytest.approx(expected[:, k - 1])


def test_the_same_data_give_the_same_estimate_and_a_shift_moves_it(draw):
    d = draw.normal(0, 0.02, 32)
    one, moved = estimate(d, 0.01, STRICTEST), estimate(d + 0.03, 0.01, STRICTEST)
    assert estimate(d.copy(), 0.01, STRICTEST) == one
    assert numpy.subtract(moved, one) == pytest.approx([0.03, 0.03, 0.03, 0], abs=1e-12)
    effect, low, high, _ = one
    assert low < effect < high


@pytest.mark.parametrize(("n", "least"), [(16, 0.8), (32, 0.9)])
def test_the_detectable_effect_planted_in_new_noise_is_rejected(draw, n, least):
    margin, runs = 0.01, draw.normal(0, 0.02, (400, n))
    seen = numpy.median([detectable(d) for d in runs[:100]])
    for effect, low, high in ((seen, least, 1.0), ((seen + margin) / 2, 0.0, 0.7)):
        caught = numpy.mean([lower_bound(d + effect, STRICTEST) > margin for d in runs[100:]])
        assert low < caught < high


def test_one_outlier_does_not_hide_what_is_detectable(draw):
    d = draw.normal(0, 0.02, 32)
    calm = detectable(d)
    d[7] = -0.3
    assert detectable(d) < 1.5 * calm


def test_the_interval_of_32_rounds_holds_the_effect_about_as_often_as_it_says(draw):
    intervals = [estimate(draw.standard_t(4, 32), 0.01, STRICTEST) for _ in range(500)]
    assert 0.89 < numpy.mean([low <= 0 <= high for _, low, high, _ in intervals]) < 0.97
