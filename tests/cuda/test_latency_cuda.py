"""Times, layers and memory on an NVIDIA GPU."""

import json
import subprocess
import sys

import pytest
import torch

from resbench.costs.measure import cost
from resbench.errors import MeasureError
from resbench.networks.load import load
from resbench.timing.latency.result import Latency
from resbench.timing.latency.worker import read
from resbench.timing.layers.measure import layer_times
from resbench.timing.memory.measure import measured
from resbench.timing.memory.prediction import predicted
from resbench.timing.roofline import roof
from resbench.workers import stopwatch
from resbench.workers.environment import environment
from resbench.workers.sampling import FLUSH_BYTES, Rules
from resbench.workers.workload import Setup, Workload, check_device

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

SHORT = Rules(warmup_s=0.2, warmup_cap_s=2, least_s=0.1, cap_s=2)


def workload(name, **setup):
    setup = Setup("cuda", **setup)
    loaded = load(name)
    return Workload(loaded.module, loaded.arguments(setup.batch), setup)


@pytest.mark.parametrize("dtype", ["fp32", "tf32", "bf16", "fp16"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_three_numbers_are_measured(mode, dtype):
    work = workload("resnet18", batch=4, mode=mode, dtype=dtype)
    reading = read(work, SHORT)
    one = Latency("resnet18", (4, 3, 224, 224), work.setup, (reading,))
    assert reading.remark == ""
    assert one.queued_s > 0
    assert one.graph_s > 0
    assert one.peak_bytes > 4 * 11_689_512


def test_cold_caches_are_overwritten_before_each_run():
    work = workload("basic_block", batch=8, cache="cold")
    with work.ready():
        before = torch.cuda.memory_allocated()
        watch = stopwatch.queued(work)
        assert torch.cuda.memory_allocated() - before >= FLUSH_BYTES
        assert all(sum(run) > 0 for run in watch(10))


@pytest.mark.parametrize("name", ["resnet50", "googlenet"])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_layers_sum_to_the_whole(name, mode):
    work = workload(name, batch=32, mode=mode)
    with work.ready():
        times = layer_times(work)
    assert abs(times.residual) < 0.001
    done = {row.name: row.forward.macs for row in times.rows if row.forward.macs}
    assert done == {row.name: row.macs for row in cost(name, batch=32).layers if row.macs}


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_memory_is_predicted(mode):
    work = workload("resnet50", batch=16, mode=mode)
    with work.ready():
        work.run()
        found = measured(work)
    expected = predicted(cost("resnet50", batch=16), work.setup)
    assert (found.weights, found.gradients, found.optimizer) == (
        expected.weights,
        expected.gradients,
        expected.optimizer,
    )
    if mode == "training":
        assert found.saved == pytest.approx(expected.saved, rel=0.05)
    assert found.peak > 0.95 * expected.peak  # and cuDNN's workspace, which may be more than all the rest


def test_the_ceilings_are_a_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bf16, fp32 = roof("cuda", "bf16"), roof("cuda", "fp32")
    assert bf16.flops_per_s > fp32.flops_per_s > 1e12
    assert bf16.bytes_per_s > 1e11
    here = environment("cuda")
    assert here.stable["gpu"] == torch.cuda.get_device_name(0)
    assert here.id == bf16.environment


def test_a_compiled_network_is_measured():
    reading = read(workload("resnet20", batch=8, runtime="compile"), SHORT)
    assert reading.queued
    assert reading.graph


def test_out_of_memory_is_one_line_and_the_other_rows_stay(tmp_path):
    command = [sys.executable, "-m", "resbench", "latency", "resnet50", "--device", "cuda", "--batch", "8,1000000"]
    command += ["--processes", "1", "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "take a smaller --batch" in done.stderr
    (row,) = json.loads(done.stdout)["latencies"]
    assert row["setup"]["batch"] == row["input"][0] == 8
    assert row["queued_s"] > 0


def test_a_gpu_that_is_not_there_is_one_line():
    with pytest.raises(MeasureError, match="counted from 0"):
        check_device(f"cuda:{torch.cuda.device_count()}")
