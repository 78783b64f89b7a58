"""This module makes the table of layer times, with a row for each layer under the ceilings of what ran."""

from resbench.tables.table import Column, Table
from resbench.tables.uncounted import warning
from resbench.timing.layers.result import BETWEEN, NOWHERE, Layers, LayerTimes
from resbench.timing.ran import ran_lines, setup_lines
from resbench.timing.roofline import without_roof_lines
from resbench.units import calls_text
from resbench.workers.medians import tenths
from resbench.workers.neighbours import crowded

PIECES = {
    "compiled": "A row of type compiled is one piece of compiled code: inside no time can be taken; MACs and bytes as "
    "if its operators ran one by one.",
    "fused": "A row of type fused is one operator that does what its inner layers do; MACs and bytes as if they ran.",
}

KERNELS = (
    "A row is a kernel, under the modules that it covers. Added: the runtime lays numbers out anew; unmapped: nothing "
    "tells which module it belongs to."
)

NAMED = 5
"""So many layers are named in a line at most."""

LAYER_COLUMNS = (
    Column("name", "layer"),
    Column("type", "type"),
    Column("forward_s", "forward", "seconds"),
    Column("backward_s", "backward", "seconds"),
    Column("share", "time", "share"),
    Column("macs", "MACs", "exact"),
    Column("bytes", "moved", "bytes"),
    Column("intensity", "FLOP/B", "rate"),
    Column("flops_per_s", "FLOP/s", "count"),
    Column("bytes_per_s", "B/s", "bytes"),
    Column("of_roof", "of roof", "share"),
    Column("bound", "bound by"),
    Column("saved_bytes", "kept", "bytes"),
    Column("uncounted", "not counted"),
)


def layer_table(result: Layers) -> Table:
    """Make a row for each layer; what is no layer's (glue, the optimiser's step) has rows of its own."""
    model, times, roof, setup, ran = result.model, result.times, result.roof, result.setup, result.ran
    records = result.layers
    shown = [{**record, "uncounted": calls_text(record["uncounted"] or {}) or None} for record in records]
    columns = [column for column in LAYER_COLUMNS if any(r[column.key] is not None for r in shown)]
    rows = [[record[column.key] for column in columns] for record in shown]
    summed = ("forward_s", "backward_s", "share", "macs", "bytes", "saved_bytes")
    sums = {"name": "total", "type": "", **{key: sum(record[key] or 0 for record in records) for key in summed}}
    low, high = tenths(times.overheads)
    threads = ran.threads[0] if ran and setup.kind == "cpu" else 1
    cores = result.environment.stable.get("usable_cores")
    which = "the middle half of " if times.typical else ""
    notes = [
        *setup_lines([(model, setup, ran)]),
        f"Means over {which}{len(times.overheads)} runs: they sum to {1 - times.residual:.4%} of the time "
        f"around them ({times.total_s * 1e3:,.3f} ms).",
        f"Instrumented against plain runs, in turn: {times.overhead:+.2%} (p10 {low:+.2%}, p90 {high:+.2%}).",
        "Moved: each operator reads and writes its tensors once. Of roof: the least time that the ceilings allow.",
        *(words for kind, words in PIECES.items() if any(record["type"] == kind for record in records)),
        *([KERNELS] if any(record["name"] == BETWEEN for record in records) else []),
        *([roof.line] if roof else []),
        result.environment.note,
    ]
    warnings = [
        *(["Interrupted: of fewer runs than are due."] if times.interrupted else []),
        *(
            f"{r['name']} beats its roof ({r['of_roof']:.2f}): an error of measurement, or fewer operations than "
            "counted (Winograd)."
            for r in records
            if (r["of_roof"] or 0) > 1
        ),
        *([f"{model}: {words}."] if (words := crowded(result.others, threads, cores)) else []),
        *ran_lines(model, setup, ran),
        *without_roof_lines(model, ran, roof),
        *layer_warnings(model, times),
    ]
    return Table(
        columns,
        rows,
        f"{model}, batch {setup.batch}, {setup.mode}",
        notes,
        [[sums.get(column.key) for column in columns]],
        warnings,
    )


def layer_warnings(model: str, times: LayerTimes) -> list[str]:
    """Say where figures are too low, for operators ran that nobody could count."""
    where = ", ".join(row.name for row in times.rows if row.uncounted)
    too_low = f"MACs, FLOP/B and FLOP/s of {where} and of the total are too low, and of their roof nothing is said"
    return [*warning(model, times.uncounted, too_low), *_left_over(model, times)]


def _left_over(model: str, times: LayerTimes) -> list[str]:
    """Say how many MACs stand in rows without a time."""
    left, total = [row for row in times.rows if row.type == NOWHERE], sum(row.macs for row in times.rows)
    macs, more = sum(row.macs for row in left), len(left) - NAMED
    names = ", ".join([*(row.name for row in left[:NAMED]), *([f"{more:,} more"] if more > 0 else [])])
    words = "are in no kernel's row: nothing tells which kernels run"
    return [f"{model}: {macs:,} of {total:,} MACs {words} {names}; their time is in other rows."] if left else []
