"""What the machine did in earlier calls is in the interval."""

import json
import math
from dataclasses import replace

import numpy
import pytest

from resbench.timing.drift import half_width, noted, pace
from resbench.timing.latency.measure import Latency, Reading
from resbench.workers.workload import Setup


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "resbench"


def test_a_call_is_kept_and_the_third_one_knows_the_drift(cache):
    found = [noted(Setup(), [x, 9.0, 0.1]) for x in (1.0, 1.1, 0.9)]
    assert [calls for _, calls in found] == [1, 2, 3]
    assert found[0][0] is found[1][0] is None
    logs = numpy.log([1.0, 1.1, 0.9])
    assert found[2][0] == pytest.approx(4.302653 * numpy.std(logs, ddof=1), rel=1e-6)
    assert noted(Setup(threads=1), [1.0]) == (None, 1)  # other threads, another record


@pytest.mark.parametrize("text", ["", "{", '{"schema": 2, "paces": [1, 1, 1]}', '{"schema": 1, "paces": "no"}', "[]"])
def test_a_record_that_cannot_be_read_is_begun_anew(cache, text):
    noted(Setup(), [1.0])
    (path,) = cache.glob("pace-*.json")
    path.write_text(text)
    assert noted(Setup(), [1.0]) == (None, 1)
    assert json.loads(path.read_text()) == {"schema": 1, "paces": [1.0]}


def test_the_piece_of_work_is_timed():
    assert 1e-6 < pace(Setup()) < 1


def reading(*runs):
    return Reading(("forward",), tuple((run,) for run in runs), "settled", True, 0, 1, 1, None)


def test_the_interval_adds_processes_and_calls_in_quadrature():
    one = Latency("x", (1, 3, 8, 8), Setup(), (reading(1.0, 1.0), reading(1.2, 1.2)))
    alone = one.half_width_s
    both = replace(one, drift=0.5, calls=9)
    assert both.half_width_s == pytest.approx(math.hypot(alone, 0.5 * both.median_s))
    assert replace(one, readings=one.readings[:1]).half_width_s is None


def test_on_a_wandering_machine_the_interval_holds_the_middle_as_often_as_it_says():
    draw, held, total = numpy.random.default_rng(0), 0, 0
    for _ in range(200):
        paces, levels = [], numpy.exp(draw.normal(0, 0.05, 20))
        for level in levels:
            paces.append(level * math.exp(draw.normal(0, 0.005)))
            readings = tuple(reading(level * math.exp(draw.normal(0, 0.01))) for _ in range(5))
            one = Latency("x", (1, 3, 8, 8), Setup(), readings, half_width(paces))
            if len(paces) > 2:
                held, total = held + (abs(one.median_s - 1) <= one.half_width_s), total + 1
    assert 0.93 < held / total < 0.99
