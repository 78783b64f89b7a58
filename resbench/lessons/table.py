"""A table shows claims, with what they should say below."""

from collections.abc import Sequence
from typing import NamedTuple

from resbench.tables.table import Column, Table


class Finding(NamedTuple):
    """A finding is a claim as it is made and as it should be made, and what came of it."""

    id: int
    statement: str
    correct: str
    rerun: str
    """This command asks again, at full scale."""
    verdict: str
    figure: str
    expected: str
    seconds: float

    @property
    def as_expected(self) -> bool:
        """Tell if the verdict is the one that was expected."""
        return self.verdict == self.expected


COLUMNS = (
    Column("id", "id", "exact"),
    Column("verdict", "verdict"),
    Column("statement", "claim", "prose"),
    Column("figure", "figure", "prose"),
    Column("seconds", "time", "seconds"),
)
FURTHER = (Column("correct", "correct", "prose"), Column("expected", "expected"), Column("rerun", "rerun"))


def claim_table(claims: Sequence[Finding], machine: str, whole: bool) -> Table:
    """Return a row for each claim. ``whole`` adds what it should say, what was expected and how to ask again."""
    columns = (*COLUMNS, *(FURTHER if whole else ()))
    rows = [[getattr(one, column.key) for column in columns] for one in claims]
    notes = [] if whole else [f"{one.id}. {one.correct} Again: {one.rerun}" for one in claims]
    warnings = [
        f"Claim {one.id}: expected {one.expected!r}, found {one.verdict!r}." for one in claims if not one.as_expected
    ]
    return Table(columns, rows, "Claims of residual learning", [*notes, machine], warnings=warnings)
