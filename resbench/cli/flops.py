"""`resbench flops` counts parameters, MACs, elementwise work, activations and bytes."""

from typing import Annotated

import typer

from resbench.arch.rows import Level
from resbench.cli import options
from resbench.cli.output import checked, emit, end
from resbench.cli.progress import progress
from resbench.errors import Failures


def command(
    models: options.Models = None,
    model: options.Model = None,
    per: Annotated[Level, typer.Option("--per", help="One row for each of these.")] = "model",
    mode: Annotated[
        str, typer.Option("--mode", help="inference, or training: the backward pass's MACs too.")
    ] = "inference",
    input: options.Input = None,
    batch: options.Batch = 1,
    format: options.Format = None,
    plot: options.Plot = None,
    output: options.Output = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hold fold, tracer, fvcore and published figures together.")
    ] = False,
    strict: options.Strict = False,
) -> None:
    """Count parameters, MACs and FLOPs, per model, stage, block or layer. --plot draws them layer by layer.

    Names with a colon load other people's models; package.module:factory and file: run their code.
    """
    from resbench.costs.measure import flops, verified

    checked(format, output, plot)
    names = options.chosen(models, model, input)
    failures = Failures(names)
    if verify:
        options.refuse(plot, "--verify draws nothing: expected it without --plot")
        options.refuse(mode != "inference", "--verify holds counts of inference together: expected it without --mode")
        checks = verified(names, input, batch=batch, failures=failures, progress=progress)
        emit(checks, format, output)
        end(failures)
        raise typer.Exit(0 if checks.agree else 1)
    costs = flops(names, input, batch=batch, mode=mode, failures=failures, progress=progress)  # type: ignore[arg-type]
    emit(costs, format, output, costs.tables(per), plot)
    end(failures, strict, [costs], files=(output, plot))
