"""A closed pipe is no verdict: real processes, real pipes whose reader is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ready
from projects import BLOCK, one_core

RESBENCH = [sys.executable, "-m", "resbench"]
FULL = Path("/dev/full")


@pytest.fixture
def closed():
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def status(*arguments, python=sys.executable, folder=None, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
    """The exit status; None as a stream: closed from the beginning, as by ``>&-``."""
    shut = [number for number, stream in ((1, stdout), (2, stderr)) if stream is None]
    before = (lambda: [os.close(number) for number in shut]) if shut else None
    streams = {"stdout": stdout or subprocess.DEVNULL, "stderr": stderr or subprocess.DEVNULL}
    command = [python, *RESBENCH[1:], *map(str, arguments)]
    return subprocess.run(command, cwd=folder, timeout=120, check=False, preexec_fn=before, **streams).returncode


def stored_run(counter):
    """What `pytest --benchmark-json` writes of one benchmark, as far as it is read."""
    machine = dict.fromkeys(("node", "processor", "machine", "python_version", "release", "system", "cpu"), "a")
    stats = {"median": 1.0, "iqr": 0.1}
    return {
        "machine_info": {**machine, "resbench": {"id": "0123456789ab", "stable": {}}},
        "commit_info": {"id": "a"},
        "benchmarks": [{"fullname": "test_it", "stats": stats, "extra_info": {"counters": {"macs": counter}}}],
        "datetime": "2026-01-01T00:00:00+00:00",
    }


@pytest.fixture
def runs(tmp_path):
    """The runs 0, 1 and 2: another counter in 1, and no counters in 2."""
    found = [tmp_path / f"{i}.json" for i in range(3)]
    for i, path in enumerate(found):
        run = stored_run(counter=i)
        if i == 2:
            run["benchmarks"][0]["extra_info"] = {}
        path.write_text(json.dumps(run))
    return found


@pytest.mark.parametrize("run", [0, 1, 2])
@pytest.mark.parametrize("shut", ["stdout", "stderr", "one pipe", "from the beginning"])
def test_compare_runs_judges_alike_whoever_listens(runs, closed, run, shut):
    streams = {
        "stdout": {"stdout": closed},
        "stderr": {"stderr": closed},
        "one pipe": {"stdout": closed, "stderr": closed},
        "from the beginning": {"stdout": None, "stderr": None},
    }[shut]
    assert status("compare-runs", runs[0], runs[run], **streams) == run


@pytest.mark.parametrize(("models", "expected"), [("resnet50", 0), ("resent50", 2), ("--nosuch", 2), ("", 2)])
def test_flops_ends_as_it_would_have(closed, models, expected):
    assert status("flops", *models.split(), stdout=closed, stderr=closed) == expected


def test_a_regression_stays_one_and_a_pass_stays_one(expected, closed):
    """The benchmark prints as well, more than a pipe holds, into nowhere."""
    noise = "import sys\n" + (expected.root / "suites/bench_block.py").read_text().replace(
        "    resbench(", "    print('a' * 200_000)\n    print('b' * 200_000, file=sys.stderr)\n    resbench("
    )
    expected.write(bench=noise)
    streams = {"stdout": closed, "stderr": closed, "python": ready.python()}
    with one_core():
        assert status("gate", "--counters", folder=expected.root, **streams) == 0
        expected.write(block=BLOCK.replace("bias=False", "bias=True"))
        assert status("gate", "--counters", folder=expected.root, **streams) == 1
        expected.write(block="raise ValueError")
        assert status("gate", "--counters", folder=expected.root, **streams) == 2


@pytest.mark.parametrize(("joined", "reader"), [("", "true"), ("2>&1", "true"), ("2>&1", "head -1"), ("", "cat")])
def test_the_shell_sees_the_status_behind_a_pipe(runs, reader, joined):
    line = f"{' '.join(RESBENCH)} compare-runs {runs[0]} {runs[1]} {joined} | {reader}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_more_than_a_pipe_holds_is_cut_without_a_word():
    """One line is read while the rest is still being printed."""
    line = f"{' '.join(RESBENCH)} flops resnet1202 --per layer | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "resnet1202, input 3x32x32\n", "")


@pytest.mark.parametrize("stdout", ["closed", "none"])
def test_a_file_is_written_all_the_same(runs, closed, tmp_path, stdout):
    streams = {"stdout": closed if stdout == "closed" else None, "stderr": closed}
    assert status("compare-runs", runs[0], runs[1], "-o", tmp_path / "said.json", **streams) == 1
    assert json.loads((tmp_path / "said.json").read_text())["kind"] == "compare-runs"


def test_a_reader_of_the_file_that_has_enough_changes_nothing(runs):
    line = f"{' '.join(RESBENCH)} compare-runs {runs[0]} {runs[1]} -f json -o >(head -c 1 >/dev/null)"
    assert subprocess.run(["bash", "-c", line], capture_output=True, timeout=120, check=False).returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="no full disk to write to")
def test_a_full_disk_is_said_and_is_no_verdict(runs):
    command = [*RESBENCH, "compare-runs", *map(str, runs[:2])]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert status("flops", "resent50", stdout=full, stderr=full) == 2
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("resbench: cannot write to standard output: No space left")


def test_the_traceback_changes_no_status(tmp_path):
    assert status("compare-runs", tmp_path / "none.json", tmp_path / "none.json") == 2
    assert status("--debug", "compare-runs", tmp_path / "none.json", tmp_path / "none.json") == 2


@pytest.mark.parametrize(
    ("ends", "expected", "said"),
    [
        ("1 / 0", 2, "resbench itself failed: ZeroDivisionError: division by zero"),
        ("raise GeneratorExit", 2, "resbench itself failed: GeneratorExit: GeneratorExit"),
        ("os.write(shut(), b'a')", 2, ""),  # another pipe than ours
        ("sys.exit(1)", 2, ""),
        ("sys.exit('I am somebody else')", 2, "resbench: I am somebody else\n"),
        ("sys.exit(0)", 0, ""),
    ],
)
def test_what_fails_inside_is_no_verdict(ends, expected, said):
    """Status 1 would say that something regressed."""
    code = (
        "import os, sys\nfrom resbench.cli.main import app, main\n"
        "def shut():\n    reading, writing = os.pipe()\n    os.close(reading)\n    return writing\n"
        f"@app.command('ends')\ndef ends():\n    {ends}\n"
        "sys.argv = ['resbench', 'ends']\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == expected
    assert said in done.stderr
    assert "Traceback" not in done.stderr
