"""What the gate runs of deployed networks: a residual network in two runtimes, which fuse its sums differently.

resbench gate --suite suites/deployed.toml --counters
resbench gate main --suite suites/deployed.toml

It stands apart from `bench_gate.py`, whose counters have to hold on every machine.
"""

import pytest


@pytest.mark.benchmark(group="deployed")
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_deployed(resbench, runtime):
    resbench("resnet20", runtime=runtime)
