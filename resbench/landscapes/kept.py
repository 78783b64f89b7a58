"""Points that were evaluated lie in a file, a line each: whatever ends a run, the next one goes on behind the last."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from resbench.errors import OutputError, first_line, foreign
from resbench.files import is_file, write
from resbench.training.checkpoint import named

Shares = tuple[float, float]
"""A point is so much of the first direction, and so much of the second."""


Held = TypeVar("Held", bound=tuple[float, ...])
"""What is kept of a point is a named tuple of numbers."""


class Kept(Generic[Held]):
    """The values of one plane, by their shares, and the file where new ones go."""

    def __init__(self, values: dict[Shares, Held], file: IO[bytes] | None) -> None:
        self.values, self._file = values, file

    def add(self, shares: Shares, value: Held) -> None:
        """Keep a value. Raises OutputError."""
        self.values[shares] = value
        if self._file:
            with foreign(OutputError, lambda error: f"cannot write {self._file.name}: {first_line(error)}"):  # type: ignore[union-attr]
                self._file.write(json.dumps([*shares, *value]).encode() + b"\n")
                self._file.flush()


@contextmanager
def kept(folder: Path | None, name: str, key: Mapping[str, Any], make: Callable[..., Held]) -> Iterator[Kept[Held]]:
    """Open the points of a plane that ``key`` names: another would differ in one of its values. ``make`` is called with
    the numbers of a point. Raises OutputError."""
    if folder is None:
        yield Kept({}, None)
        return
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    path = folder / f"{named(name)}-{digest}.points"
    with foreign(OutputError, lambda error: f"cannot write {path}: {first_line(error)}; name a folder with --dir"):
        folder.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if is_file(path) else b""
        lines = content.splitlines(keepends=True)
        points = [(line, point) for line in lines if (point := _point(line, make))]
        values = dict(point for _, point in points)
        if len(values) < len(lines):  # a killed process may have left half a line, and a disk anything
            write(path, b"".join(line for line, _ in points))
        file = path.open("ab")
    with file:
        yield Kept(values, file)


def _point(line: bytes, make: Callable[..., Held]) -> tuple[Shares, Held] | None:
    """Read a point; what is none will be evaluated again."""
    try:
        a, b, *numbers = json.loads(line)
        value = make(*numbers)
    except (ValueError, TypeError):
        return None
    known = all(type(one) in (int, float) for one in (a, b, *numbers))
    return ((a, b), value) if known and line.endswith(b"\n") else None
