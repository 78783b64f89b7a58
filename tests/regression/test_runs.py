"""Stored runs: a suite run twice by pytest-benchmark itself, its files then changed as a change would."""

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
import ready

BENCH = """
from torch import nn

def test_conv(resbench):
    resbench(nn.Conv2d(3, 4, 3), (1, 3, 8, 8))

def test_list(resbench):
    resbench(lambda: sorted(range(100)), counters={"items": 100})
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What `pytest --benchmark-json` writes."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "bench_it.py").write_text(BENCH)
    command = [ready.python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "bench_it.py", "--benchmark-json", "a"]
    options = ["--benchmark-max-time", "0.05", "--benchmark-min-rounds", "3"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # xdist's too
    done = subprocess.run([*command, *options], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return json.loads((folder / "a").read_text())


@pytest.fixture
def pair(stored, tmp_path):
    """Two files of the same run; the second after a change of the document."""

    def make(change=lambda document: None):
        document = json.loads(json.dumps(stored))
        (tmp_path / "a.json").write_text(json.dumps(document))
        change(document)
        (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps(document).encode()))
        return str(tmp_path / "a.json"), str(tmp_path / "b.json.gz")

    return make


def benchmark(document, name):
    return next(one for one in document["benchmarks"] if one["name"] == name)


def test_the_plugin_stores_counters_and_the_machine(stored):
    counters = benchmark(stored, "test_conv")["extra_info"]["counters"]
    assert (counters["params"], counters["macs"], counters["copies"]) == (112, 27 * 4 * 36, 0)
    assert benchmark(stored, "test_list")["extra_info"]["counters"]["items"] == 100
    assert len(stored["machine_info"]["resbench"]["id"]) == 12


def test_equal_runs_pass(cli, pair):
    done = cli("compare-runs", *pair())
    assert done.returncode == 0
    assert "no verdict" in done.stdout


def test_a_counter_that_changed_fails(cli, pair):
    def change(document):
        benchmark(document, "test_conv")["extra_info"]["counters"]["copies"] = 1

    done = cli("compare-runs", *pair(change), "--format", "csv")
    assert done.returncode == 1
    assert "bench_it.py::test_conv,copies,0,1,,changed" in done.stdout


def test_wall_times_of_another_machine_are_refused_and_its_counters_still_compared(cli, pair):
    def move(document):
        document["machine_info"]["resbench"] = {"id": "0" * 12, "stable": {"cpu": "another"}, "volatile": {}}

    done = cli("compare-runs", *pair(move))
    assert done.returncode == 2
    assert "wall times are not compared" in done.stdout
    assert "B / A" not in done.stdout

    def both(document):
        move(document)
        benchmark(document, "test_conv")["extra_info"]["counters"]["macs"] += 1

    assert cli("compare-runs", *pair(both)).returncode == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["machine_info"].pop("resbench"), "No fingerprint of the machine"),
        (lambda d: d["benchmarks"].pop(0), "Only in"),
        (lambda d: benchmark(d, "test_conv")["extra_info"].clear(), "No counters in"),
    ],
)
def test_what_cannot_be_compared_is_no_pass(cli, pair, change, said):
    done = cli("compare-runs", *pair(change))
    assert done.returncode == 2
    assert said in done.stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(datetime="0001-01-01T00:00:00+14:00"), "is no stored run"),
        (lambda d: benchmark(d, "test_conv")["stats"].update(median=10**400), "is no stored run"),
        (lambda d: benchmark(d, "test_conv").update(fullname="\ud800"), "a name that can be printed"),
        (lambda d: benchmark(d, "test_conv").update(fullname="a\x1b[31m"), "a name that can be printed"),
    ],
)
def test_a_run_that_cannot_be_is_named_in_one_line(cli, pair, change, said):
    done = cli("compare-runs", *pair(change))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_benchmark_without_extra_info_has_no_counters(cli, pair):
    done = cli("compare-runs", *pair(lambda d: benchmark(d, "test_conv").pop("extra_info")))
    assert done.returncode == 2
    assert "No counters in" in done.stdout


def test_a_renamed_file_is_compared_and_said(cli, pair):
    name = benchmark(json.loads(Path(pair()[0]).read_text()), "test_conv")["fullname"]
    done = cli("compare-runs", *pair(lambda d: benchmark(d, "test_conv").update(fullname="moved.py::test_conv")))
    assert done.returncode == 0, done.stderr
    assert f"Renamed or moved: {name} is moved.py::test_conv in B." in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is no stored run"), ('{"benchmarks": []}', "is no stored run"), (None, "cannot read")],
)
def test_a_file_that_is_no_run_is_named(cli, pair, tmp_path, text, said):
    path = tmp_path / "c.json"
    if text is not None:
        path.write_text(text)
    done = cli("compare-runs", pair()[0], str(path))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
