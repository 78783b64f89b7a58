"""A suite that names a runtime: what is counted of it, where that holds, and that the duel times it."""

import json
import os
import re
import subprocess
import sys

import onnx
import pytest
import ready
from commands import called
from pockets import RIGHT, pocket
from projects import BENCH, BLOCK
from torch import nn

from resbench.counters.counts import Counted
from resbench.errors import MeasureError, OptionError
from resbench.graphs.counting import count
from resbench.graphs.reading import read
from resbench.regression.duel import ARMS, one_round
from resbench.regression.expectations import SuiteCounts, load, meant, over, store
from resbench.regression.process import Side
from resbench.regression.samples import SAMPLES, counted, workload
from resbench.regression.suite import read as suite_of

DEPLOYED = """
def test_deployed(resbench):
    resbench(Block(), (2, 8, 16, 16), runtime="onnxruntime", threads=1)
"""

POCKET = DEPLOYED.replace("onnxruntime", "pocket")

UNFUSED = BLOCK.replace("nn.ReLU(inplace=True)", "nn.GELU()")
"""ONNX Runtime computes a ReLU in the convolution before it, and a GELU in a kernel of its own."""

GROUP = "test_deployed,conv + relu,kernels Conv,1,,"


class Residual(nn.Module):
    """It computes relu(conv2(relu(conv1(x))) + x), or adds x behind the last ReLU."""

    def __init__(self, last_sum=False):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(8, 8, 3, padding=1, bias=False) for _ in range(2))
        self.relu1, self.relu2, self.last_sum = nn.ReLU(), nn.ReLU(), last_sum

    def forward(self, x):
        y = self.conv2(self.relu1(self.conv1(x)))
        return self.relu2(y) + x if self.last_sum else self.relu2(y + x)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of packages, which this process and those that it starts find."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("pocket", None)


def kernels_of(net, runtime, shape=(2, 8, 16, 16)):
    """The counters by layer, as the fixture counts them, and the file that was exported."""
    work = workload(net, shape, {"runtime": runtime, "threads": 1})
    with work.ready():
        found = counted(work, {})
        return found, onnx.load(work.file), count(read(work.file).sized({}))


def test_a_fusion_that_is_lost_is_a_change_of_the_group_that_it_made(project):
    project.write(bench=DEPLOYED.replace("def", "from block import Block\n\ndef", 1))
    assert project.gate("--update").returncode == 0
    assert json.loads((project.root / "suites/expectations/ci.json").read_text())["runtimes"].popitem()[1] == [
        "test_deployed"
    ]
    project.commit()
    project.write(block=UNFUSED)
    done = project.gate("--counters", "--format", "csv")
    assert done.returncode == 1
    for line in (GROUP, "test_deployed,conv,kernels Conv,,1,", "test_deployed,relu,kernels Gelu,,1,"):
        assert line in done.stdout
    between = project.gate("main", "--time-budget", "0.1s", "--format", "csv")
    assert between.returncode == 1
    assert GROUP in between.stdout
    assert project.left()[:2] == ([], 0)


@pytest.mark.parametrize(("runtime", "fused"), [("onnxruntime", "Conv"), ("openvino", "Convolution")])
def test_what_is_counted_is_what_the_file_and_the_runtime_hold(runtime, fused):
    found, file, cost = kernels_of(Residual(), runtime)
    totals = found.totals
    assert totals["macs"] == cost.macs == 2 * 2 * 16 * 16 * 8 * 8 * 9
    assert totals["params"] == cost.params == 2 * 8 * 8 * 9
    assert totals["nodes"] == len(file.graph.node) == sum(v for k, v in totals.items() if k.startswith("nodes "))
    assert totals["kernels"] == sum(value for name, value in totals.items() if "kernels " in name)
    assert totals[f"kernels {fused}"] == 2
    assert "operators" not in totals  # of torch's it runs none, which is not zero
    assert not any(name.startswith("unmapped") for name in totals)


def test_a_sum_that_moves_out_of_openvinos_convolution_leaves_its_group():
    inside, moved = (kernels_of(Residual(last_sum), "openvino")[0].layers for last_sum in (False, True))
    assert inside["conv2 + add + relu2"] == {"kernels Convolution": 1}
    assert "conv2 + add + relu2" not in moved
    assert moved["conv2 + relu2"] == {"kernels Convolution": 1}
    assert moved[""]["kernels"] == inside[""]["kernels"] + 1


def test_it_counts_the_same_again():
    one, other = (kernels_of(Residual(), "onnxruntime")[0] for _ in range(2))
    assert one == other


def test_kernels_of_another_version_are_not_compared_and_the_other_benchmarks_are(project, site):
    pocket(site)
    project.write(bench=BENCH + POCKET)
    assert project.gate("--update").returncode == 0
    pocket(site, version="0.6")
    project.write(block=BLOCK.replace("bias=False", "bias=True"))
    done = project.gate("--counters")
    assert done.returncode == 1
    assert re.search(r"test_deployed was counted with pocket 0\.5, \w+, here is pocket 0\.6, \w+: not", done.stdout)
    assert re.search(r"^test_block +conv +params +576 +584", done.stdout, re.MULTILINE)
    project.write(block=BLOCK)
    done = project.gate("--counters")
    assert done.returncode == 2
    assert "equal in 1 benchmark\n" in done.stdout
    assert "not compared; take that one, or `resbench gate --update` and review\n" in done.stdout
    assert "Parameters and MACs alone are counted in test_deployed: pocket 0.6, " in done.stdout


def test_the_duel_times_what_one_process_has_exported(project, site):
    pocket(site)
    project.write(bench=BENCH + POCKET)
    exports = project.tmp / "exports"
    sides = dict.fromkeys(ARMS, Side("head", "here", project.root, ours=False, exports=exports))
    suite = suite_of(project.root, (project.root / "suites/ci.toml").relative_to(project.root))
    times = one_round(sides, suite, {"test_deployed": list(ARMS)})
    assert {arm: len(samples) for arm, samples in times["test_deployed"].items()} == dict.fromkeys(ARMS, SAMPLES)
    [file] = exports.rglob("network.pt")
    written = file.stat().st_mtime_ns
    one_round(sides, suite, {"test_deployed": list(ARMS)})
    assert file.stat().st_mtime_ns == written


def test_alone_it_is_a_benchmark_of_pytest_benchmark(site, tmp_path):
    pocket(site)
    (tmp_path / "block.py").write_text(BLOCK)
    (tmp_path / "bench_it.py").write_text("from block import Block\n" + POCKET)
    command = [ready.python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "bench_it.py", "--benchmark-json", "a"]
    options = ["--benchmark-max-time", "0.05", "--benchmark-min-rounds", "3"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run([*command, *options], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    [one] = json.loads((tmp_path / "a").read_text())["benchmarks"]
    assert one["extra_info"]["counters"] == {"params": 576, "macs": 2 * 8 * 8 * 9 * 256}
    (tmp_path / "b").write_text(
        (tmp_path / "a").read_text().replace("pocket 0.5", "pocket 0.6").replace(": 576", ": 5")
    )
    compared = called("compare-runs", tmp_path / "a", tmp_path / "b")
    assert compared.returncode == 2
    assert re.search(r"counted with pocket 0\.5, \w+ and with pocket 0\.6, \w+: its counters", compared.stdout)


def test_a_wrong_answer_is_not_timed(site):
    pocket(site, f"{RIGHT} * 1.5")
    work = workload(nn.Conv2d(3, 4, 3), (1, 3, 8, 8), {"runtime": "pocket"})
    with work.ready(), pytest.raises(MeasureError, match="its answers differ from those of eager fp32"):
        work.run()


REFUSED = {
    "onxruntime": ("no runtime is called 'onxruntime'; did you mean onnxruntime", {}),
    "onnxruntime": ("onnxruntime is measured with --mode inference; received training", {"mode": "training"}),
    "openvino": ("compile=True is short for runtime='compile': expected one of them", {"compile": True}),
}


@pytest.mark.parametrize("runtime", REFUSED)
def test_what_a_runtime_cannot_do_is_refused(runtime):
    said, more = REFUSED[runtime]
    with pytest.raises(OptionError, match=said):
        workload(nn.Conv2d(3, 4, 3), (1, 3, 8, 8), {"runtime": runtime, **more})


def test_a_function_cannot_be_exported():
    with pytest.raises(OptionError, match="a function cannot be exported for onnxruntime"):
        workload(lambda: 1, None, {"runtime": "onnxruntime"})


FUSED = {"": {"kernels": 1}, "conv + relu": {"kernels Conv": 1}}


def of(runtime, layers=FUSED):
    return SuiteCounts("2.13", {"test_a": Counted(layers, runtime), "test_b": Counted({"": {"aten.add": 1}})})


def test_expectations_explain_only_what_the_same_version_counted():
    one, other = of("onnxruntime 1.32.0, AVX512"), of("onnxruntime 1.32.0, AVX2")
    assert meant(one, one) == {"test_a", "test_b"}
    assert meant(one, other) == {"test_b"}
    assert meant(one, of("onnxruntime 1.32.0, AVX512", {"conv": {"kernels Conv": 1}})) == {"test_b"}


def test_expectations_hold_the_runtime_of_those_that_have_one(tmp_path):
    stored = of("onnxruntime 1.32.0, AVX512")
    store(tmp_path / "ci.json", stored)
    assert load(tmp_path / "ci.json").benchmarks == stored.benchmarks
    assert json.loads((tmp_path / "ci.json").read_text())["runtimes"] == {"onnxruntime 1.32.0, AVX512": ["test_a"]}
    store(tmp_path / "ci.json", of(""))
    assert "runtimes" not in (tmp_path / "ci.json").read_text()


def test_a_limit_holds_for_kernels_that_may_not_be_there():
    counts = of("onnxruntime 1.32.0, AVX512")
    limits = {"test_a": {"kernels": 0, "kernels Conv": 0, "added kernels ReorderInput": 0}}
    assert [one.counter for one in over(limits, counts)] == ["kernels", "kernels Conv"]
