"""Suites that were not written for the gate: with options of their own, pytest-benchmark's fixture, renamed files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from projects import BENCH, SUITE

from resbench.counters.counts import Counted
from resbench.errors import GateError
from resbench.regression.addopts import addopts, kept
from resbench.regression.comparing.measure import same_benchmarks
from resbench.regression.expectations import SuiteCounts
from resbench.regression.gating.measure import _check_paired, notes
from resbench.regression.process import Side, with_files
from resbench.regression.sides import workshop
from resbench.regression.suite import Suite, read

PLAIN = """
import torch
from block import Block

def test_block(benchmark, size):
    x = torch.ones(2, 8, size, size)
    answer = benchmark(Block().eval(), x)
    assert answer.shape == x.shape

def test_with_gradients(benchmark):
    model = Block()
    x = torch.ones(1, 8, 4, 4)
    grad = benchmark.pedantic(lambda x: torch.autograd.grad(model(x).sum(), model.conv.weight)[0],
                              setup=lambda: ((x,), {}), rounds=3)
    assert grad.shape == model.conv.weight.shape
    assert benchmark.name

def test_that_is_no_benchmark():
    raise AssertionError("the gate runs what takes the fixture, and nothing else")
"""

CONFTEST = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--size", type=int, default=1)

@pytest.fixture
def size(pytestconfig):
    return pytestconfig.getoption("--size")
"""

INI = """
[pytest]
addopts = --import-mode=importlib --size=16 -m "not slow" -k nothing -x --benchmark-json=out.json --benchmark-disable
"""


def test_a_suite_of_pytest_benchmark_runs_unchanged_with_the_options_of_its_project(project):
    project.write(bench=PLAIN)
    (project.root / "suites/conftest.py").write_text(CONFTEST)
    (project.root / "pytest.ini").write_text(INI)
    before = project.git("status", "--porcelain")
    done = project.gate("--update")
    assert done.returncode == 0, done.stderr
    counted = json.loads((project.root / "suites/expectations/ci.json").read_text())["benchmarks"]
    assert counted.keys() == {"test_block", "test_with_gradients"}
    assert counted["test_block"][""]["aten.convolution"] == 1
    assert counted["test_block"][""]["macs"] == 2 * 16 * 16 * 8 * 8 * 9
    assert counted["test_with_gradients"][""]["aten.convolution_backward"] == 1
    assert {*project.git("status", "--porcelain").splitlines()} - {*before.splitlines()} == {"?? suites/expectations/"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pytest.ini", '[pytest]\naddopts = --import-mode=importlib -m "not slow" --cov --cov-report xml --size 8'),
        ("setup.cfg", "[tool:pytest]\naddopts = --import-mode=importlib -nauto --size 8"),
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = ['--import-mode=importlib', '-x', '--size', '8']"),
        ("tox.ini", "[pytest]\naddopts =\n  --import-mode=importlib\n  --junitxml=a.xml\n  --size 8"),
    ],
)
def test_addopts_are_read_wherever_pytest_reads_them(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    (tmp_path / "suites").mkdir()
    assert addopts(tmp_path / "suites", ["bench.py"]) == "--import-mode=importlib --size 8"


def test_without_a_configuration_there_are_none(tmp_path):
    assert addopts(tmp_path, ["bench.py"]) == ""
    assert kept(["-p", "mine", "--strict-markers", "-W", "error", "--benchmark-warmup=on"]) == [
        *("-p", "mine", "--strict-markers", "-W", "error", "--benchmark-warmup=on")
    ]


@pytest.fixture
def renamed(project):
    """On the branch the file of benchmarks is called otherwise, and its suite says so."""
    base = project.git("rev-parse", "HEAD")
    (project.root / "suites/bench_block.py").rename(project.root / "suites/bench_new.py")
    project.write(suite=SUITE.replace("bench_block", "bench_new"))
    project.commit("renamed")
    return project, base


def test_a_renamed_file_is_found_by_the_name_that_the_base_has_for_it(renamed):
    project, base = renamed
    with workshop(project.root) as shop:
        one, two = shop.side("base", base), shop.working_tree()
        suite = read(two.root, Path("suites/ci.toml"))
        assert with_files(one, suite).files == ("bench_block.py",)
        assert with_files(two, suite) == two


def test_a_new_file_is_named_unless_it_is_meant_to_be_new(project):
    side = Side("base", "main", project.root)
    suite = replace(read(project.root, Path("suites/ci.toml")), files=["bench_block.py", "bench_new.py"])
    with pytest.raises(GateError, match=r"base \(main\) has no suites/bench_new.py.*stands in `unpaired` too"):
        with_files(side, suite)
    assert with_files(side, replace(suite, unpaired=["bench_new.py"])).files == ("bench_block.py",)


def counts(**files):
    """Benchmarks by file, with nothing counted."""
    places = {name: f"suites/{file}.py" for file, names in files.items() for name in names}
    return SuiteCounts("2.13", {name: Counted({}) for name in places}, files=places)


def test_both_names_of_a_renamed_benchmark_are_said_at_once():
    suite = Suite(Path("suites/ci.toml"), ["bench.py"])
    sides = {"base (main)": counts(bench=["test_old"]), "head (mine)": counts(bench=["test_new"])}
    said = "test_old: in base .main., not in head .mine.; test_new: in head .mine., not in base .main."
    with pytest.raises(GateError, match=said):
        _check_paired(suite, sides)


def test_a_file_that_is_unpaired_may_be_on_one_side_alone():
    base, head = counts(bench=["test_a"]), counts(bench=["test_a"], bench_new=["test_b", "test_c"])
    suite = Suite(Path("suites/ci.toml"), ["bench.py", "bench_new.py"], unpaired=["bench_new.py"])
    _check_paired(suite, {"base": base, "head": head})
    assert notes(suite, base, head) == [
        "Not judged here: bench_new.py, which has nothing to be compared with (`unpaired`)."
    ]
    assert "On both sides: bench_new.py" in notes(suite, head, head)[0]
    assert "Nowhere: bench_new.py" in notes(suite, base, base)[0]


def test_stored_runs_are_paired_by_name_where_a_file_was_renamed():
    a = ["old.py::test_x", "old.py::test_two", "other.py::test_two", "same.py::test_y"]
    b = ["new.py::test_x", "new.py::test_two", "same.py::test_y"]
    assert same_benchmarks(a, b) == {"old.py::test_x": "new.py::test_x", "same.py::test_y": "same.py::test_y"}


def test_a_named_base_that_a_shallow_clone_lacks_gets_the_line_on_its_depth(project, tmp_path):
    first = project.git("rev-parse", "HEAD")
    project.commit("another")
    project.git("clone", "-q", "--depth", "1", f"file://{project.root}", str(tmp_path / "shallow"))
    with workshop(tmp_path / "shallow") as shop, pytest.raises(GateError, match="fetch-depth: 0"):
        shop.side("base", first)


def test_what_is_built_in_the_working_tree_may_ask_git(project):
    project.git("tag", "v1")
    (project.root / "suites/new.py").write_text("")
    project.write(bench=BENCH + "\n# changed\n")
    with workshop(project.root) as shop:
        root = shop.working_tree().root
        for words, said in (
            ("describe --tags", "v1"),
            ("status --porcelain", "M suites/bench_block.py\n?? suites/new.py"),
        ):
            assert project.git("-C", str(root), *words.split()) == said
    assert project.left() == ([], 0, "M suites/bench_block.py\n?? suites/new.py")


def test_submodules_come_along_or_are_named(project, tmp_path):
    (tmp_path / "inner").mkdir()
    inner = type(project)(tmp_path / "inner")
    inner.git("init", "-q", "-b", "main")
    (inner.root / "file").write_text("committed")
    inner.commit()
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.root), "sub")
    project.commit("with a submodule")
    (project.root / "sub/file").write_text("changed")
    with workshop(project.root) as shop:
        head, base = shop.working_tree(), shop.side("base", "HEAD")
        assert [(side.root / "sub/file").read_text() for side in (head, base)] == ["changed", "committed"]
        assert head.lacks == base.lacks == ()
    project.git("submodule", "deinit", "-f", "-q", "sub")
    with workshop(project.root) as shop:
        assert [side.lacks for side in (shop.working_tree(), shop.side("base", "HEAD"))] == [("sub",), ("sub",)]
