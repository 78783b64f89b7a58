"""`resbench profile`: a trace for TensorBoard and Perfetto, and its tables."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from resbench.cli.options import (
    BatchOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    InputOption,
    LayoutOption,
    ModeOption,
    OutputOption,
    complete_model,
    progress,
)
from resbench.errors import OptionError
from resbench.tables.output import choose, emit_all


def profile(
    model: Annotated[str, typer.Argument(help="A model, as for flops.", autocompletion=complete_model)],
    trace: Annotated[Path, typer.Option("--trace", metavar="DIR", help="Where TensorBoard's run goes.")],
    view: Annotated[
        str,
        typer.Option(
            "--view", help="overview, operators, kernels, modules, ranges, memory, advice; else all there are."
        ),
    ] = "",
    steps: Annotated[int, typer.Option("--steps", help="Runs in the trace.", min=1, max=100)] = 3,
    device: DeviceOption = "cpu",
    batch: BatchOption = 1,
    dtype: DtypeOption = "fp32",
    memory_format: LayoutOption = "contiguous",
    mode: ModeOption = "inference",
    input: InputOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Profile some runs: a trace for TensorBoard and Perfetto, and the tables of TensorBoard's profiler plugin."""
    from resbench.timing.profile.measure import VIEWS
    from resbench.timing.profile.measure import profile as profiled
    from resbench.timing.profile.table import SHOWN, profile_document, profile_table
    from resbench.timing.ran import observed
    from resbench.timing.ran_lines import ran_document, ran_lines
    from resbench.timing.replicas import Cell, one_line, workload
    from resbench.workers.environment import environment
    from resbench.workers.workload import Setup

    if view and view not in VIEWS:
        raise OptionError(f"--view takes {', '.join(VIEWS)}; received {view!r}")
    chosen = choose(format, output)
    if chosen in ("csv", "tsv") and not view:
        raise OptionError(f"{chosen} holds one table: expected --view with it, one of {', '.join(VIEWS)}")
    cell = Cell(model, input, Setup(device, batch, dtype, memory_format, mode))  # type: ignore[arg-type]
    work, name = workload(cell)
    with one_line(cell):
        progress(f"{name}: {steps} runs under the profiler, and reading its trace")
        found = profiled(work, trace, name, steps)
        with work.ready():
            ran = observed(work)
    progress("")
    if view and view not in found.views:
        raise OptionError(f"the trace {found.trace} has no {view}; it has {', '.join(found.views)}")
    shown = SHOWN if chosen in ("table", "markdown", "latex", "html") and not view else None
    tables = [profile_table(one, found, shown) for one in ([view] if view else found.views)]
    here = environment(device).where(threads=ran.threads[0])
    tables[0] = replace(tables[0], warnings=[*tables[0].warnings, *ran_lines(name, cell.setup, ran)])
    document = {**profile_document(name, found, cell.setup, here), **ran_document(cell.setup, ran)}
    emit_all(tables, document, format, output)
    print(f"trace: {found.trace}  (tensorboard --logdir {trace}, or https://ui.perfetto.dev)", file=sys.stderr)
