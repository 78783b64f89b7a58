"""`resbench flops`: parameters, MACs, elementwise work, activations and bytes."""

from __future__ import annotations

from typing import Annotated

import typer

from resbench.arch.cost import Level
from resbench.cli.options import BatchOption, FormatOption, InputOption, ModelOption, Models, OutputOption, chosen
from resbench.tables import emit
from resbench.tables.costs import cost_document, cost_table


def flops(
    models: Models = None,
    model: ModelOption = None,
    per: Annotated[Level, typer.Option("--per", help="One row for each of these.")] = "model",
    input: InputOption = None,
    batch: BatchOption = 1,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Count parameters, MACs and FLOPs, per model, stage, block or layer."""
    from resbench.models import cost

    costs = [cost(name, input=input, batch=batch) for name in chosen(models, model)]
    emit(cost_table(costs, per), cost_document(costs), format, output)
