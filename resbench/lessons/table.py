"""Claims as a table, with what they should say below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.lessons.measure import Finding
    from resbench.workers.environment import Environment

COLUMNS = (
    Column("id", "id", "exact"),
    Column("verdict", "verdict"),
    Column("statement", "claim", "prose"),
    Column("figure", "figure", "prose"),
    Column("seconds", "time", "seconds"),
)
FURTHER = (Column("correct", "correct", "prose"), Column("expected", "expected"), Column("rerun", "rerun"))


def claim_table(findings: Sequence[Finding], here: Environment, whole: bool) -> Table:
    """A row for each claim. ``whole``: also what it should say, what was expected and how to ask again."""
    columns = (*COLUMNS, *(FURTHER if whole else ()))
    rows = [[record(finding)[column.key] for column in columns] for finding in findings]
    notes = [] if whole else [f"{f.claim.id}. {f.claim.correct} Again: {f.claim.rerun}" for f in findings]
    warnings = [
        f"Claim {f.claim.id}: expected {f.expected!r}, found {f.answer.verdict!r}."
        for f in findings
        if not f.as_expected
    ]
    return Table(columns, rows, "Claims of residual learning", [*notes, here.note], warnings=warnings)


def record(finding: Finding) -> dict[str, Any]:
    """One claim, by the keys of the columns."""
    claim, answer = finding.claim, finding.answer
    return {
        "id": claim.id,
        "statement": claim.statement,
        "verdict": answer.verdict,
        "figure": answer.figure,
        "seconds": finding.seconds,
        "correct": claim.correct,
        "expected": finding.expected,
        "rerun": claim.rerun,
    }


def claim_document(findings: Sequence[Finding], here: Environment) -> dict[str, Any]:
    """Everything, for programs."""
    claims = [{**record(finding), "as_expected": finding.as_expected} for finding in findings]
    return {"schema": 1, "command": "claims", "environment": here.document(), "claims": claims}
