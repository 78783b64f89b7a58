"""What the gate of this project runs: blocks, networks, a training step, and the counting itself.

    pytest suites/bench_gate.py --benchmark-enable     benchmarks, with their counters in extra_info
    resbench gate --counters                           the counters against results/expectations/ci.json
    resbench gate main                                 counters and wall time against another revision

Each runs for some milliseconds on one core, so that a gate of 32 rounds takes minutes, and so that some of the runs
in a sample of 10 ms are not disturbed. Maps of 64x56x56 are too large for the second cache and small enough to be held
in part by it: one process in twenty was a quarter slower than the others, as its memory happened to lie. Half of that
side has no such processes.
"""

import pytest

from resbench.arch.catalog import architecture


@pytest.mark.benchmark(group="blocks")
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("basic_block", "64x28x28"),
        ("preact_basic_block", "64x28x28"),
        ("bottleneck_block", "256x28x28"),
        ("inception_a", "192x17x17"),
    ],
)
def test_block(resbench, name, size):
    resbench(name, size)


@pytest.mark.benchmark(group="networks")
def test_network(resbench):
    resbench("resnet20", memory_format="channels_last")


@pytest.mark.benchmark(group="training step")
@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_step(resbench, name):
    resbench(name, mode="training")


@pytest.mark.benchmark(group="counting")
def test_counting(resbench):
    net = architecture("resnet50")
    cost = net.cost()
    resbench(net.cost, counters={"layers": len(cost.layers), "cost_params": cost.params, "cost_macs": cost.macs})
