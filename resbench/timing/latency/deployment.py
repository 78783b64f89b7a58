"""This module makes the table of what runtimes need besides the time of a run: start, memory, file, agreement."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

from resbench.tables.table import Column, Table
from resbench.timing.accuracy import CALIBRATED, Accuracy
from resbench.timing.latency.result import Deployed, Latencies, Latency
from resbench.timing.runtimes.runtime import TOLERANCES

COLUMNS = (
    Column("model", "model"),
    Column("runtime", "runtime"),
    Column("batch", "batch", "exact"),
    Column("load_s", "load", "seconds"),
    Column("first_s", "first run", "seconds"),
    Column("resident_bytes", "resident", "bytes"),
    Column("difference", "difference", "number"),
    Column("accuracy", "accuracy", "share"),
    Column("file_bytes", "file", "bytes"),
    Column("cold_load_s", "cold load", "seconds"),
    Column("cold_first_s", "cold first run", "seconds"),
    Column("executed", "products in"),
    Column("version", "version"),
)


def deployment_table(result: Latencies) -> Table:
    """Make a row for each network, batch and runtime. Columns that say nothing anywhere are left out."""
    records = [_record(one) for one in result.latencies if one.deployed]
    columns = [column for column in COLUMNS if any(record[column.key] is not None for record in records)]
    dtypes = dict.fromkeys(one.setup.dtype for one in result.latencies)
    notes = [
        "Load: from the file to a network that can run. Medians of processes; cold: a folder for compiled code was "
        "empty, as in the first process; blank where nothing is kept in it.",
    ]
    keys = {column.key for column in columns}
    if "resident_bytes" in keys:
        notes.append(
            "Resident: the most memory that the process had in use by the end of its first run, beyond that of the "
            "runtime when it was imported."
        )
    if "difference" in keys:
        notes.append(
            "Difference: the largest from what eager fp32 answers, as a share of its largest answer; a row fails "
            f"beyond {' and '.join(f'{TOLERANCES[dtype]:.2g} ({dtype})' for dtype in dtypes if dtype in TOLERANCES)}."
        )
    shown = next((found for one in result.latencies if (found := _accuracy(one))), None)
    if shown:
        notes.append(
            f"Accuracy: of {shown.images} images of the test part of {shown.data}, on which all rows ran; int8 was "
            f"calibrated on {CALIBRATED} of those to train on."
        )
    rows = [[record[column.key] for column in columns] for record in records]
    return Table(columns, rows, title="What each runtime needs besides", notes=notes)


def _record(one: Latency) -> dict[str, Any]:
    """Return the numbers of one row by the keys of its columns."""
    cold, warm = ([start for start in one.deployed if start.cold is which] for which in (True, False))
    first, products = one.deployed[0], dict(one.ran.products) if one.ran else {}
    counted = one.setup.runtime not in ("eager", "compile")
    return {
        "model": one.model,
        "runtime": one.setup.place,
        "batch": one.images,
        "cold_load_s": _middle(cold, lambda start: start.load_s),
        "cold_first_s": _middle(cold, lambda start: start.first_s),
        "load_s": _middle(warm, lambda start: start.load_s),
        "first_s": _middle(warm, lambda start: start.first_s),
        "resident_bytes": _most(start.resident_bytes for start in one.deployed),
        "file_bytes": first.file_bytes,
        "difference": _most(start.difference for start in one.deployed),
        "accuracy": named.share if (named := _accuracy(one)) else None,
        "executed": ", ".join(f"{dtype} {count}" if counted else dtype for dtype, count in products.items()) or None,
        "version": first.version,
    }


def _accuracy(one: Latency) -> Accuracy | None:
    return next((start.accuracy for start in one.deployed if start.accuracy), None)


def _middle(starts: Sequence[Deployed], of: Callable[[Deployed], float | None]) -> float | None:
    values = [value for value in map(of, starts) if value is not None]
    return median(values) if values else None


def _most(values: Iterable[Any]) -> Any:
    return max((value for value in values if value is not None), default=None)
