"""This module makes the tables of a profile's views."""

from collections.abc import Mapping, Sequence
from typing import Any

from resbench.tables.table import Column, Table

COLUMNS = {
    "overview": (
        Column("part", "average step"),
        Column("seconds", "time", "seconds"),
        Column("share", "share", "share"),
    ),
    "operators": (
        Column("name", "operator"),
        Column("calls", "calls", "exact"),
        Column("device_self_s", "device self", "seconds"),
        Column("device_total_s", "device total", "seconds"),
        Column("host_self_s", "host self", "seconds"),
        Column("host_total_s", "host total", "seconds"),
    ),
    "kernels": (
        Column("name", "kernel"),
        Column("calls", "calls", "exact"),
        Column("total_s", "total", "seconds"),
        Column("mean_s", "mean", "seconds"),
        Column("tensor_cores", "tensor cores"),
    ),
    "modules": (
        Column("name", "module"),
        Column("type", "type"),
        Column("calls", "calls", "exact"),
        Column("operators", "operators", "exact"),
        Column("host_self_s", "host self", "seconds"),
        Column("host_total_s", "host total", "seconds"),
        Column("device_total_s", "device total", "seconds"),
    ),
    "ranges": (
        Column("name", "range"),
        Column("calls", "calls", "exact"),
        Column("host_self_s", "host self", "seconds"),
        Column("host_total_s", "host total", "seconds"),
        Column("device_total_s", "device total", "seconds"),
    ),
    "memory": (
        Column("name", "operator"),
        Column("device", "device"),
        Column("calls", "calls", "exact"),
        Column("allocations", "allocations", "exact"),
        Column("allocated_bytes", "allocated", "bytes"),
        Column("increase_bytes", "increase", "bytes"),
        Column("self_increase_bytes", "own increase", "bytes"),
    ),
    "advice": (Column("advice", "the plugin recommends"),),
}


def profile_table(view: str, rows: Sequence[Mapping[str, Any]], shown: int | None) -> Table:
    """Make the table of one view; of a long one it has the first rows, which took most."""
    columns = [column for column in COLUMNS[view] if any(row[column.key] for row in rows)]
    cut = rows[:shown]
    notes = [f"{len(rows) - len(cut)} more; --view {view} --format csv has all."] if len(cut) < len(rows) else []
    return Table(columns, [[row[column.key] for column in columns] for row in cut], view.capitalize(), notes)
