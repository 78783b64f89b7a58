"""A table holds rows of numbers under columns; only ``render.py`` turns them into text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas

Kind = Literal["text", "prose", "shape", "exact", "count", "bytes", "seconds", "rate", "share", "ratio", "number"]


@dataclass(frozen=True)
class Column:
    """A column has a ``key``, its name in CSV and JSON, a ``title`` for people, and a kind that says how it prints:

    prose   text that a terminal may break into lines
    exact   25,557,032          every digit
    count   4.089 under "(G)"   one SI scale for the column
    bytes   97.49 under "(MiB)" one binary scale for the column
    seconds 12.345 under "(ms)" one scale for the column
    rate    1,234.5             four digits or more
    share   12.3 under "(%)"    a fraction
    ratio   0.103x              relative to the first row
    number  9.24e+03            three digits of any size
    """

    key: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True)
class Table:
    """A table has rows of plain values, one per column; a missing value is None and prints blank.

    The ``footer`` holds totals: they are printed for people, and left out of CSV and TSV. The ``warnings`` are the
    first notes, and go to stderr where a format has no notes.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    title: str = ""
    notes: Sequence[str] = ()
    footer: Sequence[Sequence[Any]] = ()
    warnings: Sequence[str] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return the lines that stand below the rows."""
        return (*self.warnings, *self.notes)

    def records(self) -> list[dict[str, Any]]:
        """Return one dictionary a row, keyed by column."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return the rows as a DataFrame; the columns keep their keys and their numbers."""
        import pandas

        return pandas.DataFrame(self.records(), columns=[column.key for column in self.columns])
