"""A sweep keeps its rows in a folder: one file of Parquet, which pandas, polars, DuckDB and pyarrow read at any time.

The file is replaced whole: a reader sees the rows of before or those of now, also after a crash, and all of one schema.
What is being written lies beside the folder, under a hidden name: polars reads a folder whole, or not at all where it
finds anything else in it.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.errors import MeasureError, OutputError, SourceError, first_line, foreign
from resbench.files import is_file, locked

if TYPE_CHECKING:
    import pyarrow

FILE = "cells.parquet"
FACTS = b"resbench"
"""The file's metadata has the facts of the sweep under this key, as JSON."""

LEAST_S, SHARE = 2.0, 0.05
"""Rows are written after so many seconds at least, and so that writing takes at most this share of the time."""

Row = Mapping[str, Any]

TYPES = {int: "int64", float: "double", str: "string", bool: "bool"}


class Dataset:
    """The rows of a sweep, by their keys: those in the file, and those that wait to be written."""

    def __init__(self, folder: Path, columns: Mapping[str, type], facts: Mapping[str, Any]) -> None:
        self.path, self.columns, self.facts = folder / FILE, dict(columns), dict(facts)
        self.written: pyarrow.Table | None = None
        self.waiting: list[Row] = []
        self.keys: set[str] = set()
        self.last, self.took_s = time.monotonic(), 0.0
        if is_file(self.path):
            self._take()

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows; they are written when it is time."""
        self.waiting += rows
        self.keys.update(row["key"] for row in rows)
        if time.monotonic() - self.last > max(LEAST_S, self.took_s / SHARE):
            self.write()

    def write(self) -> None:
        """Replace the file by one that has all rows. Raises OutputError."""
        import pyarrow
        import pyarrow.parquet

        begun = time.monotonic()
        schema = self._schema()
        table = pyarrow.Table.from_pylist([dict(row) for row in self.waiting], schema)
        if self.written is not None:
            table = pyarrow.concat_tables([self._fitted(self.written), table]).combine_chunks()
        folder = self.path.parent.absolute()
        beside = folder.with_name(f".{folder.name}.writing")
        with foreign(OutputError, lambda e: f"cannot write {self.path}: {first_line(e)}; what was there is kept"):
            pyarrow.parquet.write_table(table, beside, compression="zstd")
            beside.replace(self.path)
        self.written, self.waiting = table, []
        self.last = time.monotonic()
        self.took_s = self.last - begun

    def merge(self, folder: Path) -> int:
        """Take the rows of another sweep of this space that are not here, and say how many. Raises SourceError where
        there is none, and OutputError for one of another space."""
        if not is_file(folder / FILE):
            raise SourceError(f"{folder} holds no sweep: expected {FILE} in it")
        other = Dataset(folder, self.columns, self.facts)
        assert other.written is not None
        new = [key not in self.keys for key in other.written["key"].to_pylist()]
        self.columns = other.columns
        self.add(other.written.filter(new).to_pylist())
        return sum(new)

    def table(self) -> "pyarrow.Table":
        """Return all rows, once they are written."""
        if self.waiting or self.written is None:
            self.write()
        assert self.written is not None
        return self.written

    def _take(self) -> None:
        """Read what is there: columns that it lacks are empty in its rows, and those that are new to us stay."""
        import pyarrow
        import pyarrow.parquet

        with foreign(
            SourceError, lambda e: f"cannot read {self.path} as a sweep ({first_line(e)}); name another --dir"
        ):
            found = pyarrow.parquet.read_table(self.path)
            facts = json.loads((found.schema.metadata or {})[FACTS])
        if facts["space"] != self.facts["space"]:
            raise OutputError(
                f"{self.path.parent} holds a sweep of the space {facts['space']}: expected that, or another --dir; "
                f"received {self.facts['space']}"
            )
        names = {str(kind): python for python, kind in TYPES.items()}
        self.columns |= {f.name: names[str(f.type)] for f in found.schema if f.name not in self.columns}
        self.written = self._fitted(found)
        self.keys.update(self.written["key"].to_pylist())

    def _fitted(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Return rows with all columns that there are now: those that it lacks are empty."""
        import pyarrow

        schema = self._schema()
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pyarrow.nulls(table.num_rows, field.type))
        return table.select(schema.names).cast(schema)

    def _schema(self) -> "pyarrow.Schema":
        """Say the type of each column: the same from the first row on, whatever the rows hold."""
        import pyarrow

        fields = [pyarrow.field(name, pyarrow.type_for_alias(TYPES[kind])) for name, kind in self.columns.items()]
        facts = json.dumps(self.facts, sort_keys=True).encode()
        return pyarrow.schema(fields, metadata={FACTS: facts})


@contextmanager
def opened(folder: Path, columns: Mapping[str, type], facts: Mapping[str, Any]) -> Iterator[Dataset]:
    """Hold the dataset of a folder, for one sweep at a time; whatever ends it, what it has is written.

    Raises OutputError where another sweep holds it, or it is of another space.
    """
    if find_spec("pyarrow") is None:
        raise MeasureError("a sweep keeps its rows by pyarrow: pip install 'resbench[sweep]'")
    with locked(folder):
        held = Dataset(folder, columns, facts)
        try:
            yield held
        finally:
            if held.waiting:
                held.write()
