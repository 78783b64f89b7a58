"""Latencies, layer times and memory as tables and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from resbench.tables.table import Column, Table
from resbench.tables.uncounted import warning
from resbench.timing.ran_lines import (
    UNCOMPILED,
    counted_as_written,
    ran_document,
    ran_lines,
    setup_lines,
    without_roof_lines,
)
from resbench.units import calls_text

if TYPE_CHECKING:
    from resbench.timing.latency.measure import Latency
    from resbench.timing.layers.measure import LayerTime, LayerTimes
    from resbench.timing.memory.measure import Memory
    from resbench.timing.ran import Ran
    from resbench.timing.roofline import Roof
    from resbench.workers.environment import Environment
    from resbench.workers.workload import Setup

PHASES = (
    Column("forward_s", "forward", "seconds"),
    Column("backward_s", "backward", "seconds"),
    Column("step_s", "step", "seconds"),
)
GPU = (
    Column("queued_s", "device busy", "seconds"),
    Column("graph_s", "CUDA graph", "seconds"),
    Column("launch_s", "launch overhead", "seconds"),
)
COLUMNS = (
    Column("model", "model"),
    Column("batch", "batch", "exact"),
    Column("median_s", "median", "seconds"),
    Column("half_width", "95% +-", "share"),
    Column("p10_s", "p10", "seconds"),
    Column("p90_s", "p90", "seconds"),
    Column("throughput", "images/s", "rate"),
    Column("flops_per_s", "FLOP/s", "count"),
    Column("of_roof", "of roof", "share"),
    Column("peak_bytes", "peak memory", "bytes"),
    *PHASES,
    *GPU,
    Column("verdict", "verdict"),
    Column("n", "n", "exact"),
    Column("input", "input", "shape"),
)

VERDICTS = {
    "noisy": "noisy: within a process the median stayed uncertain, and more samples did not help.",
    "unstable": "unstable: the time was up before the median was known.",
    "invalid": "INVALID: the device was throttled in more than a fifth of the samples; let it cool.",
}


def latency_table(latencies: Sequence[Latency], roofs: Mapping[str, Roof], here: Environment) -> Table:
    """A row for each model and batch. Columns that say nothing anywhere are left out."""
    records = [latency_record(one, one.roof(roofs)) for one in latencies]
    columns = [column for column in COLUMNS if any(record[column.key] is not None for record in records)]
    rows = [[record[column.key] for column in columns] for record in records]
    processes = max((len(one.readings) for one in latencies), default=0)
    notes = setup_lines((one.model, one.setup, one.ran) for one in latencies)
    notes.append(
        f"Median of all runs in {processes} fresh processes; +- is half of its 95 % interval, {_over(latencies)}."
        if processes > 1
        else "Median of all runs in one process, which tells nothing of other processes: no interval."
    )
    notes += [VERDICTS[word] for word in VERDICTS if any(one.verdict == word for one in latencies)]
    notes += [UNCOMPILED] if any(counted_as_written(one.setup, one.ran) for one in latencies) else []
    notes += _roof_lines(roofs)
    notes.append(here.note)
    warnings = [f"{one.model}, batch {one.setup.batch}: warm-up did not settle." for one in latencies if not one.warm]
    warnings += [line for one in latencies for line in ran_lines(_row(one), one.setup, one.ran)]
    warnings += [line for one in latencies for line in without_roof_lines(_row(one), one.ran, one.roof(roofs))]
    warnings += latency_warnings(latencies)
    warnings += sorted({r.remark for one in latencies for r in one.readings if r.remark})
    return Table(columns, rows, notes=notes, warnings=warnings)


PIECES = {
    "compiled": "A row of type compiled is one piece of compiled code: inside no time can be taken; MACs and bytes as "
    "if its operators ran one by one.",
    "fused": "A row of type fused is one operator that does what its inner layers do; MACs and bytes as if they ran.",
}


def _row(one: Latency) -> str:
    return f"{one.model}, batch {one.setup.batch}"


def latency_warnings(latencies: Sequence[Latency]) -> list[str]:
    """Where a rate is too low, for operators ran that nobody could count."""
    too_low = "FLOP/s is too low, and of the roof nothing is said"
    return [line for one in latencies for line in warning(_row(one), one.uncounted, too_low)]


def _roof_lines(roofs: Mapping[str, Roof]) -> list[str]:
    """Each, with its threads where there are several of one dtype."""
    dtypes = [roof.dtype for roof in roofs.values()]
    return [
        roof.line if dtypes.count(roof.dtype) == 1 else f"With {roof.threads} threads: {roof.line}"
        for roof in roofs.values()
    ]


def _over(latencies: Sequence[Latency]) -> str:
    """What is in the interval."""
    known = max(latencies, key=lambda one: one.calls, default=None)
    if known is None or known.drift is None:
        return "over processes; how far this machine's speed wanders between calls is not known yet"
    return (
        f"over processes and calls (between {known.calls} calls this machine's speed wandered by +- {known.drift:.1%})"
    )


def latency_record(one: Latency, roof: Roof | None) -> dict[str, Any]:
    """The numbers of one row by the keys of its columns."""
    p10, p90 = one.tenths_s
    half = one.half_width_s
    phases = one.phases_s if len(one.phases_s) > 1 else {}
    return {
        "model": one.model,
        "batch": one.input[0],
        "median_s": one.median_s,
        "half_width": None if half is None else half / one.median_s,
        "p10_s": p10,
        "p90_s": p90,
        "throughput": one.throughput,
        "flops_per_s": one.flops_per_s,
        "of_roof": one.flops_per_s / roof.flops_per_s if roof and not one.uncounted else None,
        "peak_bytes": one.peak_bytes,
        **{column.key: phases.get(column.key.removesuffix("_s")) for column in PHASES},
        "queued_s": one.queued_s,
        "graph_s": one.graph_s,
        "launch_s": None if one.queued_s is None else one.median_s - one.queued_s,
        "verdict": one.verdict,
        "n": len(one.totals),
        "input": one.input,
    }


def latency_document(latencies: Sequence[Latency], roofs: Mapping[str, Roof], here: Environment) -> dict[str, Any]:
    """The rows with the samples of every process."""
    models = []
    for one in latencies:
        record = latency_record(one, one.roof(roofs))
        processes = [reading.document() for reading in one.readings]
        known = {"uncounted": dict(one.uncounted), "drift": one.drift, "calls": one.calls, "setup": asdict(one.setup)}
        known |= ran_document(one.setup, one.ran)
        models.append({**record, "input": list(one.input), **known, "processes": processes})
    roof = {dtype: asdict(roof) for dtype, roof in roofs.items()}
    return {"schema": 1, "command": "latency", "environment": here.document(), "roofs": roof, "models": models}


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


def layer_table(
    model: str, times: LayerTimes, roof: Roof | None, setup: Setup, here: Environment, ran: Ran | None = None
) -> Table:
    """A row for each layer; what is no layer's (glue, the optimiser's step) has rows of its own."""
    records = layer_records(times, roof)
    shown = [{**record, "uncounted": calls_text(record["uncounted"] or {}) or None} for record in records]
    columns = [column for column in LAYER_COLUMNS if any(r[column.key] is not None for r in shown)]
    rows = [[record[column.key] for column in columns] for record in shown]
    sums = {key: sum(r[key] or 0 for r in records) for key in ("forward_s", "backward_s", "share", "macs", "bytes")}
    sums |= {"name": "total", "type": "", "saved_bytes": sum(r["saved_bytes"] or 0 for r in records)}
    low, high = times.overhead_tenths
    notes = [
        *setup_lines([(model, setup, ran)]),
        f"Means over the middle half of {len(times.overheads)} runs: they sum to {1 - times.residual:.4%} of the time "
        f"around them ({times.total_s * 1e3:,.3f} ms).",
        f"Instrumented against plain runs, in turn: {times.overhead:+.2%} (p10 {low:+.2%}, p90 {high:+.2%}).",
        "Moved: each operator reads and writes its tensors once. Of roof: the least time that the ceilings allow.",
        *(words for kind, words in PIECES.items() if any(record["type"] == kind for record in records)),
        *([roof.line] if roof else []),
        here.note,
    ]
    beaten = [r for r in records if (r["of_roof"] or 0) > 1]
    warnings = [
        f"{r['name']} beats its roof ({r['of_roof']:.2f}): an error of measurement, or fewer operations than counted "
        "(Winograd)."
        for r in beaten
    ]
    warnings += [*ran_lines(model, setup, ran), *without_roof_lines(model, ran, roof), *layer_warnings(model, times)]
    footer = [[sums.get(column.key) for column in columns]]
    title = f"{model}, batch {setup.batch}, {setup.mode}"
    return Table(columns, rows, title, notes, footer, warnings)


def layer_warnings(model: str, times: LayerTimes) -> list[str]:
    """Where figures are too low, for operators ran that nobody could count."""
    where = ", ".join(row.name for row in times.rows if row.uncounted)
    too_low = f"MACs, FLOP/B and FLOP/s of {where} and of the total are too low, and of their roof nothing is said"
    return warning(model, times.uncounted, too_low)


def layer_records(times: LayerTimes, roof: Roof | None) -> list[dict[str, Any]]:
    """The numbers of the rows by the keys of their columns."""
    records = [_layer_record(row, times, roof) for row in times.rows]
    if times.step_s is not None:
        empty: dict[str, Any] = dict.fromkeys(column.key for column in LAYER_COLUMNS)
        step = {"name": "optimizer", "type": "step", "backward_s": times.step_s, "share": times.step_s / times.total_s}
        records.append({**empty, **step})
    return records


def _layer_record(row: LayerTime, times: LayerTimes, roof: Roof | None) -> dict[str, Any]:
    seconds, flops = row.seconds, 2 * row.macs
    works = seconds > 0 and row.bytes > 0
    judged = works and not row.uncounted
    return {
        "name": row.name,
        "type": row.type,
        "forward_s": row.forward_s,
        "backward_s": row.backward_s,
        "share": seconds / times.total_s,
        "macs": row.macs,
        "bytes": row.bytes,
        "intensity": flops / row.bytes if works and flops else None,
        "flops_per_s": flops / seconds if works and flops else None,
        "bytes_per_s": row.bytes / seconds if works else None,
        "of_roof": roof.attainable_s(flops, row.bytes) / seconds if judged and roof else None,
        "bound": roof.bound(flops, row.bytes) if judged and roof else None,
        "saved_bytes": row.saved_bytes,
        "uncounted": None if row.uncounted is None else dict(row.uncounted),
    }


def layer_document(
    model: str, times: LayerTimes, roof: Roof | None, setup: Setup, here: Environment, ran: Ran | None = None
) -> dict[str, Any]:
    """The rows, and how far they can be trusted."""
    return {
        "schema": 1,
        "command": "latency --layers",
        "environment": here.document(),
        "model": model,
        "setup": asdict(setup),
        **ran_document(setup, ran),
        "roof": asdict(roof) if roof else None,
        "total_s": times.total_s,
        "plain_s": times.plain_s,
        "step_s": times.step_s,
        "residual": times.residual,
        "overhead": times.overhead,
        "overheads": list(times.overheads),
        "uncounted": times.uncounted,
        "layers": layer_records(times, roof),
    }


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


def memory_table(
    reports: Sequence[tuple[str, Memory, Memory]], setup: Setup, here: Environment, ran: Sequence[Ran] = ()
) -> Table:
    """Predicted from the cost rows beside measured, for each model."""
    rows = []
    for model, predicted, measured in reports:
        for what, meaning in MEMORY.items():
            a, b = getattr(predicted, what), getattr(measured, what)
            if a or b:
                rows.append((model, what, a, b, b / a if a and b is not None else None, meaning))
    each = [(model, setup, one) for (model, *_), one in zip_longest(reports, ran)]
    notes = [*setup_lines(each), "Predicted: from the cost rows alone, without running."]
    notes += [UNCOMPILED] if any(counted_as_written(setup, one) for _, _, one in each) else []
    notes.append(here.note)
    warnings = [*(line for row in each for line in ran_lines(*row)), *memory_warnings(reports)]
    return Table(MEMORY_COLUMNS, rows, notes=notes, warnings=warnings)


def memory_warnings(reports: Sequence[tuple[str, Memory, Memory]]) -> list[str]:
    """Where a prediction may be too low, for operators ran that nobody could count."""
    too_low = "what is predicted may be too low"
    return [line for model, predicted, _ in reports for line in warning(model, predicted.uncounted, too_low)]


def memory_document(
    reports: Sequence[tuple[str, Memory, Memory]], setup: Setup, here: Environment, ran: Sequence[Ran] = ()
) -> dict[str, Any]:
    """Both sides of every model."""
    models = [
        {"model": model, "predicted": predicted._asdict(), "measured": measured._asdict(), **ran_document(setup, one)}
        for (model, predicted, measured), one in zip_longest(reports, ran)
    ]
    document = {"schema": 1, "command": "latency --memory", "environment": here.document()}
    return {**document, "setup": asdict(setup), "models": models}
