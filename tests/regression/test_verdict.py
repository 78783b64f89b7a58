"""What a look says, what stays said, and when the run is over."""

import math
from dataclasses import replace

import numpy
import pytest

from resbench.regression.verdict import GateRules, Judged, Judgement, Pairs, judge, replay, verdict_on
from resbench.regression.walsh import slower

RULES = GateRules()
NAMES = tuple("abcdefgh")


def machine(noise=0.005, rounds=32, seed=0, again=0.0, **effects):
    """Eight benchmarks of one machine; effects as shares by name."""
    draw = numpy.random.default_rng(seed)
    return {
        name: Pairs(
            (math.log1p(effects.get(name, 0)) + draw.normal(0, noise, rounds)).tolist(),
            (again * (name == "a") + draw.normal(0, noise, rounds)).tolist(),
        )
        for name in NAMES
    }


def part(pairs, start, stop):
    return {name: Pairs(pair.head[start:stop], pair.again[start:stop]) for name, pair in pairs.items()}


def joined(first, second):
    return {
        name: Pairs([*first[name].head, *second[name].head], [*first[name].again, *second[name].again])
        for name in first
    }


def verdicts(judgement):
    return {name: one.verdict for name, one in judgement.benchmarks.items()}


def test_the_same_code_on_a_quiet_machine_passes_at_the_first_look():
    judgement = replay(machine(), RULES)
    assert (judgement.verdict, judgement.final, judgement.invalid) == ("PASS", True, ())
    assert {one.n for one in judgement.benchmarks.values()} == {16}


def test_one_slower_benchmark_is_named_and_ends_the_run():
    judgement = replay(machine(c=0.05), RULES)
    assert verdicts(judgement) == dict.fromkeys(NAMES, "PASS") | {"c": "REGRESSED"}
    assert (judgement.verdict, judgement.benchmarks["c"].n) == ("REGRESSED", 16)
    assert judgement.benchmarks["c"].low < 0.05 < judgement.benchmarks["c"].high
    noisy = replay(machine(c=0.05) | {"h": machine(noise=0.1)["h"]}, RULES)
    assert (verdicts(noisy)["h"], noisy.benchmarks["c"].n) == ("INCONCLUSIVE", 16)


def test_slower_by_the_margin_is_not_a_regression_and_a_margin_of_its_own_counts():
    assert replay(machine(c=0.01), RULES).verdict == "PASS"
    pairs = machine(c=0.03)
    assert verdicts(judge(pairs, RULES, last=True))["c"] == "REGRESSED"
    assert verdicts(judge(pairs, replace(RULES, margins={"c": 0.03}), last=True))["c"] == "PASS"
    assert verdicts(judge(pairs, replace(RULES, margins={"d": 0.03}), last=True))["c"] == "REGRESSED"


def test_margins_and_effects_are_shares_of_the_time_not_logarithms():
    judgement = judge(machine(c=0.6), replace(RULES, margins={"c": 0.55}), last=True)
    assert verdicts(judgement)["c"] == "REGRESSED"  # log 1.55 < log 1.6 < 0.55
    assert judgement.benchmarks["c"].effect == pytest.approx(0.6, abs=0.01)


def test_a_noisy_machine_is_undecided_then_inconclusive_and_never_passes():
    pairs = machine(noise=0.1)
    first = judge(part(pairs, 0, 16), RULES, last=False)
    assert (first.verdict, first.final) == ("UNDECIDED", False)
    second = judge(pairs, RULES, last=True, before=first)
    assert (second.verdict, second.final) == ("INCONCLUSIVE", True)
    assert all(one.detectable > RULES.target for one in second.benchmarks.values())
    assert replay(pairs, RULES) == second


def test_a_faster_benchmark_is_improved_and_does_not_end_the_run():
    pairs = machine(b=-0.05) | {"h": machine(noise=0.1)["h"]}
    first = judge(part(pairs, 0, 16), RULES, last=False)
    assert (verdicts(first)["b"], verdicts(first)["h"], first.final) == ("IMPROVED", "UNDECIDED", False)
    assert replay(machine(b=-0.05), RULES).verdict == "IMPROVED"


def test_what_a_look_rejected_stays_rejected_and_what_passed_is_judged_anew():
    pairs = joined(machine(rounds=16, b=-0.05), machine(rounds=16, seed=1, b=0.05, c=0.08))
    pairs["h"] = machine(noise=0.1)["h"]
    first = judge(part(pairs, 0, 16), RULES, last=False)
    assert [verdicts(first)[name] for name in "bch"] == ["IMPROVED", "PASS", "UNDECIDED"]
    second = judge(pairs, RULES, last=True, before=first)
    assert [verdicts(second)[name] for name in "bch"] == ["IMPROVED", "INCONCLUSIVE", "INCONCLUSIVE"]
    assert verdicts(judge(pairs, RULES, last=True))["b"] == "INCONCLUSIVE"


@pytest.mark.parametrize("again", [0.05, -0.05])
def test_a_base_that_differs_from_itself_makes_the_run_invalid_and_ends_it(again):
    judgement = replay(machine(again=again, c=0.05), RULES)
    assert (judgement.verdict, judgement.invalid, judgement.final) == ("INVALID", ("a",), True)
    noisy = judge(part(machine(noise=0.1), 0, 16) | {"a": machine(again=again, rounds=16)["a"]}, RULES, last=False)
    assert (noisy.verdict, noisy.final, verdicts(noisy)["b"]) == ("INVALID", True, "INCONCLUSIVE")


def test_p_is_adjusted_for_benchmarks_and_looks_and_the_least_so_far():
    pairs = machine(c=0.02)
    first = judge(part(pairs, 0, 16), RULES, last=False)
    raw = float(slower(pairs["c"].head[:16], math.log1p(RULES.margin)))
    assert first.benchmarks["c"].slower == pytest.approx(raw * len(NAMES) * len(RULES.looks))
    later = judge(joined(part(pairs, 0, 16), machine(rounds=16, c=-0.02)), RULES, last=True, before=first)
    assert later.benchmarks["c"].slower == first.benchmarks["c"].slower


def test_a_run_that_ended_early_makes_its_last_look_where_it_is():
    assert replay(machine(rounds=10), RULES).verdict == "INCONCLUSIVE"
    assert replay(machine(rounds=14), RULES).verdict == "PASS"
    short = replay(machine(noise=0.1, rounds=25), RULES)
    assert (short.final, {one.n for one in short.benchmarks.values()}) == (True, {24})


def test_rounds_after_the_last_look_do_not_count():
    pairs = machine(noise=0.1)
    assert replay(joined(pairs, machine(c=0.5)), RULES) == replay(pairs, RULES)


@pytest.mark.parametrize(
    "found, expected",
    [
        ({}, "PASS"),
        ({"detectable": 0.051}, "UNDECIDED"),
        ({"high": 0.051}, "UNDECIDED"),
        ({"slower": 0.01}, "REGRESSED"),
        ({"slower": 0.011}, "PASS"),
        ({"faster": 0.01}, "IMPROVED"),
        ({"slower": 0.01, "faster": 0.01}, "REGRESSED"),
        ({"faster": 0.01, "detectable": 0.5}, "IMPROVED"),
    ],
)
def test_a_pass_needs_that_the_target_would_have_been_seen_and_lies_above_the_interval(found, expected):
    passing = Judged("UNDECIDED", 16, 0.0, -0.02, 0.02, 0.05, 1.0, 1.0)
    assert verdict_on(replace(passing, **found), RULES) == expected


@pytest.mark.parametrize(
    "found, invalid, expected",
    [
        ("PASS IMPROVED INCONCLUSIVE REGRESSED", ("a",), "INVALID"),
        ("PASS IMPROVED INCONCLUSIVE REGRESSED", (), "REGRESSED"),
        ("PASS IMPROVED INCONCLUSIVE", (), "INCONCLUSIVE"),
        ("PASS IMPROVED", (), "IMPROVED"),
        ("PASS PASS", (), "PASS"),
    ],
)
def test_the_run_is_as_bad_as_its_worst_benchmark(found, invalid, expected):
    numbers = (32, 0.0, -0.02, 0.02, 0.05, 1.0, 1.0)
    judged = {str(i): Judged(verdict, *numbers) for i, verdict in enumerate(found.split())}
    assert Judgement(judged, invalid, True).verdict == expected
