"""Gradient flow on an NVIDIA GPU."""

import copy
import subprocess
import sys

import pytest
import torch

from resbench.data import load_images
from resbench.gradients.measure import flow
from resbench.gradients.probe import GradientProbe
from resbench.gradients.result import FlowRecipe
from resbench.networks.build import build

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def batch():
    x, labels = load_images("digits").batch(32, 0, 0, (3, 32, 32))
    return x.cuda(), labels.cuda()


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_observing_waits_for_nothing():
    model = build("resnet20", device="cuda").train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    probe = GradientProbe(model, every=2)
    x, labels = batch()

    def step():
        loss = torch.nn.functional.cross_entropy(probe(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        probe.read(0.1)

    step()
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        for _ in range(4):
            step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert {row.step for row in probe.rows} == {0, 2, 4}


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20", "plain20"])
def test_training_with_the_probe_is_bit_for_bit_training_without(name):
    x, labels = batch()
    plain = build(name, device="cuda").train()
    probed = copy.deepcopy(plain)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for model, run in ((plain, plain), (probed, GradientProbe(probed))):
            optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
            for _ in range(2):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(run(x), labels).backward()
                optimizer.step()
                if run is not model:
                    run.read(0.1)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, probed.state_dict()[key]), key


def test_the_gpu_finds_what_the_cpu_finds():
    images = load_images("digits")
    here, there = (flow("resnet20", images, FlowRecipe(steps=(0,), seeds=1, device=d)) for d in ("cpu", "cuda"))
    for a, b in zip(here.rows, there.rows, strict=True):
        assert (a.name, a.statistic) == (b.name, b.statistic)
        assert b.value == pytest.approx(a.value, rel=0.05, abs=0.02)


def test_the_command_runs_there():
    command = [sys.executable, "-m", "resbench", "gradflow", "plain56", "resnet56", "--device", "cuda"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "plain56: exploding at step 0" in done.stdout
