"""Costs become tables: one network stands after the other, or they stand side by side."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from resbench.arch.rows import Cost, Fork, Level, Row
from resbench.tables.table import Column, Table
from resbench.tables.uncounted import unclassified, warning
from resbench.units import FP32_BYTES, convention, shape_text

COLUMNS = (
    Column("params", "params", "exact"),
    Column("trainable", "trainable", "exact"),
    Column("macs", "MACs", "exact"),
    Column("share", "MACs", "share"),
    Column("backward_macs", "backward MACs", "exact"),
    Column("flops", "FLOPs", "count"),
    Column("input", "input", "shape"),
    Column("elementwise", "elementwise", "count"),
    Column("activations", "activations", "count"),
    Column("param_bytes", "weights", "bytes"),
    Column("buffer_bytes", "buffers", "bytes"),
    Column("activation_bytes", "outputs", "bytes"),
)
"""One row of a cost report says this, whatever it stands for."""


def cost_table(costs: Cost | Sequence[Cost], per: Level = "model") -> Table:
    """A row stands for each model, or for every group of every model with its share of that model's MACs."""
    if isinstance(costs, Cost):
        costs = [costs]
    left_out = _left_out(costs) | ({"name", "type", "output", "share"} if per == "model" else {"input"})
    if per != "model" and len(costs) == 1:
        left_out.add("model")
    labels = Column("model", "model"), Column("name", per), Column("type", "type"), Column("output", "output", "shape")
    columns = [column for column in (*labels, *COLUMNS) if column.key not in left_out]
    rows = [values for c in costs for values in _values(c.per(per), c, columns)]
    if per == "model":
        return Table(columns, rows, notes=conventions(costs), warnings=_warnings(costs))
    totals = [values for c in costs for values in _values([c.total._replace(name="total", type="")], c, columns)]
    title = f"{costs[0].model}, input {shape_text(costs[0].input)}" if len(costs) == 1 else ""
    return Table(columns, rows, title, conventions(costs), totals, _warnings(costs))


def _values(rows: Iterable[Row], c: Cost, columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    """Each row has these values in these columns."""
    whole = 0 if c.uncounted else c.macs  # of a count that is too low nothing is a share
    for row in rows:
        share = row.macs / whole if whole else None
        known = {"model": c.model, "output": row.output or None, "input": c.input, "share": share}
        yield tuple(known[column.key] if column.key in known else getattr(row, column.key) for column in columns)


def _left_out(costs: Sequence[Cost]) -> set[str]:
    """These columns say nothing new: nothing is frozen, no gradient was counted, and the buffers are those of batch
    normalisation (in float32 as many bytes as gamma and beta, and 8)."""
    layers = [row for c in costs for row in c.layers]
    new = {
        "trainable": any(row.trainable not in (None, row.params) for row in layers),
        "backward_macs": any(c.mode == "training" for c in costs),
        "buffer_bytes": any(row.buffer_bytes not in (None, 0, 8 + FP32_BYTES * row.params) for row in layers),
    }
    return {key for key, says in new.items() if not says}


def _fp32(row: Row) -> bool:
    """Tell whether a row has 4 bytes for each element."""
    sizes = (row.param_bytes, row.params), (row.activation_bytes, row.activations)
    return all(None in size or size[0] == FP32_BYTES * (size[1] or 0) for size in sizes)


def conventions(costs: Sequence[Cost]) -> tuple[str, ...]:
    """The notes under a table say what a MAC is, and what else the numbers mean."""
    training = any(c.mode == "training" for c in costs)
    notes = convention(training=training, fp32=all(_fp32(row) for c in costs for row in c.layers))
    return (*notes, *complex_note(costs))


def complex_note(costs: Sequence[Cost]) -> tuple[str, ...]:
    """The note says how complex numbers count, where there are any."""
    return ("A complex multiply-accumulate is 4 real ones.",) if any(c.complex for c in costs) else ()


def _warnings(costs: Sequence[Cost]) -> list[str]:
    """The warnings say what is too low or unknown, which networks make layers as they run, unseen by any check, and
    what a source says of what it holds."""
    made = [f"{c.model}: made in the forward, and counted: {', '.join(c.made)}." for c in costs if c.made]
    unknown = [line for c in costs for line in unclassified(c.model, c.unknown)]
    return [*uncounted(costs), *made, *remarked(costs), *forked(costs), *_unseen(costs), *unknown]


def uncounted(costs: Sequence[Cost]) -> list[str]:
    """A line names each network in which operators ran that have no formula."""
    return [line for c in costs for line in warning(c.model, dict(c.uncounted), "what is counted is too low")]


def remarked(costs: Sequence[Cost]) -> list[str]:
    """A line for each thing that a source says of what it holds."""
    return [f"{c.model}: {remark}." for c in costs for remark in c.remarks]


def forked(costs: Sequence[Cost]) -> list[str]:
    """A line for each place where values decide says what counts there, and what does not."""
    return [f"{c.model}: {_choice(fork)}." for c in costs for fork in c.forks]


def _choice(fork: Fork) -> str:
    if len(fork.macs) == 1:
        return f"{fork.name} counts once, with {fork.macs[0]:,} MACs: how often it goes round, values decide"
    least, most = sorted(fork.macs)
    return f"{fork.name} counts its larger branch, with {most:,} MACs: the other takes {least:,}"


def _unseen(costs: Sequence[Cost]) -> list[str]:
    """A line names each network that returns what shows no tensors, such as a generator, or has layers that do."""
    lines = []
    for c in costs:
        if layers := [row.name for row in c.layers if row.activations is None]:
            lines.append(f"{c.model}: what {', '.join(layers)} gives shows no tensors: its activations are unknown.")
        if c.mode == "training" and c.layers and c.backward_macs is None:
            lines.append(f"{c.model}: what it returns shows no tensors: where its backward pass starts is unknown.")
    return lines
