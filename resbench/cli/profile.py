"""`resbench profile` makes a trace for TensorBoard and Perfetto, and its tables."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from resbench.cli import options
from resbench.cli.output import checked, emit
from resbench.cli.progress import progress


def command(
    model: Annotated[str, typer.Argument(help="A model, as for flops.", autocompletion=options.complete_model)],
    trace: Annotated[Path, typer.Option("--trace", metavar="DIR", help="Where TensorBoard's run goes.")],
    view: Annotated[
        str,
        typer.Option(
            "--view", help="overview, operators, kernels, modules, ranges, memory, advice; else all there are."
        ),
    ] = "",
    steps: Annotated[int, typer.Option("--steps", help="Runs in the trace.", min=1, max=100)] = 3,
    device: options.Device = "cpu",
    batch: options.Batch = 1,
    dtype: options.Dtype = "fp32",
    memory_format: options.Layout = "contiguous",
    mode: options.Mode = "inference",
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Profile some runs: a trace for TensorBoard and Perfetto, and the tables of TensorBoard's profiler plugin."""
    from resbench.timing.profile.measure import profile
    from resbench.timing.profile.result import VIEWS

    options.refuse(view and view not in VIEWS, f"--view takes {', '.join(VIEWS)}; received {view!r}")
    options.chosen([model], None, input)
    style = checked(format, output)
    options.refuse(
        style in ("csv", "tsv") and not view,
        f"{style} holds one table: expected --view with it, one of {', '.join(VIEWS)}",
    )
    setup: dict[str, Any] = {"dtype": dtype, "memory_format": memory_format, "mode": mode}
    found = profile(model, input, trace=trace, steps=steps, device=device, batch=batch, **setup, progress=progress)
    cut = {} if style in ("table", "markdown", "latex", "html") and not view else {"shown": None}
    emit(found, format, output, found.tables(view, **cut))
    print(f"trace: {found.trace}  (tensorboard --logdir {trace}, or https://ui.perfetto.dev)", file=sys.stderr)
