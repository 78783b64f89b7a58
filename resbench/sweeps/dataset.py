"""A sweep keeps its rows in a folder: parts of Parquet, which pandas, polars, DuckDB and pyarrow read at any time.

    DIR/part-000001.parquet, DIR/part-000002.parquet, ...     never changed once it is there, all of one schema
    DIR/../.DIR.waiting                                       rows that wait for their part, as a stream of Arrow
    DIR/../.DIR.writing                                       a part, until it is whole

No part is replaced while a sweep runs: readers open a file more than once, and would mix what was there with what is
there now. Parts come more seldom the longer a sweep runs, so they stay few; what waits is in the stream, so that a kill
loses no more than the batch that ran. Both lie beside the folder: polars reads a folder whole, or not at all where it
finds anything else in it.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.errors import MeasureError, OutputError, SourceError, first_line, foreign
from resbench.files import is_file, locked
from resbench.sweeps.choices import common

if TYPE_CHECKING:
    import pyarrow

FACTS = b"resbench"
"""The metadata of a part has the facts of the sweep under this key, as JSON."""

LEAST_S, SHARE = 2.0, 0.1
"""A part is written after so many seconds, or this share of the time that the sweep has run: some 90 in ten hours."""

MOST_PARTS = 200
"""More than so many are put together when a sweep begins."""

MOST_BATCHES = 256
"""More than so many that wait become one: a batch of one row takes twenty times as much memory as a row of many."""

Row = Mapping[str, Any]

TYPES = {int: "int64", float: "double", str: "string", bool: "bool"}
KINDS = {word: kind for kind, word in TYPES.items()}


class Dataset:
    """The rows of a sweep: those in the parts, and those that wait for theirs."""

    def __init__(
        self, folder: Path, columns: Mapping[str, type], facts: Mapping[str, Any], merge: Sequence[Path] = ()
    ) -> None:
        self.folder, self.columns, self.facts = folder, dict(columns), dict(facts)
        self.keys: set[str] = set()
        self.waiting: list[pyarrow.RecordBatch] = []
        self.stream: pyarrow.ipc.RecordBatchStreamWriter | None = None
        self.begun = self.last = time.monotonic()
        for one in (folder, *merge):
            self._widen(one)
        self._take()
        self.merged = sum(map(self._merge, merge))

    @property
    def rows(self) -> int:
        return len(self.keys)

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows of new keys; readers see them when it is time for a part. Raises OutputError."""
        if rows:
            self._wait(self._batch(rows))
        now = time.monotonic()
        if now - self.last > max(LEAST_S, SHARE * (now - self.begun)):
            self.write()

    def write(self) -> None:
        """Make a part of the rows that wait. Raises OutputError."""
        import pyarrow

        if self.waiting:
            self._write(pyarrow.Table.from_batches(self.waiting).combine_chunks())
        if self.stream:
            self.stream.close()
        beside(self.folder, "waiting").unlink(missing_ok=True)
        self.waiting, self.stream, self.last = [], None, time.monotonic()

    def table(self, columns: Sequence[str]) -> "pyarrow.Table":
        """Return columns of all rows, once they are written."""
        import pyarrow

        self.write()
        found = [_read(part, columns) for part in _parts(self.folder)]
        return pyarrow.concat_tables(found or [self.schema.empty_table().select(columns)])

    def _widen(self, folder: Path) -> None:
        """Have the columns of what lies in a folder too. Raises OutputError where it is of another space."""
        for path, schema in _schemas(folder):
            space = _space(path, schema)
            with _reading(path):
                theirs = {field.name: KINDS[str(field.type)] for field in schema}
            if space != self.facts["space"]:
                raise OutputError(
                    f"{folder} holds a sweep of the space {space}: expected that, or another --dir; "
                    f"received {self.facts['space']}"
                )
            for name, kind in theirs.items():
                ours = self.columns.get(name, kind)
                if ours != kind and {ours, kind} != {int, float}:
                    raise OutputError(
                        f"{folder} has {name} as {kind.__name__}, and the space as {ours.__name__}: "
                        "expected another --dir"
                    )
                self.columns[name] = common([ours, kind])

    def _take(self) -> None:
        """Take what is there, under one schema: parts that lack a column, or are too many, become one."""
        import pyarrow

        parts, rows = _parts(self.folder), 0
        for part in parts:
            keys = _read(part, ["key"])["key"].to_pylist()
            self.keys.update(keys)
            rows += len(keys)
        whole = self.schema
        alike = all(schema.equals(whole) for path, schema in _schemas(self.folder) if path in parts)
        if len(parts) > MOST_PARTS or rows > len(self.keys) or not alike:
            self.keys = set()
            self._write(pyarrow.concat_tables([self._new(_read(part)) for part in parts]).combine_chunks())
            for part in parts:
                part.unlink()
        for found in _left(self.folder):
            for batch in self._new(found).to_batches():
                self._keep(batch)
        self.write()

    def _merge(self, folder: Path) -> int:
        """Take the rows of another sweep that are not here, and say how many. Raises SourceError without a sweep."""
        tables = [*map(_read, _parts(folder)), *_left(folder)]
        if not tables:
            raise _none(folder, "name the folder of a sweep by --merge")
        before = len(self.keys)
        for found in tables:
            for batch in self._new(found).to_batches():
                self._wait(batch)
        return len(self.keys) - before

    def _new(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Return the rows that are not here yet, with all columns that there are now: those that it lacks are empty."""
        import pyarrow

        schema = self.schema
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pyarrow.nulls(table.num_rows, field.type))
        new = []
        for key in table["key"].to_pylist():
            new.append(key not in self.keys)
            self.keys.add(key)
        return table.select(schema.names).cast(schema).filter(new)

    def _batch(self, rows: Sequence[Row]) -> "pyarrow.RecordBatch":
        """Put rows into columns: most of them are empty, for a row has the figures of one question."""
        import pyarrow

        there = {name for row in rows for name in row}
        columns = [
            _array([row.get(name) for row in rows], kind) if name in there else pyarrow.nulls(len(rows), TYPES[kind])
            for name, kind in self.columns.items()
        ]
        return pyarrow.RecordBatch.from_arrays(columns, schema=self.schema)

    def _wait(self, batch: "pyarrow.RecordBatch") -> None:
        """Keep rows until their part is written. Raises OutputError."""
        import pyarrow

        path = beside(self.folder, "waiting")
        self._keep(batch)
        self.keys.update(batch["key"].to_pylist())
        with foreign(OutputError, lambda e: f"cannot write {path}: {first_line(e)}; what was there is kept"):
            if self.stream is None:
                self.stream = pyarrow.ipc.new_stream(path, batch.schema)
            self.stream.write_batch(batch)

    def _keep(self, batch: "pyarrow.RecordBatch") -> None:
        """Hold rows in memory."""
        import pyarrow

        self.waiting.append(batch)
        if len(self.waiting) > MOST_BATCHES:
            self.waiting = pyarrow.Table.from_batches(self.waiting).combine_chunks().to_batches()

    def _write(self, table: "pyarrow.Table") -> None:
        """Write the next part. Raises OutputError."""
        import pyarrow.parquet

        names = [one.stem.removeprefix("part-") for one in _parts(self.folder)]
        numbers = [int(name) for name in names if name.isdecimal()]
        path, writing = (
            self.folder.absolute() / f"part-{max(numbers, default=0) + 1:06}.parquet",
            beside(self.folder, "writing"),
        )
        with foreign(OutputError, lambda e: f"cannot write {path}: {first_line(e)}; what was there is kept"):
            pyarrow.parquet.write_table(table, writing, compression="zstd")
            writing.replace(path)

    @cached_property
    def schema(self) -> "pyarrow.Schema":
        """Say the type of each column: the same from the first row on, whatever the rows hold."""
        import pyarrow

        fields = [pyarrow.field(name, pyarrow.type_for_alias(TYPES[kind])) for name, kind in self.columns.items()]
        facts = json.dumps(self.facts, sort_keys=True).encode()
        return pyarrow.schema(fields, metadata={FACTS: facts})


def _array(values: Sequence[Any], kind: type) -> "pyarrow.Array":
    """Put values into Arrow's own layout: ``pyarrow.array`` would import pandas, a third of a sweep's memory."""
    import numpy as np
    import pyarrow

    def bits(each: Iterable[bool]) -> bytes:
        return np.packbits(np.fromiter(each, bool, len(values)), bitorder="little").tobytes()

    buffers: list[Any] = [bits(value is not None for value in values)]
    if kind is str:
        texts = [(value or "").encode() for value in values]
        buffers += [np.cumsum([0, *map(len, texts)], dtype=np.int32), b"".join(texts)]
    elif kind is bool:
        buffers += [bits(map(bool, values))]
    else:
        buffers += [
            np.array([0 if value is None else value for value in values], {int: np.int64, float: np.float64}[kind])
        ]
    arrow = pyarrow.type_for_alias(TYPES[kind])
    return pyarrow.Array.from_buffers(arrow, len(values), [pyarrow.py_buffer(one) for one in buffers])


def _check_pyarrow() -> None:
    """Raise MeasureError where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise MeasureError("a sweep keeps its rows by pyarrow: pip install 'resbench[sweep]'")


def _none(folder: Path, next_step: str) -> SourceError:
    """Say that a folder has no rows."""
    return SourceError(f"{folder} holds no sweep: expected files such as part-000001.parquet in it; {next_step}")


def _parts(folder: Path) -> list[Path]:
    return sorted(one for one in folder.absolute().glob("*.parquet") if is_file(one))


def beside(folder: Path, word: str) -> Path:
    """Return a hidden path on the disk of a folder, and not in it."""
    whole = folder.resolve()
    if not whole.name:
        raise OutputError(f"expected a folder with a name to keep rows in, received {folder}")
    return whole.with_name(f".{whole.name}.{word}")


def _reading(path: Path) -> AbstractContextManager[None]:
    return foreign(SourceError, lambda e: f"cannot read {path} as a sweep ({first_line(e)}); name another --dir")


def _space(path: Path, schema: "pyarrow.Schema") -> str:
    """Return the space that a file's rows are of. Raises SourceError where it is no part of a sweep."""
    with suppress(ValueError):
        facts = json.loads((schema.metadata or {}).get(FACTS, b"{}"))
        if isinstance(facts, dict) and isinstance(facts.get("space"), str):
            return str(facts["space"])
    raise SourceError(f"{path} is no part of a sweep: expected files of one sweep alone; name another --dir")


def _schemas(folder: Path) -> Iterator[tuple[Path, "pyarrow.Schema"]]:
    """Yield the schema of each file of a sweep. Raises SourceError."""
    import pyarrow.parquet

    for part in _parts(folder):
        with _reading(part):
            yield part, pyarrow.parquet.read_schema(part)
    for found in _left(folder):
        yield beside(folder, "waiting"), found.schema


def _read(part: Path, columns: Sequence[str] | None = None) -> "pyarrow.Table":
    """Read rows of a part, without what `read_table` imports for it. Raises SourceError."""
    from pyarrow.parquet import ParquetFile

    with _reading(part), ParquetFile(part) as file:
        return file.read(columns=columns)


def _left(folder: Path) -> Iterator["pyarrow.Table"]:
    """Yield the rows that a sweep which was killed had found and not yet put into a part."""
    import pyarrow

    path = beside(folder, "waiting")
    if not is_file(path):
        return
    try:
        with pyarrow.ipc.open_stream(path.read_bytes()) as stream:
            for batch in stream:
                yield pyarrow.Table.from_batches([batch])
    except (pyarrow.ArrowInvalid, OSError):
        return  # the last batch was not written to its end


@contextmanager
def opened(
    folder: Path, columns: Mapping[str, type], facts: Mapping[str, Any], merge: Sequence[Path] = ()
) -> Iterator[Dataset]:
    """Hold the dataset of a folder, for one sweep at a time; whatever ends it, what it has is written.

    Raises OutputError where another sweep holds it, or it is of another space.
    """
    _check_pyarrow()
    beside(folder, "waiting")
    with locked(folder):
        held = Dataset(folder, columns, facts, merge)
        try:
            yield held
        finally:
            held.write()


def rows_of(folder: Path) -> tuple[str, "pyarrow.Table"]:
    """Return the space and the rows of a sweep, also while it runs.

    Raises SourceError where there is none, and MeasureError without pyarrow.
    """
    _check_pyarrow()
    import pyarrow

    parts = _parts(folder)
    if not parts:
        raise _none(folder, "run `resbench sweep` first, or name its folder by --dir")
    tables = [_read(part) for part in parts]
    space = _space(parts[0], tables[0].schema)
    with _reading(parts[0]):
        return space, pyarrow.concat_tables(tables)
