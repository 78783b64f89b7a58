"""The sentences that say how networks differ rest on figures that can be held against each other, and on no others."""

import csv
import io
import json

import pytest

from resbench.pages.answer import sentences
from resbench.result import Figure

HERE, THERE = "cpu, fp32, batch 1. Environment a: one.", "cpu, fp32, batch 1. Environment b: another."


def pair(metric, a, b, spread=None, **more):
    return [Figure(name, metric, value, spread, HERE, **more) for name, value in (("a", a), ("b", b))]


def said(figures, *models, base=""):
    return sentences(figures, models or ("a", "b"), base)


def test_networks_of_equal_macs_are_said_to_be_so():
    costs = [
        Figure(name, metric, value) for name in "ab" for metric, value in (("macs", 125_485_696), ("params", 853_018))
    ]
    assert said(costs) == ["b takes the MACs of a (125.5 M), and as many parameters (853,018)."]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1003, "0.30 % more MACs than a"),
        (1120, "12 % more MACs than a"),
        (970, "3.0 % fewer MACs than a"),
        (2500, "2.50x the MACs of a"),
        (100, "10.00x fewer MACs than a"),
    ],
)
def test_a_ratio_is_in_percent_up_to_a_factor_of_two(value, words):
    (line,) = said([Figure("a", "macs", 1000), Figure("b", "macs", value)])
    assert words in line


def test_intervals_that_lie_apart_tell_a_difference_and_those_that_meet_tell_none():
    assert said(pair("latency", 0.010, 0.012, 0.0009)) == [
        "b takes 20 % more time than a (12 ms +- 0.9 to 10 ms +- 0.9) (cpu, fp32, batch 1)."
    ]
    (line,) = said(pair("latency", 0.010, 0.012, 0.0011))
    assert line.startswith("Time: no difference that these runs can show, b 12 ms +- 1.1 and a 10 ms +- 1.1")


def test_of_several_machines_each_sentence_says_which_it_is_of():
    there = [Figure(name, "latency", value, 0.0, THERE) for name, value in (("a", 0.1), ("b", 0.05))]
    here, other, *turned = said([*pair("latency", 0.010, 0.012, 0.0), *there])
    assert here.endswith("(cpu, fp32, batch 1, environment a).")
    assert other.endswith("(cpu, fp32, batch 1, environment b).")
    assert "environment a" in turned[0]
    assert "environment b" in turned[0]


@pytest.mark.parametrize("metric", ["latency", "gradient", "error"])
def test_without_an_interval_nothing_measured_differs(metric):
    (line,) = said(pair(metric, 0.1, 0.2))
    assert "no difference that these runs can show" in line


def test_lower_bounds_and_failures_are_in_no_sentence():
    assert said(pair("macs", 10, 20, least=True)) == []
    assert said(pair("error", 0.1, 0.2, 0.01, sure=False)) == []


def test_other_conditions_are_not_held_against_each_other():
    a, b = Figure("a", "latency", 0.01, 0.001, HERE), Figure("b", "latency", 0.1, 0.001, THERE)
    assert said([a, b]) == [
        "Time: measured in different conditions, which say nothing of each other, a 10 ms +- 1 and b 100 ms +- 1."
    ]


def test_the_base_is_what_another_is_relative_to():
    costs = [Figure("a", "macs", 1000), Figure("b", "macs", 4000)]
    assert said(costs, base="b") == ["a takes 4.00x fewer MACs than b (1,000 to 4,000)."]


def test_of_several_the_ends_are_named_with_those_that_cannot_be_told_apart():
    times = [Figure(name, "latency", value, 0.001, HERE) for name, value in (("a", 0.01), ("b", 0.0105), ("c", 0.1))]
    assert said(times, "a", "b", "c") == [
        "Of 3 networks a is the fastest (10 ms +- 1), c the slowest (100 ms +- 1); b cannot be told apart from a "
        "(cpu, fp32, batch 1)."
    ]


def test_the_gradient_and_the_errors_are_said_in_their_own_words():
    lines = said(
        [*pair("gradient", 18_720, 61.6, 10), *pair("error", 0.333, 0.033, 0.02), *pair("train_error", 0, 1, 0)]
    )
    assert lines == [
        "The gradient of b is 61.6 +- 10 times as strong at its first layer as at its last, that of a 18,720 +- 10 "
        "times (cpu, fp32, batch 1).",
        "b ends at a test error of 3.3 % +- 2.0, a at 33.3 % +- 2.0 (same conditions).",
    ]


def test_the_sentences_close_compare_in_text_and_leave_its_numbers_alone(cli):
    names, last = ("plain56", "resnet56,shortcut=B"), "0.32 % more parameters (855,770 to 853,018)."
    for form in ("table", "markdown", "html", "latex"):
        words = cli("compare", *names, "-f", form).stdout.replace("\\", "")
        assert last in words.splitlines()[-2 if form == "latex" else -1]
    rows = list(csv.DictReader(io.StringIO(cli("compare", *names, "-f", "csv").stdout)))
    assert [row["params"] for row in rows] == ["853018", "855770"]
    document = json.loads(cli("compare", *names, "-f", "json").stdout)
    assert document["sentences"][0].endswith(last)
    assert last not in json.dumps(document["table"])
