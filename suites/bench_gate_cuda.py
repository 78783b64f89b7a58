"""What the gate runs on an NVIDIA GPU: the networks and the step of `bench_gate.py`, large enough to fill it.

resbench gate --suite suites/cuda.toml --counters
resbench gate main --suite suites/cuda.toml
"""

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.benchmark(group="networks on CUDA")
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_cuda_network(resbench, dtype):
    resbench("resnet50", batch=32, dtype=dtype, memory_format="channels_last", device="cuda")


@pytest.mark.benchmark(group="training step on CUDA")
@pytest.mark.parametrize("name", ["resnet56", "preact_resnet56"])
def test_cuda_step(resbench, name):
    resbench(name, batch=128, mode="training", device="cuda")


@pytest.mark.benchmark(group="blocks on CUDA")
def test_cuda_block(resbench):
    resbench("bottleneck_block", batch=32, device="cuda")
