"""The gate as a command, on a small project: what it finds, what it refuses, and what it leaves behind."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
from commands import stopped
from projects import BENCH, BLOCK, SUITE

from resbench.counters.counts import Counted
from resbench.errors import OptionError
from resbench.regression.expectations import SuiteCounts, changes, load, spared, store
from resbench.regression.gating.measure import notes
from resbench.regression.samples import SAMPLES, own
from resbench.regression.suite import Suite

CLEAN = ([], 0, "")


def test_equal_counters_pass_and_the_checkout_stays_as_it_was(expected):
    running = expected.start("--counters")  # a process of its own, which counts in one on each core
    out, err = running.communicate()
    assert running.returncode == 0, err
    assert "equal in 1 benchmark" in out
    assert expected.left() == CLEAN


def test_a_change_fails_and_names_layer_and_counter(expected):
    expected.write(block=BLOCK.replace("bias=False", "bias=True"))
    done = expected.gate("--counters", "--format", "csv")
    assert done.returncode == 1
    assert "test_block,conv,params,576,584," in done.stdout


@pytest.mark.slow
def test_an_improvement_fails_too(expected):
    expected.write(block=BLOCK.replace("self.relu(self.conv(x)) + x", "self.conv(x) + x"))
    done = expected.gate("--counters", "--format", "csv")
    assert done.returncode == 1
    assert "test_block,relu,aten.relu_,1,," in done.stdout


def test_update_writes_a_line_for_each_layer(expected):
    expected.write(block=BLOCK.replace("bias=False", "bias=True"))
    assert expected.gate("--update").returncode == 0
    assert expected.gate("--counters").returncode == 0
    changed = re.findall(r"^\+ .*", expected.git("diff", "suites"), re.MULTILINE)
    assert [line.split('"')[1] for line in changed] == ["", "conv"]  # the peak holds the bias too


@pytest.mark.slow
def test_a_total_above_its_limit_fails(expected):
    expected.write(suite=SUITE + "[benchmarks.test_block]\nlimits = { macs = 1000 }\n")
    done = expected.gate("--counters")
    assert done.returncode == 1
    assert "macs is 294,912, above the suite's limit of 1,000" in done.stdout


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"block": "import nothing_of_that_name"}, "No module named 'nothing_of_that_name'"),
        pytest.param({"bench": "def test_nothing(): pass"}, "none uses the fixture", marks=pytest.mark.slow),
        ({"bench": "import pytest\n@pytest.mark.skip(reason='why not')\n" + BENCH.partition("\n\n")[2]}, "why not"),
        pytest.param(
            {"bench": BENCH.replace("(2, 8, 16, 16)", "(2, 3, 16, 16)")},
            "to have 8 channels, but got 3",
            marks=pytest.mark.slow,
        ),
        ({"suite": "files = ['bench_other.py']"}, "has no suites/bench_other.py"),
        ({"suite": "files = ['bench_*.py']"}, "takes the names of files"),
        ({"suite": "fils = ['bench_block.py']"}, "did you mean files?"),
        ({"suite": SUITE + "margin = 5000"}, "margin takes a fraction"),
        ({"suite": "files = ["}, "is not TOML"),
        pytest.param(
            {"suite": SUITE + "[benchmarks.test_blok]\nlimits = { macs = 1 }"},
            "did you mean test_block?",
            marks=pytest.mark.slow,
        ),
        ({"suite": SUITE + "[benchmarks.test_block]\nlimits = { peak_byts = 1 }"}, "did you mean peak_bytes?"),
        pytest.param({"bench": BENCH.replace("test_block", "test_other")}, "test_block: in", marks=pytest.mark.slow),
        pytest.param(
            {"bench": BENCH + "\ndef test_never(resbench):\n    pass\n"},
            "test_never takes the fixture",
            marks=pytest.mark.slow,
        ),
        (
            {"bench": BENCH.replace("(2, 8, 16, 16))", "(2, 8, 16, 16))\n    resbench(Block(), (2, 8, 8, 8))")},
            "two tests",
        ),
        pytest.param(
            {"bench": "import os\n" + BENCH.replace("resbench(Block", "os._exit(0)\n    resbench(Block")},
            "ended early",
            marks=pytest.mark.slow,
        ),
        pytest.param({"block": "raise EOFError('Every word')"}, "EOFError: Every word", marks=pytest.mark.slow),
        ({"block": BLOCK + "def ("}, "block.py, line 12)"),
        ({"bench": BENCH.replace("(2, 8, 16, 16)", "(2, 8, 16, 16), mod='training'")}, "did you mean mode?"),
        ({"bench": BENCH.replace("(2, 8, 16, 16)", "(2.0, 4)")}, "expected input=(N, C, H, W) or tensors"),
    ],
)
def test_what_does_not_run_is_named_in_one_line(expected, files, said):
    expected.write(**files)
    done = expected.gate("--counters")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_counters_do_not_depend_on_random_weights(project):
    values = BLOCK.replace("return self.relu(self.conv(x)) + x", "y = self.conv(x)\n        return y[y > 0] * 2")
    project.write(block=values)
    assert project.gate("--update").returncode == 0
    assert project.gate("--counters").returncode == 0


@pytest.mark.slow
def test_a_skipped_benchmark_keeps_its_expectations_and_its_limits(expected):
    skipping = BENCH.replace("def test_block", "import pytest\n@pytest.mark.skip(reason='not here')\ndef test_block")
    other = "\ndef test_other(resbench):\n    resbench(Block(), (1, 8, 8, 8))\n"
    expected.write(bench=skipping + other, suite=SUITE + "[benchmarks.test_block]\nlimits = { macs = 1 }\n")
    assert "new test_other" in expected.gate("--update").stdout
    done = expected.gate("--counters")
    assert done.returncode == 0, done.stderr
    assert "Not judged here: test_block" in done.stdout
    expected.write(bench=BENCH + other, suite=SUITE)
    assert expected.gate("--counters").returncode == 0


@pytest.mark.slow
def test_a_half_merged_file_of_expectations_is_written_anew(expected):
    path = expected.root / "suites/expectations/ci.json"
    path.write_text("<<<<<<< HEAD\n" + path.read_text())
    assert expected.gate("--counters").returncode == 2
    assert expected.gate("--update").returncode == 0
    assert expected.gate("--counters").returncode == 0


def test_a_file_that_skips_itself_spares_its_own_benchmarks_alone():
    one = {"aten.add": 1}
    expected = SuiteCounts(
        "2.0", dict.fromkeys(("test_a", "test_b"), Counted({"": one})), files={"test_a": "a.py", "test_b": "b.py"}
    )
    assert spared(expected, SuiteCounts("2.0", {}, skipped={"a.py": "no GPU"})) == ["test_a"]


def test_what_is_unpaired_no_longer_is_told():
    one = SuiteCounts("2.0", {"test_new": Counted({"": {"aten.add": 1}})})
    suite = Suite(Path("ci.toml"), ["a.py"], unpaired=["test_new"])
    none = SuiteCounts("2.0", {})
    assert "take it out of `unpaired`" in notes(suite, one, one)[0]
    assert notes(suite, none, one) == ["Not judged here: test_new, which has nothing to be compared with (`unpaired`)."]
    assert notes(suite, none, none) == ["Nowhere: test_new; take it out of `unpaired`."]


def test_the_same_peak_in_another_layer_is_no_change():
    one, other, more = (Counted({"a": {"peak_bytes": a}, "b": {"peak_bytes": b}}) for a, b in ((8, 0), (0, 8), (0, 9)))
    assert changes({"test": one}, {"test": other}) == []
    assert [change.counter for change in changes({"test": one}, {"test": more})] == ["peak_bytes", "peak_bytes"]


def test_those_with_the_most_operators_come_first():
    few, many = (Counted({"": {"aten.add": often}}) for often in (1, 9))
    assert SuiteCounts("2.0", {"few": few, "many": many}).by_work() == ["many", "few"]


@pytest.mark.parametrize("counters", [{"macs": 1}, {"aten.add": 1}, {"rows": 1.5}, {"rows": True}])
def test_counters_of_ones_own_are_integers_under_new_names(counters):
    with pytest.raises(OptionError, match="takes integers under new names"):
        own(Counted({}), counters)
    assert own(Counted({}), {"rows": 3}).layers == {"": {"rows": 3}}


def test_expectations_come_back_as_they_were(tmp_path):
    one = Counted({"": {"aten.add": 1}})
    stored = SuiteCounts("2.0", {"test_a": one, "test_b": one}, files={"test_a": "a.py", "test_b": "b.py"})
    store(tmp_path / "ci.json", stored)
    assert load(tmp_path / "ci.json") == stored


def test_without_expectations_it_says_how_to_make_them(project):
    done = project.gate("--counters")
    assert done.returncode == 2
    assert "resbench gate --update" in done.stderr


@pytest.mark.slow
def test_expectations_of_another_torch_are_refused(expected):
    path = expected.root / "suites/expectations/ci.json"
    path.write_text(path.read_text().replace('"torch": "', '"torch": "0.'))
    done = expected.gate("--counters")
    assert done.returncode == 2
    assert "counted with torch 0." in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "expected a git revision or a directory, received 'nowhere'"),
        (("main", "HEAD"), "1 changed file, which would not be judged"),
        (("--time-budget", "soon"), "takes a time such as"),
        (("main", "--counters"), "expected no BASE"),
        (("--suite", "nothing.toml"), "cannot read nothing.toml"),
    ],
)
def test_a_wrong_call_is_named_and_leaves_nothing(project, words, said):
    (project.root / "block.py").write_text(BLOCK + "\n")
    done = project.gate(*words)
    assert done.returncode == 2
    assert said in done.stderr
    files, trees, _ = project.left()
    assert (files, trees) == ([], 0)


def test_the_default_base_has_to_differ_from_the_working_tree(project):
    done = project.gate()
    assert done.returncode == 2
    assert "nothing changed since main, the default base; name BASE, such as HEAD~1" in done.stderr


def test_without_git_it_wants_two_directories(tmp_path, project):
    (project.root / ".git").rename(tmp_path / "git")
    for words in ((), ("suites",), ("main", "HEAD")):
        done = project.gate(*words)
        assert done.returncode == 2
        assert "no git repository" in done.stderr


def test_a_base_that_does_not_import_is_named_as_the_base(project):
    project.write(block="1 / 0")
    broken = project.commit()
    project.write(block=BLOCK)
    project.commit()
    done = project.gate(broken)
    assert done.returncode == 2
    assert f"base ({broken[:7]}): bench_block.py fails: ZeroDivisionError" in done.stderr
    assert project.left() == CLEAN


def test_code_from_another_tree_is_refused(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(project.root))
    project.write(suite='files = ["bench_block.py"]', block=BLOCK + "\n")
    done = project.gate()
    assert done.returncode == 2
    assert f"block is imported from {project.root}/block.py: expected its own tree's" in done.stderr


def test_a_note_tells_where_only_the_suite_itself_was_imported(expected):
    assert "Nothing of this tree" not in expected.gate("--counters").stdout
    expected.write(bench=BLOCK + BENCH.replace("from block import Block", ""))
    assert "Nothing of this tree was imported but the suite" in expected.gate("--counters").stdout


@pytest.mark.slow
def test_what_prints_on_import_does_no_harm(expected, monkeypatch, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("print('hello')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    assert expected.gate("--counters").returncode == 0


def test_a_counter_that_changed_is_told_though_the_time_is_up(project):
    project.write(block=BLOCK.replace("bias=False", "bias=True"))
    done = project.gate("--time-budget", "0.1s", "--format", "csv")
    assert done.returncode == 1
    assert "test_block,conv,params,576,584," in done.stdout


@pytest.mark.slow
def test_a_change_is_explained_by_the_heads_expectations(project):
    project.gate("--update")
    project.commit()
    project.write(block=BLOCK.replace("bias=False", "bias=True"))
    project.gate("--update")
    done = project.gate("--time-budget", "0.1s")
    assert done.returncode == 2  # nothing against it, and no time to say more
    assert "took all of the --time-budget" in done.stderr


def test_a_side_that_does_not_build_is_named(project):
    project.write(suite=SUITE + "build = 'echo no compiler here; exit 3'")
    done = project.gate("main")
    assert done.returncode == 2
    assert "does not build: no compiler here" in done.stderr


def test_a_benchmark_on_one_side_only_is_named(project):
    project.write(bench=BENCH + "\ndef test_new(resbench):\n    resbench(Block(), (1, 8, 8, 8))\n")
    done = project.gate()
    assert done.returncode == 2
    assert re.search(r"test_new: in head \(working tree: \w+ with 1 changed file\), not in base", done.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_leaves_nothing_behind(project, number):
    running = project.start("main", start_new_session=True)
    while running.poll() is None and not any((folder / "head").exists() for folder in project.tmp.iterdir()):
        time.sleep(0.01)
    running.send_signal(number)
    _, said = running.communicate()
    if number != signal.SIGKILL:
        assert running.returncode == 130
        assert "interrupted before anything was judged" in said
    deadline = time.monotonic() + 20
    while project.left() != CLEAN and time.monotonic() < deadline:
        time.sleep(0.05)
    assert project.left() == CLEAN


@pytest.mark.slow
def test_the_same_code_does_not_regress_and_the_raw_file_holds_every_sample(project):
    done = project.gate("main", "--time-budget", "100s", "--raw", "raw.json")
    assert done.returncode in (0, 2), done.stderr
    raw = json.loads((project.root / "raw.json").read_text())
    times = raw["duel"]["rounds"][0]["test_block"]
    assert {arm: len(samples) for arm, samples in times.items()} == dict.fromkeys(("base", "again", "head"), SAMPLES)
    assert raw["verdict"] in ("PASS", "INCONCLUSIVE")


@pytest.mark.slow
def test_twice_the_work_is_a_regression_in_counters_and_in_time(project):
    project.write(block=BLOCK.replace("self.conv(x))", "self.conv(self.conv(self.conv(x))))"))
    done = project.gate("--time-budget", "10m", "--format", "json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert found["duel"]["judgement"]["benchmarks"]["test_block"]["verdict"] == "REGRESSED"
    assert ("conv", "aten.convolution") in {(change["layer"], change["counter"]) for change in found["changes"]}


def test_ctrl_c_keeps_the_counters_and_the_rounds(project):
    done = stopped("round 2 of", "gate", "main", "-f", "json", cwd=project.root, env={"TMPDIR": str(project.tmp)})
    assert done.returncode == 130, done.stderr
    assert "Ctrl-C keeps the counters and 1 round" in done.stderr
    assert "resbench: interrupted after the counters and 1 of at least" in done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "INTERRUPTED"
    assert document["benchmarks"] == ["test_block"]
    assert len(document["duel"]["rounds"]) == 1
    assert project.left() == CLEAN
