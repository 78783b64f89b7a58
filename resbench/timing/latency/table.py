"""This module makes the table of latencies, with a row for each model and batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from resbench.tables.table import Column, Table
from resbench.tables.uncounted import warning
from resbench.timing.latency.orders import order_lines, panels
from resbench.timing.latency.result import Latencies, Latency
from resbench.timing.ran import UNCOMPILED, Ran, counted_as_written, ran_lines, setup_lines
from resbench.timing.roofline import Roof, without_roof_lines
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
    Column("runtime", "runtime"),
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


def latency_table(result: Latencies) -> Table:
    """Make a row for each model and batch. Columns that say nothing anywhere are left out."""
    latencies, roofs = result.latencies, result.roofs
    records = [latency_record(one, one.roof(roofs)) for one in latencies]
    named = result.names_runtimes
    columns = [
        column
        for column in COLUMNS
        if any(record[column.key] is not None for record in records) and (named or column.key != "runtime")
    ]

    def row(one: Latency) -> str:
        return one.row(named)

    rows = [[record[column.key] for column in columns] for record in records]
    processes = max((len(one.readings) for one in latencies), default=0)
    notes = [
        *setup_lines(_elsewhere(one) if named else (one.model, one.setup, one.ran) for one in latencies),
        *_core_lines(latencies),
        *_turns(result),
        f"Median of all runs in {processes} fresh processes; +- is half of its 95 % interval, {_over(latencies)}."
        if processes > 1
        else "Median of all runs in one process, which tells nothing of other processes: no interval.",
        *(words for verdict, words in VERDICTS.items() if any(one.verdict == verdict for one in latencies)),
        *([UNCOMPILED] if any(counted_as_written(one.setup, one.ran) for one in latencies) else []),
        *_roof_lines(roofs),
        result.environment.note,
    ]
    fewer = [f"{row(one)} of {len(one.readings)}" for one in latencies if len(one.readings) < processes]
    warnings = [
        *(["Interrupted: the rows so far."] if result.interrupted else []),
        *([f"Of fewer processes than the others: {', '.join(fewer)}."] if fewer and result.interrupted else []),
        *(f"{row(one)}: {words}." for one in latencies if (words := one.crowded(result.environment))),
        *(f"{row(one)}: warm-up did not settle." for one in latencies if not one.warm),
        *(line for one in latencies for line in ran_lines(row(one), one.setup, one.ran)),
        *(line for one in latencies for line in without_roof_lines(row(one), one.ran, one.roof(roofs))),
        *(
            line
            for one in latencies
            for line in warning(row(one), one.uncounted, "FLOP/s is too low, and of the roof nothing is said")
        ),
        *sorted({r.remark for one in latencies for r in one.readings if r.remark}),
    ]
    return Table(columns, rows, notes=notes, warnings=warnings)


def _elsewhere(one: Latency) -> tuple[str, Setup, Ran | None]:
    """Return the setup of a row whose runtime stands in a column, without what that says."""
    ran = replace(one.ran, compiled=False) if one.ran else None
    return one.setup.place, one.setup.anywhere, ran


def _turns(result: Latencies) -> Iterator[str]:
    """Say for each batch where the order of networks turns round from runtime to runtime."""
    for words, times in panels(result.figures()).items():
        yield from (f"{words[0].upper()}{words[1:]}: {line}" if words else line for line in order_lines(times))


def _core_lines(latencies: Sequence[Latency]) -> list[str]:
    """Say on which processors the threads were kept."""
    kept = {one.cores for latency in latencies for one in latency.deployed if one.cores}
    return [f"Threads kept to the processors {', '.join(map(str, cores))}." for cores in sorted(kept)]


def _roof_lines(roofs: Mapping[str, Roof]) -> list[str]:
    """Return the line of each roof, with its threads where there are several of one dtype."""
    dtypes = [roof.dtype for roof in roofs.values()]
    return [
        roof.line if dtypes.count(roof.dtype) == 1 else f"With {roof.threads} threads: {roof.line}"
        for roof in roofs.values()
    ]


def _over(latencies: Sequence[Latency]) -> str:
    """Say what is in the interval."""
    known = max(latencies, key=lambda one: one.calls, default=None)
    if known is None or known.drift is None:
        return "over processes; how far this machine's speed wanders between calls is not known yet"
    return (
        f"over processes and calls (between {known.calls} calls this machine's speed wandered by +- {known.drift:.1%})"
    )


def latency_record(one: Latency, roof: Roof | None) -> dict[str, Any]:
    """Return the numbers of one row by the keys of its columns."""
    p10, p90 = one.tenths_s
    half = one.half_width_s
    phases = one.phases_s if len(one.phases_s) > 1 else {}
    return {
        "model": one.model,
        "runtime": one.setup.place,
        "batch": one.images,
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
