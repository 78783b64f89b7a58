"""Ours against theirs, interleaved in one run: a built ResNet-50 and torchvision's; a traced forward and a bare one.

    pytest suites/bench_networks.py --benchmark-enable --benchmark-only -s

Each benchmark is a pair A B or B A in turn; the figure is the median of A/B over the pairs.
"""

import os
import statistics
import subprocess
import sys
import time

import pytest
import torch
from zoos import import_torchvision

from resbench.networks.build import build
from resbench.networks.load import load
from resbench.networks.weights import load_weights

try:
    import_torchvision()
except (ModuleNotFoundError, RuntimeError):
    pytest.skip("torchvision is not here", allow_module_level=True)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved(benchmark, ours, theirs, pairs):
    """Time pairs in alternating order; keep and print the ratio ours / theirs."""
    ratios = []

    def pair():
        if len(ratios) % 2:
            b, a = seconds(theirs), seconds(ours)
        else:
            a, b = seconds(ours), seconds(theirs)
        ratios.append(a / b)

    benchmark.pedantic(pair, rounds=pairs, warmup_rounds=2)
    report(benchmark, ratios[2:])


def report(benchmark, ratios):
    median, tenths, n = statistics.median(ratios), statistics.quantiles(ratios, n=10), len(ratios)
    benchmark.extra_info.update(ratio_median=median, ratio_p10=tenths[0], ratio_p90=tenths[-1], pairs=n)
    print(f"\n{benchmark.name}: ours / theirs {median:.3f} ({tenths[0]:.3f} to {tenths[-1]:.3f}), n {n}")


@pytest.mark.benchmark(group="ResNet-50 beside torchvision's")
@pytest.mark.parametrize("mode", ["forward", "forward and backward"])
def test_built_against_torchvision(benchmark, mode):
    theirs = load("torchvision:resnet50").module
    ours = load_weights(build("resnet50"), theirs.state_dict())
    x = torch.randn(4, 3, 224, 224)

    def step(net):
        if mode == "forward":
            with torch.no_grad():
                return lambda: net(x)
        return lambda: net(x).sum().backward()

    if mode == "forward":
        ours.eval()
        theirs.eval()
    with torch.set_grad_enabled(mode != "forward"):
        interleaved(benchmark, step(ours), step(theirs), pairs=40 if mode == "forward" else 24)


# A process of its own, as a command is: under a deep stack CPython 3.11 allocates a chunk of its data stack anew at
# every call that crosses the chunk's end, which can double either side of a pair, depending on the depth alone.
PAIRS = """
import time, torch
from zoos import import_torchvision
import_torchvision()
from resbench.costs.trace import trace
from resbench.networks.load import load
loaded = load("torchvision:{name}", device="meta")
net, shape = loaded.module.eval(), (1, *loaded.input)
x = torch.empty(shape, device="meta")
for _ in range(34):
    start = time.perf_counter()
    trace(net, shape)
    middle = time.perf_counter()
    with torch.no_grad():
        net(x)
    print((middle - start) / (time.perf_counter() - middle))
"""

PEAK = """
import re, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from zoos import import_torchvision
import_torchvision()
from resbench.costs.measure import cost
cost("torchvision:{name}")
status = Path("/proc/self/status")  # ru_maxrss would remember the process that started this one
print(int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) // 1024 if status.exists() else 0)
"""


def fresh(code):
    environment = {**os.environ, "PYTHONPATH": "tests"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.split()


@pytest.mark.benchmark(group="tracing beside a bare forward on meta")
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "googlenet", "densenet121", "vit_b_16"])
def test_trace_against_bare_forward(benchmark, name):
    ratios = benchmark.pedantic(fresh, (PAIRS.format(name=name),), rounds=1)
    report(benchmark, [float(ratio) for ratio in ratios[4:]])


@pytest.mark.benchmark(group="a process that traces")
@pytest.mark.parametrize("name", ["resnet50", "vit_h_14", "regnet_y_128gf", "convnext_large", "maxvit_t"])
def test_process_that_traces(benchmark, name):
    (peak,) = benchmark.pedantic(fresh, (PEAK.format(name=name),), rounds=3)
    benchmark.extra_info["peak_mib"] = int(peak)
    print(f"\n{benchmark.name}: peak {peak} MiB")
