"""The history of stored runs: appended once, whole or not at all, and its change points."""

import json
from datetime import UTC, datetime, timedelta

import numpy
import pytest

from resbench.regression.history.result import change_points

START = datetime(2026, 1, 1, 3, tzinfo=UTC)


def night(number, seconds, counters=None, machine="a" * 12):
    """One stored run as pytest-benchmark writes it."""
    return {
        "machine_info": {"resbench": {"id": machine, "stable": {"cpu": "one", "torch": "2.13"}, "volatile": {}}},
        "commit_info": {"id": f"{number:07x}{0:033x}", "dirty": False},
        "datetime": (START + timedelta(days=number)).isoformat(),
        "version": "5.3.1",
        "benchmarks": [
            {
                "fullname": "suites/bench_it.py::test_it",
                "extra_info": {"counters": counters or {"macs": 8}},
                "stats": {"median": seconds, "iqr": 0.01 * seconds},
            }
        ],
    }


@pytest.fixture
def history(cli, tmp_path):
    """`resbench history` in a folder of its own."""

    def run(*documents, options=()):
        paths = []
        for i, document in enumerate(documents):
            paths.append(tmp_path / f"run{i}.json")
            paths[-1].write_text(json.dumps(document))
        return cli("history", *map(str, paths), "--dir", str(tmp_path / "history"), *options)

    return run


def lines(tmp_path):
    return (tmp_path / "history" / f"{'a' * 12}.jsonl").read_text().splitlines()


def test_a_run_is_appended_once(history, tmp_path):
    assert history(night(0, 1.0), night(1, 1.0)).returncode == 0
    done = history(night(1, 1.0), night(2, 1.0))
    assert "1 of 2 runs appended" in done.stderr
    assert len(lines(tmp_path)) == 1 + 3


def test_every_machine_has_a_file(history, tmp_path):
    history(night(0, 1.0), night(1, 1.0, machine="b" * 12))
    assert sorted(path.name for path in (tmp_path / "history").glob("*.jsonl")) == [f"{c * 12}.jsonl" for c in "ab"]


def test_a_step_is_found_where_it_was_made(history):
    noise = numpy.random.default_rng(0).normal(1, 0.02, 40)
    steps = [night(i, x * (1.05 if i >= 20 else 1)) for i, x in enumerate(noise)]
    done = history(*steps, options=("--format", "json"))
    (found,) = json.loads(done.stdout)["machines"][0]["benchmarks"][0]["changes"]
    assert found["change"] == pytest.approx(0.05, abs=0.02)
    assert abs(int(found["commit"], 16) - 20) <= 2


@pytest.mark.parametrize("n", [30, 100, 200])
def test_noise_alone_seldom_shows_a_change(n):
    draw = numpy.random.default_rng(n)
    found = [bool(change_points(draw.standard_t(3, n) * 0.02 + 1)) for _ in range(200)]
    assert numpy.mean(found) <= 0.06  # 3 % or fewer, and the chance of 200


def test_a_counter_that_changed_is_a_change_that_night(history):
    done = history(night(0, 1.0), night(1, 1.0, {"macs": 9}), options=("--format", "json"))
    (found,) = json.loads(done.stdout)["machines"][0]["benchmarks"][0]["recounts"]
    assert (found["counter"], found["old"], found["new"]) == ("macs", 8, 9)


def test_a_broken_line_is_named_and_nothing_is_lost(history, tmp_path):
    history(night(0, 1.0), night(1, 1.0))
    path = tmp_path / "history" / f"{'a' * 12}.jsonl"
    broken = path.read_text().replace('"dirty":false', '"dirty":fal', 1)
    path.write_text(broken)
    done = history(night(2, 1.0))
    assert done.returncode == 2
    assert f"{path}, line 2" in done.stderr
    assert path.read_text() == broken


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["machine_info"].clear(), "no fingerprint"),
        (lambda d: d["benchmarks"][0]["stats"].update(median=-1), "expected seconds"),
        (lambda d: d.pop("datetime"), "is no stored run"),
    ],
)
def test_a_run_that_does_not_belong_there_is_refused(history, tmp_path, change, said):
    document = night(0, 1.0)
    change(document)
    done = history(night(1, 1.0), document)
    assert done.returncode == 2
    assert said in done.stderr
    assert not list((tmp_path / "history").glob("*.jsonl"))


def test_an_empty_history_says_what_to_append(history):
    done = history()
    assert done.returncode == 2
    assert "no history in" in done.stderr


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_the_chart_is_drawn(history, tmp_path, suffix):
    path = tmp_path / f"chart.{suffix}"
    steps = [night(i, 1.1 if i >= 12 else 1 + i % 3 / 100) for i in range(24)]
    assert history(*steps, options=("--plot", str(path))).returncode == 0
    assert "test_it" in path.read_text()


def test_runs_of_one_day_are_told_apart_by_the_hour(history, tmp_path):
    runs = [night(0, 1.0) | {"datetime": f"2026-01-01T{hour:02}:00:00"} for hour in range(3, 8)]
    assert history(*runs, options=("--plot", str(tmp_path / "chart.svg"))).returncode == 0
    text = (tmp_path / "chart.svg").read_text()
    assert "05:00" in text
    assert "2026-01-01" in text
