"""A benchmark may ask for its fixture when it runs; the gate counts and times it like any other."""

import pytest
from projects import BENCH, BLOCK, SUITE, made

from resbench.regression.duel import ARMS, one_round
from resbench.regression.process import Side
from resbench.regression.samples import SAMPLES
from resbench.regression.suite import read

ASKS = """
import pytest

def test_itself(request):
    request.getfixturevalue("resbench")(Block(), (1, 8, 8, 8))

def measure(request, *args):
    request.getfixturevalue("res" + "bench")(*args)

class TestIt:
    def test_in_a_helper(self, request):
        measure(request, Block(), (1, 8, 8, 8))

@pytest.fixture
def late(request):
    return request.getfixturevalue("resbench")

def test_by_a_fixture(late):
    late(Block(), (1, 8, 8, 8))

@pytest.fixture(autouse=True)
def of_every_test(request):
    if request.node.name == "test_by_a_fixture_of_every_test":
        request.getfixturevalue("resbench")(Block(), (1, 8, 8, 8))

def test_by_a_fixture_of_every_test():
    pass

@pytest.mark.parametrize("fixture", ["resbench"])
def test_by_name(request, fixture):
    request.getfixturevalue(fixture)(Block(), (1, 8, 8, 8))
"""

LATE = """
def test_late(request):
    request.getfixturevalue("resbench")(Block(), (1, 8, 8, 8))

def test_that_only_holds_it(request):
    assert request.node

def test_that_fails(tmp_path, capsys):
    raise AssertionError("it cannot ask, and is not run")
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A small project whose expectations hold a benchmark that asks at run time."""
    project = made(tmp_path_factory.mktemp("late") / "project")
    project.write(bench=BENCH + LATE)
    done = project.gate("--update")
    assert done.returncode == 0, done.stderr
    assert ": 2 benchmarks;" in done.stdout
    assert done.stdout.count("new test_block, test_late.") == 1
    return project


@pytest.mark.slow
def test_who_asks_at_run_time_is_counted(project):
    project.write(bench=BENCH + ASKS)
    said = project.gate("--update").stdout
    assert ": 6 benchmarks;" in said
    assert all(name in said for name in ("test_itself", "TestIt::test_in_a_helper", "by_name[resbench]"))


def test_a_change_of_it_is_a_regression(known):
    known.write(block=BLOCK.replace("bias=False", "bias=True"), bench=BENCH + LATE)
    done = known.gate("--counters", "--format", "csv")
    known.write(block=BLOCK)
    assert done.returncode == 1
    assert "test_late,conv,params,576,584," in done.stdout


@pytest.mark.slow
def test_it_is_timed(project):
    project.write(bench=BENCH + LATE)
    sides = dict.fromkeys(ARMS, Side("head", "here", project.root, ours=False))
    suite = read(project.root, (project.root / "suites/ci.toml").relative_to(project.root))
    times = one_round(sides, suite, {"test_late": list(ARMS)})
    assert {arm: len(samples) for arm, samples in times["test_late"].items()} == dict.fromkeys(ARMS, SAMPLES)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("request.getfixturevalue('resbench')", "test_late takes the fixture `resbench` and does not call it"),
        ("1 / 0", "test_late fails: ZeroDivisionError"),
        pytest.param(
            "request.getfixturevalue('resbench')(Block(), (1, 3, 8, 8))", "test_late fails: ", marks=pytest.mark.slow
        ),
        pytest.param("pass", "test_late: in suites/expectations/ci.json, not in", marks=pytest.mark.slow),
    ],
)
def test_one_that_the_gate_knows_is_never_lost(known, body, said):
    known.write(bench=f"{BENCH}\ndef test_late(request):\n    {body}\n")
    done = known.gate("--counters")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_one_that_ends_before_it_asks_is_named(expected):
    expected.write(bench=BENCH + "\ndef test_late(request):\n    1 / 0\n")
    done = expected.gate("--counters")
    assert done.returncode == 0, done.stderr
    assert (
        "Not judged here: test_late (it ended before it asked for the fixture `resbench`: ZeroDivisionError: "
        "division by zero)" in done.stdout
    )


@pytest.mark.slow
def test_another_test_of_its_name_is_no_second_benchmark(project):
    project.write(bench=BENCH + LATE, suite=SUITE.replace('"bench_block.py"', '"bench_block.py", "more.py"'))
    (project.root / "suites/more.py").write_text("def test_late(request):\n    assert request.node\n")
    assert ": 2 benchmarks;" in project.gate("--update").stdout
    (project.root / "suites/more.py").write_text("from block import Block\n" + LATE)
    assert "two benchmarks are called test_late" in project.gate("--counters").stderr
