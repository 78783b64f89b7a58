"""What `compare` and `report` measure themselves, as the commands of their own do by default. Exit 130 on Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from resbench.cli.options import progress
from resbench.cli.training import FOLDER, bar, running
from resbench.stored import Claims, Flows, Trainings
from resbench.timing.latency.result import Latencies
from resbench.timing.layers.result import Layers
from resbench.timing.replicas import PROCESSES

if TYPE_CHECKING:
    from resbench.errors import Failures
    from resbench.gradients.result import Flow
    from resbench.timing.latency.measure import Latency
    from resbench.timing.replicas import Cell, Outcome
    from resbench.timing.roofline import Roof


def measured(cells: Sequence[Cell], processes: int = PROCESSES) -> tuple[Latencies | None, Outcome]:
    """The latencies of cells on one device, with the ceilings of what ran; None where nothing could be measured."""
    from resbench.timing.replicas import measure
    from resbench.timing.roofline import roof
    from resbench.workers.environment import environment

    first = cells[0].setup
    with first.applied():
        progress(f"the machine's ceilings in {first.dtype} (kept for the next time)")
        asked = roof(first.device, first.dtype)  # what the device cannot do is said before anything is measured
        here = environment(first.device)
    outcome = measure(cells, processes, progress)
    if not outcome.latencies:
        return None, outcome
    return Latencies(outcome.latencies, ceilings(outcome.latencies, asked), outcome.latencies[0].where(here)), outcome


def ceilings(latencies: Sequence[Latency], asked: Roof) -> dict[str, Roof]:
    """Of everything that ran, as far as there are any: by dtype, and by threads too where there are several of one."""
    from resbench.timing.roofline import roof_of

    found = {asked.dtype: asked}
    if not any(one.roof(found) for one in latencies):
        found.clear()
    for ran in dict.fromkeys(one.ran for one in latencies if one.ran and not one.roof(found)):
        progress(f"the machine's ceilings in {ran.dtype} (kept for the next time)")
        ceiling = roof_of(ran)
        if ceiling and ceiling not in found.values():
            found[ceiling.dtype if ceiling.dtype not in found else f"{ceiling.dtype}, {ran.threads_words}"] = ceiling
    return found


def latencies(names: Sequence[str], input: str | None, batch: int, device: str, failures: Failures) -> Latencies | None:
    """`resbench latency`; None where nothing could be measured."""
    from resbench.timing.replicas import Cell
    from resbench.workers.workload import Setup

    found, outcome = measured([Cell(name, input, Setup(device, batch)) for name in names])
    if outcome.interrupted:
        raise typer.Exit(130)
    for reason in outcome.failures:
        failures.add(reason, reason)
    return found


def layers(name: str, input: str | None, batch: int, device: str) -> Layers:
    """`resbench latency --layers`."""
    from resbench.timing.replicas import Cell
    from resbench.workers.workload import Setup

    return layers_of(Cell(name, input, Setup(device, batch)))


def layers_of(cell: Cell) -> Layers:
    """The layers of one cell, in this process."""
    from resbench.timing.layers.measure import layer_times
    from resbench.timing.ran import observed
    from resbench.timing.replicas import one_line, workload
    from resbench.timing.roofline import roof_of
    from resbench.workers.environment import environment
    from resbench.workers.sampling import Rules, warm_up
    from resbench.workers.stopwatch import eager

    work, name = workload(cell)
    with one_line(cell), work.ready():
        progress(f"{name}: warming up, then plain and instrumented runs in turn")
        warm_up(eager(work), Rules())
        times = layer_times(work)
        ran, here = observed(work), environment(work.setup.device)
        progress(f"the machine's ceilings in {ran.dtype} (kept for the next time)")
        ceiling = roof_of(ran)
    progress("")
    return Layers(name, times, ceiling, work.setup, here.where(threads=ran.threads[0]), ran)


def flows(
    names: Sequence[str], input: str | None, device: str, failures: Failures, steps: tuple[int, ...] = (0, 1, 5)
) -> Flows | None:
    """`resbench gradflow`, on digits; None where no network could be observed."""
    from resbench.data import load_images
    from resbench.gradients.measure import Recipe, flow
    from resbench.gradients.verdicts import Thresholds, verdicts
    from resbench.workers.environment import environment
    from resbench.workers.workload import check_device

    check_device(device)
    limits, recipe, images = Thresholds(), Recipe(steps=steps, device=device), load_images("digits")

    def observed(name: str) -> Flow:
        found = flow(name, images, recipe, input=input, progress=progress)
        if found.interrupted:
            raise typer.Exit(130)
        return found

    found = failures.each(names, observed)
    said = [verdicts(one, limits) for one in found]
    return Flows(found, said, recipe, "digits", limits.line, environment(device)) if found else None


def trainings(names: Sequence[str], device: str, failures: Failures) -> Trainings | None:
    """`resbench degradation`, on digits, under the names that were asked for; None where none could be trained."""
    from resbench.networks.load import result_name
    from resbench.training.degradation import DIGITS_CLASSES, Plan, gaps, study
    from resbench.training.precision import precision
    from resbench.workers.environment import environment

    options = running(device, False, 0, FOLDER, None)
    progress("")
    with bar(options) as moved:
        outcome = study(names, Plan(dtype=precision(options.device)), options, moved, failures)
    if not outcome.results:
        return None
    if not all(result.finished for result in outcome.results):
        print("resbench: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130)
    asked = {result_name(name, classes=DIGITS_CLASSES): name for name in failures.without(names)}
    results = [replace(one, cell=one.cell._replace(model=asked[one.cell.model])) for one in outcome.results]
    said = [f"{gap}." for gap in gaps(results)]
    return Trainings("degradation", replace(outcome, results=tuple(results)), said, environment(options.device))


def claims(device: str) -> Claims:
    """`resbench claims`, on digits."""
    from resbench.lessons.lab import OBSERVED, Lab
    from resbench.lessons.measure import chosen, findings
    from resbench.training.degradation import Plan
    from resbench.training.precision import precision
    from resbench.workers.environment import environment

    options = running(device, False, OBSERVED["digits"], FOLDER, None)
    plan = Plan(dtype=precision(options.device))
    progress("")
    with bar(options) as moved:
        found = list(findings(chosen(()), Lab(plan, options, moved)))
    return Claims(found, environment(options.device))
