"""Points that were evaluated lie in a file, a line each: whatever ends a run, the next one goes on behind the last."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from resbench.errors import OutputError, first_line, foreign
from resbench.files import is_file, write
from resbench.landscapes.losses import Value
from resbench.training.checkpoint import named

Shares = tuple[float, float]
"""A point is so much of the first direction, and so much of the second."""


class Kept:
    """The values of one plane, by their shares, and the file where new ones go."""

    def __init__(self, values: dict[Shares, Value], file: IO[bytes] | None) -> None:
        self.values, self._file = values, file

    def add(self, shares: Shares, value: Value) -> None:
        """Keep a value. Raises OutputError."""
        self.values[shares] = value
        if self._file:
            with foreign(OutputError, lambda error: f"cannot write {self._file.name}: {first_line(error)}"):  # type: ignore[union-attr]
                self._file.write(json.dumps([*shares, *value]).encode() + b"\n")
                self._file.flush()


@contextmanager
def kept(folder: Path | None, name: str, key: Mapping[str, Any]) -> Iterator[Kept]:
    """Open the points of a plane that ``key`` names: another would differ in one of its values. Raises OutputError."""
    if folder is None:
        yield Kept({}, None)
        return
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{named(name)}-{digest}.points"
    with foreign(OutputError, lambda error: f"cannot write {path}: {first_line(error)}; name a folder with --dir"):
        folder.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if is_file(path) else b""
        lines = content.splitlines(keepends=True)
        values = dict(filter(None, map(_point, lines)))
        if lines and len(values) < len(lines):  # a killed process may have left half a line, and a disk anything
            write(path, b"".join(line for line in lines if _point(line)))
        file = path.open("ab")
    with file:
        yield Kept(values, file)


def _point(line: bytes) -> tuple[Shares, Value] | None:
    """Read a point; what is none will be evaluated again."""
    try:
        a, b, loss, error = json.loads(line)
    except (ValueError, TypeError):
        return None
    numbers = all(type(one) in (int, float) for one in (a, b, loss, error))
    return ((a, b), Value(loss, error)) if numbers and line.endswith(b"\n") else None
