"""This module makes the table of memory: what the cost rows predict beside what was measured."""

from resbench.tables.table import Column, Table
from resbench.tables.uncounted import unclassified, warning
from resbench.timing.memory.result import Memories
from resbench.timing.ran import UNCOMPILED, counted_as_written, ran_lines, setup_lines
from resbench.workers.optimizers import MOMENTUM

MEMORY = {
    "weights": "parameters",
    "buffers": "running statistics",
    "input": "the batch",
    "gradients": "one for each parameter",
    "optimizer": "momentum of SGD",
    "saved": "kept by the forward pass for the backward pass",
    "peak": "most at one time in a run",
}

MEMORY_COLUMNS = (
    Column("model", "model"),
    Column("what", "what"),
    Column("predicted_bytes", "predicted", "bytes"),
    Column("measured_bytes", "measured", "bytes"),
    Column("ratio", "measured / predicted", "ratio"),
    Column("meaning", "meaning"),
)


def memory_table(result: Memories) -> Table:
    """Set what the cost rows predict beside what was measured, for each model."""
    rows = []
    optimizer = result.setup.optimizer
    meanings = MEMORY if optimizer == MOMENTUM else {**MEMORY, "optimizer": f"state of {optimizer}"}
    for one in result.reports:
        for what, meaning in meanings.items():
            a, b = getattr(one.predicted, what), getattr(one.measured, what)
            if a or b:
                rows.append((one.model, what, a, b, b / a if a and b is not None else None, meaning))
    each = [(one.model, result.setup, one.ran) for one in result.reports]
    notes = [
        *setup_lines(each),
        "Predicted: from the cost rows alone, without running.",
        *([UNCOMPILED] if any(counted_as_written(setup, ran) for _, setup, ran in each) else []),
        result.environment.note,
    ]
    too_low = "what is predicted may be too low"
    warnings = [
        *(line for row in each for line in ran_lines(*row)),
        *(line for one in result.reports for line in warning(one.model, one.predicted.uncounted, too_low)),
        *(line for one in result.reports for line in unclassified(one.model, one.predicted.unknown, too_low)),
    ]
    return Table(MEMORY_COLUMNS, rows, notes=notes, warnings=warnings)
