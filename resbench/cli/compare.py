"""`resbench compare`: networks side by side, relative to the first."""

from __future__ import annotations

from resbench.cli.options import BatchOption, FormatOption, InputOption, ModelOption, Models, OutputOption, chosen
from resbench.tables import emit
from resbench.tables.costs import comparison, comparison_document


def compare(
    models: Models = None,
    model: ModelOption = None,
    input: InputOption = None,
    batch: BatchOption = 1,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Put the cost of two or more models side by side, relative to the first."""
    from resbench.models import cost

    costs = [cost(name, input=input, batch=batch) for name in chosen(models, model, least=2)]
    emit(comparison(costs), comparison_document(costs), format, output)
