"""Claims as a table, with what they should say below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.lessons.result import Claims

COLUMNS = (
    Column("id", "id", "exact"),
    Column("verdict", "verdict"),
    Column("statement", "claim", "prose"),
    Column("figure", "figure", "prose"),
    Column("seconds", "time", "seconds"),
)
FURTHER = (Column("correct", "correct", "prose"), Column("expected", "expected"), Column("rerun", "rerun"))


def claim_table(result: Claims, whole: bool) -> Table:
    """Return a row for each claim. ``whole`` adds what it should say, what was expected and how to ask again."""
    columns = (*COLUMNS, *(FURTHER if whole else ()))
    rows = [[getattr(one, column.key) for column in columns] for one in result.claims]
    notes = [] if whole else [f"{one.id}. {one.correct} Again: {one.rerun}" for one in result.claims]
    warnings = [
        f"Claim {one.id}: expected {one.expected!r}, found {one.verdict!r}."
        for one in result.claims
        if not one.as_expected
    ]
    return Table(columns, rows, "Claims of residual learning", [*notes, result.environment.note], warnings=warnings)
