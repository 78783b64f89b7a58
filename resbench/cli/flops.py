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
    checked,
    chosen,
    end,
    refuse_uncounted,
)
from resbench.costs.check_table import check_document, check_table
from resbench.costs.table import cost_document, cost_table
from resbench.errors import Failures, OptionError
from resbench.tables import emit


def flops(
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
    from resbench.costs.measure import cost
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
        from resbench.costs.measure import verified

        checks = failures.each(names, lambda name: verified(name, input, batch=batch))
        if checks:
            emit(check_table(checks), check_document(checks), format, output)
        end(failures)
        raise typer.Exit(0 if all(check.agrees for check in checks) else 1)
    costs = failures.each(names, lambda name: cost(name, input=input, batch=batch, mode=mode))  # type: ignore[arg-type]
    if costs:
        emit(cost_table(costs, per), cost_document(costs), format, output)
    if costs and plot:
        from resbench.costs.chart import by_layer
        from resbench.drawing.charts import save

        save([by_layer(one) for one in costs], plot)
    end(failures)
    refuse_uncounted(strict, {one.model: dict(one.uncounted) for one in costs if one.uncounted})
