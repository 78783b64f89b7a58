"""What does observing a training step cost, and how long does the command take?

    pytest suites/bench_gradients.py --benchmark-enable --benchmark-only -s          some 5 minutes on two cores

On a machine with an NVIDIA GPU the same runs there too.
"""

import statistics
import subprocess
import sys
import time

import pytest
import torch

from resbench.codec import encoded
from resbench.costs.measure import cost
from resbench.data import load_images
from resbench.gradients.probe import GradientProbe
from resbench.networks.load import load
from resbench.workers.environment import environment

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def describe(benchmark, name, device, batch=1, **more):
    report, here = cost(name, batch=batch), encoded(environment(device))
    benchmark.extra_info.update(params=report.params, macs=report.macs, environment=here, **more)


@pytest.mark.benchmark(group="an observed training step / a plain one, in turn")
@pytest.mark.parametrize("name", ["plain56", "resnet56", "resnet18,classes=10,input=3x64x64"])
@pytest.mark.parametrize("device", DEVICES)
def test_probe(benchmark, device, name):
    size = 32 if "56" in name else 64
    x, labels = (t.to(device) for t in load_images("digits").batch(64, 0, 0, (3, size, size)))
    model = load(name).module.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), 1e-6, momentum=0.9)
    probe = GradientProbe(model)

    def step(run):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(run(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if run is probe:
            probe.read(1e-6)
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    ratios = []

    def pair():
        order = (probe, model) if len(ratios) % 2 else (model, probe)
        seconds = {id(run): step(run) for run in order}
        ratios.append(seconds[id(probe)] / seconds[id(model)])

    for _ in range(3):
        step(model), step(probe)
    benchmark.pedantic(pair, rounds=40)
    median, tenths = statistics.median(ratios), statistics.quantiles(ratios, n=10)
    describe(benchmark, name, device, 64, ratios=ratios)
    print(
        f"\n{device} {name} batch 64: observed / plain {median:.3f} ({tenths[0]:.3f} to {tenths[-1]:.3f}, "
        f"n {len(ratios)}); of every 8th step {(median - 1) / 8:.2%}, of every 64th {(median - 1) / 64:.2%}"
    )


@pytest.mark.benchmark(group="resbench gradflow plain56 resnet56, whole processes")
@pytest.mark.parametrize("steps", ["0", "0,1,5"])
@pytest.mark.parametrize("device", DEVICES)
def test_command(benchmark, device, steps):
    command = [
        sys.executable,
        "-m",
        "resbench",
        "gradflow",
        "plain56",
        "resnet56",
        "--steps",
        steps,
        "--device",
        device,
    ]

    def whole():
        subprocess.run(command, check=True, capture_output=True)

    benchmark.pedantic(whole, rounds=5)
    describe(benchmark, "resnet56", device)
    seconds = sorted(benchmark.stats.stats.data)
    print(
        f"\n{device} --steps {steps}: {statistics.median(seconds):.1f} s ({seconds[0]:.1f} to {seconds[-1]:.1f}, n 5)"
    )
