"""`resbench compare`: networks side by side, relative to the first."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from resbench.cli.options import (
    BatchOption,
    DeviceOption,
    FormatOption,
    InputOption,
    ModelOption,
    Models,
    OutputOption,
    chosen,
    progress,
)
from resbench.errors import MeasureError, OptionError
from resbench.tables import emit
from resbench.tables.comparison import COUNTED, METRICS, comparison, comparison_document


def compare(
    models: Models = None,
    model: ModelOption = None,
    metrics: Annotated[
        str, typer.Option("--metrics", help=f"Some of {','.join(METRICS)}; the last is measured here.")
    ] = ",".join(COUNTED),
    input: InputOption = None,
    batch: BatchOption = 1,
    device: DeviceOption = "cpu",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Put two or more models side by side, relative to the first: what they cost, and how long they take here."""
    from resbench.models import cost

    asked = metrics.split(",")
    if unknown := [metric for metric in asked if metric not in METRICS]:
        raise OptionError(f"--metrics takes {', '.join(METRICS)}, with commas between; received {unknown[0]!r}")
    names = chosen(models, model, least=2)
    costs = [cost(name, input=input, batch=batch) for name in names]
    if "latency" not in asked:
        table = comparison(costs, asked)
        emit(table, comparison_document(costs, table), format, output)
        return
    from resbench.measure.environment import environment
    from resbench.measure.roofline import roof
    from resbench.measure.workload import Setup
    from resbench.replicas import Cell, measure

    setup = Setup(device, batch)
    progress("the machine's ceilings (kept for the next time)")
    with setup.applied():
        ceiling, here = roof(device), environment(device)
    outcome = measure([Cell(name, input, setup) for name in names], progress=progress)
    progress("")
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.failures:
        print(*(f"resbench: {failure}" for failure in outcome.failures[1:]), sep="\n", file=sys.stderr, end="")
        raise MeasureError(outcome.failures[0])
    table = comparison(costs, asked, outcome.latencies, ceiling, here)
    emit(table, comparison_document(costs, table), format, output)
