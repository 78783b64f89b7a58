"""Rows measured in processes of their own, and what becomes of the others when one fails."""

import json
import os

import pytest
from commands import BUSY, stopped

import resbench
from resbench.errors import Failures

MINE = """
import os, signal
from torch import nn
class Dies(nn.Module):
    def forward(self, x):
        if not x.is_meta: os.kill(os.getpid(), signal.SIGKILL)
        return x
class Loud(nn.Conv2d):
    def __init__(self): super().__init__(3, 4, 1); print("noise on standard output")
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return f"file:{tmp_path}/mine.py"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Ceilings that were measured under tests are not those of the machine."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    yield
    os.environ.pop("XDG_CACHE_HOME")
    if before is not None:
        os.environ["XDG_CACHE_HOME"] = before


def test_a_process_that_dies_takes_no_other_row_with_it(mine, quick):
    names = [f"{mine}:Dies", f"{mine}:Loud"]
    failures = Failures(names)
    (row,) = resbench.latency(names, "3x8x8", batch=2, processes=2, failures=failures).latencies
    assert row.model == f"{mine}:Loud,input=3x8x8"
    assert len(row.readings) == 2
    assert row.half_width_s > 0
    assert row.readings[0].macs == 2 * 12 * 64
    (failure,) = failures.reasons.values()
    assert "was killed (SIGKILL)" in failure
    assert f"{mine}:Dies, batch 2" in failure


def test_training_times_its_phases_apart(quick):
    (row,) = resbench.latency("resnet20", batch=2, mode="training", processes=1).latencies
    assert list(row.phases_s) == ["forward", "backward", "step"]
    assert sum(row.phases_s.values()) == pytest.approx(row.median_s, rel=0.3)
    assert row.half_width_s is None
    assert row.input == (2, 3, 32, 32)
    assert 2.9 < row.readings[0].macs / (2 * 40_551_040) < 3
    low, high = row.tenths_s
    assert low <= row.median_s <= high
    assert row.throughput == pytest.approx(2 / row.median_s)


def test_a_batch_that_does_not_fit_is_one_line_and_the_other_rows_are_written(cli, quick, tmp_path):
    done = cli("latency", "resnet20", "--batch", "1,1048576", "--processes", "1", "-o", str(tmp_path / "t.csv"))
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if not BUSY.search(line)]
    assert len(lines) == 1
    assert "take a smaller --batch" in done.stderr
    header, row = (tmp_path / "t.csv").read_text().splitlines()
    assert header.startswith("model,batch,median_s,")
    assert row.startswith("resnet20,1,")


def test_ctrl_c_keeps_the_rows_that_are_done(enough):
    done = stopped("process 2 of 50", "latency", "resnet20", "--processes", "50", "-f", "json")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    assert result["interrupted"]
    (row,) = result["latencies"]
    assert sum(len(one["runs_s"]) for one in row["readings"]) >= 30
