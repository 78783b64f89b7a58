"""How fast the counting is: the fold in-process, and the whole command.

pytest suites/bench_counting.py --benchmark-enable --benchmark-only -s
"""

import shutil
import statistics
import subprocess
import sys
import time

import pytest

from resbench.arch.catalog import architecture

COMMANDS = {
    "resbench flops": [sys.executable, "-m", "resbench", "flops", "--model", "resnet50"],
    "import torch": [sys.executable, "-c", "import torch"],
}


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


@pytest.mark.benchmark(group="process")
def test_process(benchmark):
    """The whole command beside `import torch`, in turn; the figure is the median ratio over the pairs."""
    seconds = {name: [] for name in COMMANDS}

    def pair():
        for name in sorted(COMMANDS, reverse=len(seconds["import torch"]) % 2 == 1):
            start = time.perf_counter()
            subprocess.run(COMMANDS[name], check=True, stdout=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)

    benchmark.pedantic(pair, rounds=15, warmup_rounds=1)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)][1:]
    median, tenths = statistics.median(ratios), statistics.quantiles(ratios, n=10)
    benchmark.extra_info.update(ratio_median=median, ratio_p10=tenths[0], ratio_p90=tenths[-1], pairs=len(ratios))
    print(f"\nresbench flops / import torch: {median:.3f} ({tenths[0]:.3f} to {tenths[-1]:.3f}), n {len(ratios)}")
    for name, command in COMMANDS.items():
        found = shutil.which("time", path="/usr/bin")  # GNU time; the shell's own has no memory
        if found:
            done = subprocess.run([found, "-f", "%M", *command], check=True, capture_output=True, text=True)
            peak = int(done.stderr.split()[-1]) / 1024
            benchmark.extra_info[f"peak_mib {name}"] = peak
            print(f"{name}: peak {peak:.1f} MiB")
