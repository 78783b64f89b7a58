"""Ctrl-C to real processes: what was finished is printed and written as incomplete, the status is 130, a line says it.
It names the files.

What the line of progress promises to keep is what is kept.
"""

import json
import signal

import pytest
from commands import forked, stopped

ONCE = ("--seeds", "1", "--steps", "0,1")


def ended(done):
    """It ended as Ctrl-C ends a command; its last line."""
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1].rpartition("\x1b[K")[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_gradflow_keeps_the_networks_that_are_finished(tmp_path, number):
    target = tmp_path / "flows.json"
    words = ("gradflow", "resnet8", "resnet110", "plain8", *ONCE, "-o", target)
    done = stopped("resnet110: seed", *words, number=number)
    assert ended(done) == f"resbench: interrupted after gradflow of 1 network; written: {target}"
    assert "resnet110: seed 1 of 1, step 0 of 1" in done.stderr
    assert "Ctrl-C keeps 1 network" in done.stderr
    document = json.loads(target.read_text())
    assert [flow["model"] for flow in document["flows"]] == ["resnet8"]
    assert document["missing"] == ["resnet110", "plain8"]


SLOW = """
import time

def net():
    print("inside", flush=True)
    for _ in range(6000):
        time.sleep(0.01)
"""


def test_a_job_in_the_background_ends_when_it_is_told_to(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    words = ("flops", f"file:{tmp_path / 'slow.py'}:net", "resnet18")
    done = stopped("inside", *words, number=signal.SIGTERM, ctrl_c=signal.SIG_IGN)
    assert "resnet18: counting" not in done.stderr
    assert ended(done) == "resbench: interrupted: nothing was finished, and nothing is written"


def test_a_training_ends_after_its_step_where_its_job_is_ended(tmp_path):
    words = ("degradation", "resnet20", "--epochs", "20", "--dir", tmp_path)
    done = stopped("Ctrl-C keeps every step so far", *words, number=signal.SIGTERM)
    assert ended(done).endswith("the same command goes on from here")
    assert "stopping after this step" in done.stderr


DROPPED = """
import signal
from resbench.networks.build import build
from resbench.arch.catalog import architecture
class Last:
    def __del__(self):
        raise KeyboardInterrupt
def make():
    signal.signal(signal.SIGINT, {first})
    Last()
    return build(architecture("resnet56").body)
"""


@pytest.mark.parametrize("first", ["signal.getsignal(signal.SIGINT)", "signal.SIG_IGN"], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_that_falls_into_a_destructor_is_not_lost(tmp_path, first):
    (tmp_path / "mine.py").write_text(DROPPED.format(first=first))
    code = "from resbench.__main__ import main; main()"
    done = forked(code, "gradflow", f"file:{tmp_path / 'mine.py'}:make", "--input", "3x32x32", *ONCE)
    assert ended(done) == "resbench: interrupted: nothing was finished, and nothing is written"
    assert "Exception ignored" not in done.stderr


AGAIN = """
import os, signal, time
from resbench.interrupts import heed
class Last:
    def __del__(self):
        raise KeyboardInterrupt
heed(signal.SIGINT)
for by_hand in (True, False):
    try:
        Last()
        if by_hand:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
        print("lost")
    except KeyboardInterrupt:
        print("came")
        time.sleep(0.1)
"""


def test_an_interrupt_comes_once_and_the_next_one_too():
    assert forked(AGAIN).stdout.split() == ["came", "came"]


@pytest.mark.parametrize("heeded", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_an_import_would_drop_comes_when_it_is_over(tmp_path, heeded):
    (tmp_path / "helper.py").write_text(f"import os\nos.kill(os.getpid(), {heeded:d})\nfor _ in range(10**6): pass")
    (tmp_path / "mine.py").write_text("try:\n    import helper\nexcept BaseException:\n    pass\n" + SLOW)
    code = "from resbench.__main__ import main; main()"
    done = forked(code, "flops", f"file:{tmp_path / 'mine.py'}:net")
    assert ended(done) == "resbench: interrupted: nothing was finished, and nothing is written"


def test_an_import_without_end_is_interrupted_too(tmp_path):
    (tmp_path / "mine.py").write_text(SLOW + "net()")
    done = stopped("inside", "flops", f"file:{tmp_path / 'mine.py'}:net")
    assert ended(done) == "resbench: interrupted: nothing was finished, and nothing is written"


@pytest.mark.parametrize("at", ["starting", "resnet110: seed"])
def test_without_a_finished_row_nothing_is_written(tmp_path, at):
    target = tmp_path / "flows.json"
    target.write_text("of an earlier run")
    done = stopped(at, "gradflow", "resnet110", *ONCE, "-o", target)
    assert ended(done) == "resbench: interrupted: nothing was finished, and nothing is written"
    assert target.read_text() == "of an earlier run"
    assert done.stdout == ""


def test_layers_are_kept_by_the_runs_so_far(enough):
    done = stopped("Ctrl-C keeps the layers by", "latency", "resnet8", "--layers", "-f", "json")
    assert ended(done) == "resbench: interrupted after latency --layers of 1 network"
    document = json.loads(done.stdout)
    assert document["times"]["interrupted"]
    assert len(document["times"]["overheads"]) >= 4


def test_compare_keeps_what_is_counted_and_measured(tmp_path):
    target = tmp_path / "side.json"
    done = stopped("resnet110: seed", "compare", "resnet8", "resnet110", "--metrics", "macs,gradient", "-o", target)
    assert ended(done) == f"resbench: interrupted after flops of 2 networks, gradflow of 1 network; written: {target}"
    document = json.loads(target.read_text())
    assert document["interrupted"] == "flops of 2 networks, gradflow of 1 network"
    first, second = document["models_by_key"]
    assert first["first_to_last"] > 0
    assert second["first_to_last"] is None
    assert second["macs"] > first["macs"]


def test_report_is_a_page_of_what_is_finished(tmp_path):
    page = tmp_path / "page.html"
    done = stopped("resnet110: seed", "report", "resnet110", "--parts", "cost,gradient", "-o", page)
    assert ended(done) == f"resbench: interrupted after flops of 1 network; written: {page}"
    assert "part 2 of 2; Ctrl-C keeps 1 part" in done.stderr
    assert "(interrupted after flops of 1 network)" in page.read_text()
