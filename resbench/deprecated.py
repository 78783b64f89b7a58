"""Two functions of earlier versions work on for a release."""

import warnings
from collections.abc import Sequence

from resbench.arch.rows import Cost, Level, Mode
from resbench.costs.measure import Given
from resbench.costs.measure import cost as costs_of
from resbench.costs.table import cost_table as table_of
from resbench.networks.inputs import Input
from resbench.tables.table import Table


def cost(model: Given, input: Input = None, *, batch: int = 1, mode: Mode = "inference") -> Cost:
    """Count one model; ``resbench.flops(model).costs[0]`` says the same."""
    warnings.warn("resbench.cost goes with 0.3.0; use resbench.flops", DeprecationWarning, stacklevel=2)
    return costs_of(model, input, batch=batch, mode=mode)


def cost_table(costs: Cost | Sequence[Cost], per: Level = "model") -> Table:
    """Write costs as a table; ``resbench.flops(...).tables(per)`` says the same."""
    warnings.warn(
        "resbench.cost_table goes with 0.3.0; use resbench.flops(...).tables(per)",
        DeprecationWarning,
        stacklevel=2,
    )
    return table_of(costs, per)
