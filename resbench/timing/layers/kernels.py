"""In another runtime than torch's own a row is a kernel, under the names of the modules that it covers.

What the runtime puts in to lay numbers out anew is a row of type *added*; a kernel that nothing maps keeps its own
name; what passes between kernels is a row too. So the rows sum to the run. What multiplies in
a kernel that nothing tells is a row without a time: every MAC is in one row.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

from resbench.arch.rows import Cost
from resbench.codec import decoded
from resbench.costs.measure import cost
from resbench.errors import MeasureError
from resbench.graphs.counting import count
from resbench.graphs.fusion import HALF, Group, Kernel, by_module, by_node, groups, looking
from resbench.networks.load import load, result_name
from resbench.networks.name import ModelName
from resbench.progress import Progress, Step
from resbench.timing.case import Case
from resbench.timing.latency.processes import Processes, check_runtime
from resbench.timing.layers.result import BETWEEN, NOWHERE, Layers, LayerTime, LayerTimes
from resbench.timing.ran import Ran
from resbench.timing.roofline import roof_of
from resbench.timing.runtimes.runtime import runtime
from resbench.workers.environment import environment
from resbench.workers.medians import middle_half

ADDED, UNMAPPED = "added", "unmapped"

PAIRS, LEAST_S = 20, 2.0
"""Plain and watched runs take turns: at least so many, and for so long."""


def kernel_layers(case: Case, progress: Progress) -> Layers:
    """Measure the time of every kernel of one network in a runtime, in a process of its own.

    Raises MeasureError where the runtime does not tell the times of its kernels, or the network cannot be exported.
    """
    check_runtime(case.setup)
    if not case.setup.compile and not hasattr(runtime(case.setup.runtime), "watch"):
        raise MeasureError(f"{case}: {case.setup.runtime} does not tell the times of its kernels; leave --layers out")
    title = result_name(case.model, case.input)
    progress(Step(f"{title}: exporting, then plain and watched runs in turn"), 0.0)
    with TemporaryDirectory(prefix="resbench-") as place:
        found = Processes(Path(place), 1, pinned=True).watched(case, PAIRS, LEAST_S)
        if "error" in found:
            raise MeasureError(found["error"])
        products = sorted(found["executed"].items(), key=lambda one: -one[1])
        ran = Ran(tuple(products), "cpu", (found["threads"],), found["threads"], "", case.setup.compile)
        kernels = [decoded(Kernel, one) for one in found["kernels"]]
        if case.setup.compile:
            counted = cost(case.model, case.input, batch=case.setup.batch)
            run = groups(counted, kernels, by_module(counted), width=HALF.get(ran.dtype))
        else:
            graph = load(ModelName.parse(f"onnx:{found['file']}")).sized(case.setup.batch)
            counted = count(graph)
            run = groups(counted, kernels, by_node(graph), looking(graph), width=HALF.get(ran.dtype))
        times = _times(found, kernels, run, left_over(counted, run))
    return Layers(
        title, times, roof_of(ran, progress), case.setup, environment().on(found["threads"]), ran, found["others"]
    )


def _times(
    found: dict[str, Any], kernels: Sequence[Kernel], covered: Sequence[Group], beyond: Sequence[LayerTime]
) -> LayerTimes:
    """Make a row for each kernel, of means over the typical watched runs, before those beyond."""
    pairs = found["pairs"]
    plain_s, watched_s = zip(*pairs, strict=True)
    means = len(found["times"]) == 1  # of all runs, so that the whole has to be one of all runs too
    typical = range(len(pairs)) if means else middle_half(watched_s)
    total_s = mean(watched_s[i] for i in typical)
    rows = [
        _row(kernel, group, mean(found["times"][0 if means else run][i] for run in typical))
        for i, (kernel, group) in enumerate(zip(kernels, covered, strict=True))
    ]
    left = total_s - sum(row.forward_s for row in rows)
    rows += [*beyond, LayerTime(BETWEEN, "", left, None, 0, 0)]
    return LayerTimes(
        tuple(rows),
        None,
        total_s,
        mean(plain_s[i] for i in (typical if means else middle_half(plain_s))),
        tuple(watched / plain - 1 for plain, watched in pairs),
        typical=not means,
    )


def left_over(counted: Cost, covered: Sequence[Group]) -> list[LayerTime]:
    """Make a row without a time for each layer that multiplies in no kernel that is known."""
    known = {place for group in covered for place in group.rows}
    left = [row for place, row in enumerate(counted.layers) if row.macs and place not in known]
    return [LayerTime(row.name, NOWHERE, 0.0, None, row.macs, 0) for row in left]


def _row(kernel: Kernel, group: Group, seconds: float) -> LayerTime:
    """Make the row of a kernel; where it covers no module it keeps its own name."""
    if group.name:
        return LayerTime(group.name, kernel.operator, seconds, None, group.macs, group.bytes)
    kind = f"{kernel.operator}, {ADDED if kernel.added else UNMAPPED}"
    return LayerTime(kernel.name, kind, seconds, None, 0, 0)
