"""A table shows claims, with what they should say below; in a terminal each claim has lines of its own."""

from collections.abc import Sequence
from textwrap import wrap
from typing import NamedTuple

from resbench.tables.table import Column, Table
from resbench.units import scale


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

    def lines(self, width: int) -> list[str]:
        """Return the verdict with the claim, and below it the figure, what is correct, and how to ask again."""
        number = f"{self.id:>2}. "
        divisor, unit = scale([self.seconds], "seconds")
        below = (self.figure, self.correct, f"{self.seconds / divisor:.3g} {unit}; again: {self.rerun}")
        paragraphs = [(f"{self.verdict}: {self.statement}", number), *((text, " " * len(number)) for text in below)]
        return [
            line
            for text, start in paragraphs
            for line in wrap(
                text,
                width,
                initial_indent=start,
                subsequent_indent=" " * len(number),
                break_long_words=False,
                break_on_hyphens=False,
            )
        ]


COLUMNS = (
    Column("id", "id", "exact"),
    Column("verdict", "verdict"),
    Column("statement", "claim", "prose"),
    Column("figure", "figure", "prose"),
    Column("seconds", "time", "seconds"),
)
TITLE = "Claims of residual learning"

FURTHER = (Column("correct", "correct", "prose"), Column("expected", "expected"), Column("rerun", "rerun"))


def claim_table(claims: Sequence[Finding], machine: str, whole: bool) -> Table:
    """Return a row for each claim. ``whole`` adds what it should say, what was expected and how to ask again."""
    columns = (*COLUMNS, *(FURTHER if whole else ()))
    rows = [[getattr(one, column.key) for column in columns] for one in claims]
    notes = [] if whole else [f"{one.id}. {one.correct} Again: {one.rerun}" for one in claims]
    return Table(columns, rows, TITLE, [*notes, machine], warnings=_news(claims))


def claim_lines(claims: Sequence[Finding], machine: str, width: int) -> str:
    """Write a paragraph for each claim, in lines of that width."""
    paragraphs = [one.lines(width) for one in claims]
    below = [line for text in (*_news(claims), machine) for line in wrap(text, width)]
    return "\n\n".join("\n".join(lines) for lines in ([TITLE], *paragraphs, below))


def _news(claims: Sequence[Finding]) -> list[str]:
    """Say of which claims the verdict is not the expected one."""
    return [
        f"Claim {one.id}: expected {one.expected!r}, found {one.verdict!r}." for one in claims if not one.as_expected
    ]
