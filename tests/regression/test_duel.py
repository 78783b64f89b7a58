"""The duel without its processes: when it looks, when it stops, and what a round's figure is."""

import random
from itertools import count
from math import log

import pytest

from resbench.errors import GateError
from resbench.regression import duel as module
from resbench.regression.duel import ARMS, Duel, least_rounds, orders, paired, run_duel
from resbench.regression.verdict import GateRules
from resbench.workers.environment import Environment


@pytest.fixture
def run(monkeypatch):
    """Rounds that take so many seconds, in which the head of the first benchmark is slower by a share."""

    def run(budget_s=1000.0, round_s=10.0, share=0.0, names=("a", "b")):
        draw, now = random.Random(0), count(step=round_s)

        def one_round(sides, suite, order):
            return {
                name: {
                    arm: [draw.gauss(1, 0.002) * (1 + share * (arm == "head" and name == names[0])) for _ in range(5)]
                    for arm in ARMS
                }
                for name in order
            }

        monkeypatch.setattr(module, "one_round", one_round)
        duel = Duel(GateRules(), Environment({}, {}))
        run_duel(duel, {}, None, names, budget_s, clock=lambda: next(now))
        return duel

    return run


def test_the_same_code_passes_at_the_first_look(run):
    duel = run()
    assert len(duel.rounds) == 16
    assert duel.judgement.verdict == "PASS"


def test_a_slower_head_ends_the_run_at_the_first_look(run):
    duel = run(share=0.05)
    assert len(duel.rounds) == 16
    assert duel.judgement.verdict == "REGRESSED"
    assert duel.judgement.benchmarks["b"].verdict == "PASS"


def test_what_is_undecided_goes_on_to_the_last_look(run):
    assert len(run(share=0.03).rounds) in (16, 32)
    assert len(run(share=0.012).rounds) == 16  # within reach of the margin, far from the target


def test_the_budget_ends_it_at_a_whole_block(run):
    duel = run(budget_s=125)
    assert len(duel.rounds) == 12
    assert duel.judgement.final


def test_a_budget_that_no_block_fits_in_ends_with_the_first_round(run):
    with pytest.raises(GateError, match=r"1 round took 10 s"):
        run(budget_s=15)


def test_a_budget_that_can_say_nothing_is_refused_with_one_that_can(run):
    with pytest.raises(GateError, match=r"fewer than 10 say nothing: expected a --time-budget of 3m"):
        run(budget_s=60)


def test_fewer_rounds_than_the_least_reject_nothing():
    assert [least_rounds(GateRules(), n) for n in (1, 2, 8)] == [8, 10, 12]


def test_two_rounds_are_each_others_mirror():
    names = ["a", "b", "c"]
    drawn = orders(names, random.Random(0))
    for _ in range(20):
        first, second = next(drawn), next(drawn)
        assert all(second[name] == first[name][::-1] for name in names)
        assert all(sorted(first[name]) == sorted(ARMS) for name in names)


def test_a_round_is_the_median_of_the_ratios_of_its_samples_to_the_mean_of_both_base_processes():
    times = {"a": {"base": [1, 1, 2, 2, 1], "again": [1.2, 1.2, 2.4, 2.4, 9], "head": [1.1, 1.1, 2.2, 9, 0.5]}}
    pair = paired([times])["a"]
    assert pair.head == pytest.approx([(log(1.1) + log(1.1 / 1.2)) / 2])
    assert pair.again == pytest.approx([log(1.2)])
