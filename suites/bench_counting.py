"""How fast the counting is: the fold in-process, and the whole command.

pytest suites/bench_counting.py --benchmark-enable --benchmark-only
"""

import subprocess
import sys

import pytest

from resbench.arch.catalog import architecture

RESBENCH = [sys.executable, "-m", "resbench", "flops", "--model", "resnet50"]


@pytest.mark.benchmark(group="fold")
@pytest.mark.parametrize("name", ["resnet50", "googlenet", "inception_v3", "resnet1202"])
def test_fold(benchmark, name):
    net = architecture(name)
    report = benchmark(net.cost)
    benchmark.extra_info.update(layers=len(report.layers), params=report.params, macs=report.macs)


@pytest.mark.benchmark(group="name to expression")
@pytest.mark.parametrize("name", ["resnet50", "googlenet", "resnet1202"])
def test_architecture(benchmark, name):
    benchmark(architecture, name)


@pytest.mark.benchmark(group="process", warmup=True, min_rounds=9)
@pytest.mark.parametrize(
    "command", [RESBENCH, [sys.executable, "-c", "import torch"]], ids=["resbench flops", "import torch"]
)
def test_process(benchmark, command):
    benchmark(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)
    peak = ["/usr/bin/time", "-f", "%M", *command]
    try:
        done = subprocess.run(peak, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        benchmark.extra_info["peak_kib"] = int(done.stderr.split()[-1])
    except FileNotFoundError:
        pass  # GNU time is not everywhere; the timing stands without it
