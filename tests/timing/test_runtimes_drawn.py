"""Latency by runtime is a picture in which an order that turns round is seen, and ringed where it certainly does."""

import csv
import json
from itertools import combinations
from math import log
from xml.etree import ElementTree

import pytest
from commands import called
from hypothesis import given
from hypothesis import strategies as st

from resbench.drawing.charts import COLOURS
from resbench.result import Figure
from resbench.timing.latency.axes import apart, ticks
from resbench.timing.latency.crossings import DASHES, SHAPES, by_runtime
from resbench.timing.latency.orders import crossings, turned

RUNTIMES = ("eager", "onnxruntime", "openvino")


def figures(times, spread=0.02, runtimes=RUNTIMES, shared="cpu, batch 1. Environment a: one.", **how):
    """The latencies of networks, by name in each runtime; None where there is none."""
    return [
        Figure(name, "latency", s, None if spread is None else spread * s, runtime=runtime, shared=shared, **how)
        for name, seconds in times.items()
        for runtime, s in zip(runtimes, seconds, strict=True)
        if s is not None
    ]


def by_name(found):
    times = {}
    for figure in found:
        times.setdefault(figure.runtime, {})[figure.model] = figure
    return times


def drawn(found):
    """The words below the title of the one panel, how many rings it has, and its rows."""
    [picture] = by_runtime(found)
    chart = picture.chart.to_dict()
    rings = [one for one in chart["layer"] if one["mark"]["type"] == "point" and "xOffset" in one["mark"]]
    return " ".join(chart["title"]["subtitle"]), len(rings), picture.rows


TURNS = {"a": (0.063, 0.050, 0.030), "b": (0.091, 0.040, 0.025)}


def test_a_ring_stands_where_the_two_lines_have_one_height():
    [one] = crossings(by_name(figures(TURNS)))
    assert (one.start, one.end) == ("eager", "onnxruntime")
    for name in "ab":
        start, end = TURNS[name][:2]
        assert log(start) + one.share * (log(end) - log(start)) == pytest.approx(log(one.value))
    words, rings, rows = drawn(figures(TURNS))
    assert rings == 1
    assert "a and b certainly change places (ring)." in words
    assert {row["changes places with"] for row in rows if row["network"] == "a"} == {"b"}


def test_lines_that_cross_and_cross_back_have_two_rings():
    assert drawn(figures({"a": (1, 3, 1), "b": (2, 2, 2)}))[1] == 2


def test_where_an_order_is_not_sure_in_between_it_is_ringed_once():
    """In the middle their intervals overlap, and they cross three times."""
    found = figures({"a": (1, 2.02, 2, 4), "b": (2, 2, 2.02, 2)}, runtimes=("r", "s", "t", "u"))
    assert [(one.start, one.end) for one in crossings(by_name(found))] == [("r", "s")]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"spread": 0.3}, "No two networks certainly change places."),
        ({"spread": None}, "No intervals, for each ran in one process: nothing is said of orders."),
        ({"sure": False}, "Hollow: the device was throttled."),
    ],
)
def test_a_crossing_within_the_intervals_or_of_what_is_not_sure_has_no_ring(how, words):
    said, rings, _ = drawn(figures(TURNS, **how))
    assert rings == 0
    assert words in said


def test_a_time_that_is_not_known_breaks_the_line_and_is_named():
    words, rings, rows = drawn(figures({"b": (2, 2, 2), "a": (1, None, 3)}))
    assert "Not known: a in onnxruntime." in words
    assert rings == 0
    assert [row["median_s"] for row in rows if row["network"] == "a"] == [1, None, 3]
    assert "b and a certainly change places." in words


def test_an_interval_that_reaches_zero_is_cut_at_the_frame_and_the_numbers_say_how_far_it_goes():
    words, _, rows = drawn(figures({"a": (1, 2, 3), "b": (2, 3, 4)}, spread=3))
    assert "cut at the frame" in words
    assert rows[0]["low_s"] == -2


def test_each_batch_has_a_panel_of_its_own():
    one, two = (figures(TURNS, shared=f"cpu, batch {batch}. Environment a: one.") for batch in (1, 8))
    assert [picture.name for picture in by_runtime(one + two)] == [
        "latency by runtime, batch 1",
        "latency by runtime, batch 8",
    ]
    assert [picture.name for picture in by_runtime(one)] == ["latency by runtime"]
    assert by_runtime([figure for figure in one if figure.runtime == "eager"]) == []


def test_what_was_timed_on_another_machine_is_in_another_panel():
    here, there = figures(TURNS), figures(TURNS, shared="cpu, batch 1. Environment b: another.")
    assert [picture.name for picture in by_runtime(here[:2] + there)] == [
        "latency by runtime, Environment a: one.",
        "latency by runtime, Environment b: another.",
    ]


def test_a_hundred_networks_are_told_apart_without_colour_and_in_colour():
    looks = [(COLOURS[i % len(COLOURS)], tuple(DASHES[i % len(DASHES)]), SHAPES[i % len(SHAPES)]) for i in range(100)]
    assert len(set(looks)) == 100
    assert len({look[1:] for look in looks[:35]}) == 35


@given(st.lists(st.tuples(st.floats(0, 340), st.integers(13, 40)), max_size=12))
def test_no_name_covers_another(labels):
    wanted = sorted(middle for middle, _ in labels)
    heights = [height for _, height in labels]
    places = apart(wanted, heights, max(340, sum(heights)))
    edges = [(y - h / 2, y + h / 2) for y, h in zip(places, heights, strict=True)]
    assert all(one[1] <= other[0] + 1e-6 for one, other in combinations(edges, 2))
    assert all(top >= -1e-6 and bottom <= max(340, sum(heights)) + 1e-6 for top, bottom in edges)


@given(st.floats(1e-4, 1e3), st.floats(1.1, 1e5))
def test_an_axis_has_a_few_round_numbers_wherever_it_lies(low, factor):
    found = ticks(low, low * factor)
    assert 1 <= len(found) <= 10
    assert all(low <= one <= low * factor for one in found)


def test_the_command_draws_what_it_measured(quick, tmp_path):
    stored, plot = tmp_path / "latency.json", tmp_path / "x.svg"
    networks = ("conv5x5_reduced", "conv5x5_direct")
    runtimes = ("--runtime", "eager,onnxruntime")
    done = called("latency", *networks, *runtimes, "--processes", "2", "-o", stored, "--plot", plot)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "x.data.csv").open() as file:
        rows = {(row["network"], row["runtime"]): row for row in csv.DictReader(file)}
    measured = json.loads(stored.read_text())["latencies"]
    assert len(measured) == len(rows) == 4
    for one in measured:
        row = rows[one["model"], one["setup"]["runtime"]]
        assert float(row["median_s"]) == one["median_s"]
        assert float(row["high_s"]) - float(row["low_s"]) == pytest.approx(2 * one["half_width_s"])
    written = {element.text for element in ElementTree.fromstring(plot.read_text()).iter() if element.text}
    assert {*networks, "eager", "onnxruntime"} <= written
    compared = tmp_path / "compared.svg"
    done = called("compare", "--from", stored, "--metrics", "macs,latency", "--plot", compared, "-f", "json")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "compared.data.csv").open() as file:
        assert {(row["network"], row["runtime"]): row for row in csv.DictReader(file)} == rows


def test_what_turns_round_is_in_the_sentences_of_compare_too():
    from resbench.pages.answer import sentences

    places = {"eager": "", "onnxruntime": ", in onnxruntime", "openvino": ", in openvino"}
    found = [
        one._replace(conditions=f"cpu{places[one.runtime]}, batch 1. Environment a: one.") for one in figures(TURNS)
    ]
    assert sentences(found, ["a", "b"])[-1] == next(turned(by_name(figures(TURNS))))


def test_networks_that_took_turns_are_told_apart_by_their_ratio_in_a_turn():
    """The machine slowed down by half from turn to turn: intervals overlap, the ratio does not move."""
    pace = (1.0, 1.5, 2.1)

    def at(runtime, name, seconds, call=7):
        turns = tuple(seconds * one for one in pace)
        return Figure(name, "latency", turns[1], turns[1], runtime=runtime, shared="s", turns=turns, call=call)

    eager, onnx = ({"a": at("e", "a", 1.0), "b": at("e", "b", 1.1)}, {"a": at("o", "a", 0.6), "b": at("o", "b", 0.5)})
    [line] = turned({"eager": eager, "onnxruntime": onnx})
    assert "eager (1.5 against 1.7 s, 0.91 [0.91, 0.91] in a turn)" in line
    assert "slower in onnxruntime" in line
    other_call = {"a": onnx["a"], "b": at("o", "b", 0.5, call=8)}
    assert not [*turned({"eager": eager, "onnxruntime": other_call})]
    uneven = {"a": onnx["a"], "b": onnx["b"]._replace(turns=(0.5, 1.5, 0.6))}
    assert not [*turned({"eager": eager, "onnxruntime": uneven})]
