"""What needs an NVIDIA GPU: `make test-cuda`."""

import pytest
import torch

from resbench.arch.catalog import architecture
from resbench.costs.trace import trace
from resbench.networks.build import build
from resbench.workers.workload import repeatable

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

NETS = [
    "plain20",
    "resnet56",
    "preact_resnet20",
    "resnet50",
    "resnext50_32x4d",
    "googlenet",
    "inception_v3",
    "vgg11_bn",
]


@pytest.mark.parametrize("name", NETS)
def test_the_same_seed_gives_the_same_network_as_on_the_cpu(name):
    arch = architecture(name)
    here, there = build(arch, seed=1).eval(), build(arch, seed=1, device="cuda").eval()
    for a, b in zip(here.state_dict().values(), there.state_dict().values(), strict=True):
        assert torch.equal(a, b.cpu())
    x = torch.randn(2, *arch.input)
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False, deterministic=True):
        torch.testing.assert_close(there(x.cuda()).cpu(), here(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NETS)
def test_tracing_a_network_on_the_gpu_neither_moves_nor_runs_it(name):
    arch = architecture(name)
    net = build(arch, device="cuda")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated(), torch.cuda.get_rng_state()
    report = trace(net, (2, *arch.input))
    assert (report.params, report.macs) == (arch.cost(batch=2).params, arch.cost(batch=2).macs)
    assert torch.cuda.memory_allocated() == before[0]
    assert torch.equal(torch.cuda.get_rng_state(), before[1])


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20", "googlenet,norm=bn"])
def test_networks_compile_and_replay_from_a_graph(name):
    arch = architecture(name)
    net = build(arch, device="cuda").eval().to(memory_format=torch.channels_last)
    x = torch.randn(8, *arch.input, device="cuda").to(memory_format=torch.channels_last)
    torch.compiler.reset()
    with torch.no_grad(), repeatable("cuda"):
        y = net(x)
        torch.testing.assert_close(torch.compile(net, fullgraph=True)(x), y, rtol=1e-2, atol=1e-2)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            replayed = net(x)
        graph.replay()
        torch.testing.assert_close(replayed, y, rtol=1e-3, atol=1e-3)
