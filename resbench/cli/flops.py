"""`resbench flops`: parameters, MACs, elementwise work, activations and bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from resbench.arch.cost import Level
from resbench.cli.options import (
    BatchOption,
    FormatOption,
    InputOption,
    ModelOption,
    Models,
    OutputOption,
    PlotOption,
    StrictOption,
    chosen,
    end,
    refuse_uncounted,
)
from resbench.cli.output import checked, emit
from resbench.drawing.charts import save
from resbench.errors import Failures, OptionError


def command(
    models: Models = None,
    model: ModelOption = None,
    per: Annotated[Level, typer.Option("--per", help="One row for each of these.")] = "model",
    mode: Annotated[
        str, typer.Option("--mode", help="inference, or training: the backward pass's MACs too.")
    ] = "inference",
    input: InputOption = None,
    batch: BatchOption = 1,
    format: FormatOption = None,
    plot: PlotOption = None,
    output: OutputOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Hold fold, tracer, fvcore and published figures together.")
    ] = False,
    strict: StrictOption = False,
) -> None:
    """Count parameters, MACs and FLOPs, per model, stage, block or layer. --plot draws them layer by layer.

    Names with a colon load other people's models; package.module:factory and file: run their code.
    """
    from resbench.costs.measure import flops, verified
    from resbench.networks.name import parse_input

    checked(format, output, plot)
    names = chosen(models, model)
    failures = Failures(names)
    if input:
        parse_input(input)  # of all models: refused once
    if verify and plot:
        raise OptionError("--verify draws nothing: expected it without --plot")
    if verify and mode != "inference":
        raise OptionError("--verify holds counts of inference together: expected it without --mode")
    if verify:
        checks = verified(names, input, batch=batch, failures=failures)
        emit(checks, format, output)
        end(failures)
        raise typer.Exit(0 if checks.agree else 1)
    costs = flops(names, input, batch=batch, mode=mode, failures=failures)  # type: ignore[arg-type]
    emit(costs, format, output, costs.tables(per))
    if plot:
        save(costs.drawn(), plot)
    end(failures)
    refuse_uncounted(strict, [costs])
