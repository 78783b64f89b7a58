"""Counters of a run on an NVIDIA GPU."""

import pytest
import torch
from torch import nn

from resbench.counters.watch import count
from resbench.networks.build import build
from resbench.workers.workload import Setup, Workload

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def counted(model, shape, **setup):
    work = Workload(model, shape, Setup("cuda", **setup))
    with work.ready():
        return count(work, graph=False)


def test_two_relus_are_two_kernels():
    assert counted(nn.Sequential(nn.ReLU(), nn.ReLU()), (2, 3, 8, 8)).totals["kernels"] == 2


def test_a_value_brought_to_the_host_is_seen():
    class Net(nn.Module):
        def forward(self, x):
            return x * x.mean().item()

    assert counted(Net(), (2, 3, 8, 8)).totals["syncs"] == 1


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_two_runs_count_the_same(mode, dtype):
    net = build("resnet20")
    one, two = (counted(net, (4, 3, 32, 32), mode=mode, dtype=dtype) for _ in range(2))
    assert one == two


def test_the_work_of_a_step_is_that_on_the_cpu():
    def macs(device):
        work = Workload(build("resnet20"), (4, 3, 32, 32), Setup(device, mode="training"))
        with work.ready():
            totals = count(work, graph=False).totals
        return totals["macs"], totals["macs_backward"]

    assert macs("cuda") == macs("cpu")
