"""Can the latencies be trusted? Closure of the layers, agreement with torch's timer, coverage of the interval.

    pytest suites/bench_latency.py --benchmark-enable --benchmark-only -s            some 15 minutes on two cores
    RESBENCH_RERUNS=50 pytest suites/bench_latency.py -k coverage ...                some 20 minutes more

On a machine with an NVIDIA GPU the same cells run there too.
"""

import os
import statistics
from itertools import product

import pytest
import torch
from torch.utils.benchmark import Timer

import resbench
from resbench.arch.catalog import entries
from resbench.codec import encoded
from resbench.costs.measure import cost
from resbench.networks.load import load
from resbench.timing.layers.measure import layer_times
from resbench.workers import stopwatch
from resbench.workers.environment import environment
from resbench.workers.medians import blocks, half_width
from resbench.workers.sampling import Rules, warm_up
from resbench.workers.workload import Setup, Workload

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
NETWORKS = ["plain34", "resnet50", "preact_resnet50", "resnext50_32x4d", "googlenet"]
BLOCKS = ["plain_block", "basic_block", "bottleneck_block", "preact_basic_block", "resnext_block", "inception_a"]


def workload(name, setup, input=None):
    loaded = load(name, input)
    return Workload(loaded.module, loaded.arguments(setup.batch), setup)


def describe(benchmark, name, work, **more):
    report = cost(name, batch=work.setup.batch)
    here = environment(work.setup.device)
    benchmark.extra_info.update(params=report.params, macs=report.macs, environment=encoded(here), **more)


@pytest.mark.benchmark(group="closure: do the layers sum to the whole, and what do the instruments cost?")
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("device", DEVICES)
def test_closure(benchmark, device, name, mode, dtype, layout):
    setup = Setup(device, 4 if device == "cpu" else 32, dtype, layout, mode)
    work = workload(name, setup)
    with work.ready():
        warm_up(stopwatch.eager(work), Rules(warmup_s=0.5))
        times = benchmark.pedantic(layer_times, (work,), rounds=1)
        overheads = list(times.overheads)
        while len(overheads) < 20 or (half_width(blocks(overheads)) > 0.01 and len(overheads) < 60):
            overheads += layer_times(work).overheads
    overhead, half = statistics.median(overheads), half_width(blocks(overheads))
    describe(benchmark, name, work, residual=times.residual, overheads=overheads, total_s=times.total_s)
    print(
        f"\n{device} {name} {mode} {dtype} {layout} batch {setup.batch}: residual {times.residual:.1e}, instrumented "
        f"against plain {overhead:+.2%} +- {half:.2%} (n {len(overheads)}), {times.total_s * 1e3:.2f} ms"
    )
    assert abs(times.residual) < 0.001


SHAPES = {"plain_block": ["64x56x56", "64x28x28"], "basic_block": ["64x56x56", "64x28x28"]}
SHAPES |= {"bottleneck_block": ["256x56x56", "256x28x28"], "preact_basic_block": ["64x56x56", "64x28x28"]}
SHAPES |= {"resnext_block": ["256x56x56", "256x28x28"], "inception_a": ["192x35x35", "192x17x17"]}
CELLS = list(product(BLOCKS, (0, 1), ("fp32", "bf16"), (1, 2, 4)))


@pytest.mark.benchmark(group="agreement: ours / torch.utils.benchmark.Timer, in turn")
@pytest.mark.parametrize(("name", "shape", "dtype", "batch"), CELLS)
@pytest.mark.parametrize("device", DEVICES)
def test_agreement(benchmark, device, name, shape, dtype, batch):
    size = SHAPES[name][shape]
    work = workload(name, Setup(device, batch, dtype), size)
    timer = Timer("run()", globals={"run": work.run}, num_threads=torch.get_num_threads())
    with work.ready():
        ours = stopwatch.eager(work)
        warm_up(ours, Rules(warmup_s=0.3, warmup_cap_s=2))
        once = statistics.median(sum(run) for run in ours(10))
        number = max(5, int(0.02 / once))
        ratios = []

        def pair():
            theirs = timer.timeit(number).mean if len(ratios) % 2 else None
            mine = statistics.mean(sum(run) for run in ours(number))
            ratios.append(mine / (theirs or timer.timeit(number).mean))

        benchmark.pedantic(pair, rounds=31)
    median, tenths = statistics.median(ratios), statistics.quantiles(ratios, n=10)
    describe(benchmark, name, work, ratio_median=median, ratios=ratios)
    print(
        f"\n{device} {name} {size} {dtype} batch {batch}: ours / Timer {median:.3f} ({tenths[0]:.3f} to "
        f"{tenths[-1]:.3f}, n {len(ratios)}), {once * 1e6:,.0f} us"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="triton's timer is for GPUs")
@pytest.mark.benchmark(group="agreement: ours / triton.testing.do_bench, in turn, caches overwritten by both")
@pytest.mark.parametrize(
    ("name", "shape", "dtype", "batch"), list(product(BLOCKS, (0, 1), ("fp32", "bf16"), (8, 32, 64)))
)
def test_agreement_with_triton(benchmark, name, shape, dtype, batch):
    do_bench = pytest.importorskip("triton.testing").do_bench
    work = workload(name, Setup("cuda", batch, dtype, cache="cold"), SHAPES[name][shape])
    with work.ready():
        ours = stopwatch.eager(work)
        warm_up(ours, Rules(warmup_s=0.3, warmup_cap_s=2))
        ratios = []

        def pair():
            theirs = do_bench(work.run, warmup=5, rep=20, return_mode="median") / 1e3
            ratios.append(statistics.median(sum(run) for run in ours(20)) / theirs)

        benchmark.pedantic(pair, rounds=15)
    median, tenths = statistics.median(ratios), statistics.quantiles(ratios, n=10)
    describe(benchmark, name, work, ratio_median=median, ratios=ratios)
    print(
        f"\ncuda {name} {SHAPES[name][shape]} {dtype} batch {batch}: ours / do_bench {median:.3f} ({tenths[0]:.3f} to "
        f"{tenths[-1]:.3f}, n {len(ratios)})"
    )


@pytest.mark.benchmark(group="coverage: does the interval hold what a rerun would find?")
@pytest.mark.parametrize("threads", [1, None])
@pytest.mark.parametrize("name", ["resnet20"])
@pytest.mark.parametrize("device", DEVICES)
def test_coverage(benchmark, device, name, threads):
    reruns = int(os.environ.get("RESBENCH_RERUNS", "0"))
    if not reruns:
        pytest.skip("RESBENCH_RERUNS=50 asks for it: it takes some 10 minutes")
    found = []

    def rerun():
        found.extend(resbench.latency(name, device=device, threads=threads).latencies)

    benchmark.pedantic(rerun, rounds=reruns)
    pooled = statistics.median(total for one in found for total in one.totals)
    held = sum(abs(one.median_s - pooled) <= one.half_width_s for one in found)
    widths = [one.half_width_s / one.median_s for one in found]
    benchmark.extra_info.update(covered=held, reruns=len(found), medians=[one.median_s for one in found], widths=widths)
    print(
        f"\n{device} {name}, {threads or torch.get_num_threads()} threads: the interval of {held} of {len(found)} "
        "reruns holds the pooled median "
        f"{pooled * 1e3:.3f} ms; half-width {statistics.median(widths):.2%} (median)"
    )


@pytest.mark.benchmark(group="latency of blocks and networks")
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", [n for n, e in entries().items() if e.family == "block"] + NETWORKS)
@pytest.mark.parametrize("device", DEVICES)
def test_latency(benchmark, device, name, mode):
    work = workload(name, Setup(device, 1 if device == "cpu" else 32, mode=mode))
    with work.ready():
        warm_up(stopwatch.eager(work), Rules(warmup_s=0.3, warmup_cap_s=3))

        def run():
            work.run()
            if device == "cuda":
                torch.cuda.synchronize()

        benchmark.pedantic(run, rounds=20)
    describe(benchmark, name, work)
