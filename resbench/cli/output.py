"""Where results go: a terminal, a pipe, or a file that is written whole."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from resbench.drawing.charts import check_suffix
from resbench.errors import OptionError
from resbench.files import check_writable, write
from resbench.results import Result
from resbench.tables.render import SUFFIXES, Format, render, to_terminal
from resbench.tables.table import Table


def choose(format: str | None, path: Path | None) -> Format:
    """The format that is asked for, else the one that the file's name says, else a table. Raises OptionError."""
    if format is None:
        return SUFFIXES.get(path.suffix.lower(), "table") if path else "table"
    if format not in get_args(Format):
        raise OptionError(f"--format takes {', '.join(get_args(Format))}; received {format!r}")
    return format  # type: ignore[return-value]


def checked(format: str | None, output: Path | None, plot: Path | None = None) -> Format:
    """The format, once all is refused that can be before anything is measured."""
    chosen = choose(format, output)
    for path in filter(None, (output, plot)):
        check_writable(path)
    if plot:
        check_suffix(plot)
    return chosen


def emit(
    result: Result, format: str | None = None, path: Path | None = None, tables: Sequence[Table] | None = None
) -> None:
    """Write a result: its tables, or others of it, for people and spreadsheets, or the whole as JSON."""
    chosen = choose(format, path)
    if chosen in ("csv", "tsv"):
        tables = tables or [result.flat()]
        for warning in tables[0].warnings:
            print(f"resbench: {warning}", file=sys.stderr)
    if chosen == "json":
        text = result.to_json(command_line())
    else:
        tables = result.tables() if tables is None else tables
        if chosen == "table" and path is None and sys.stdout.isatty():
            _to_terminal(tables)
            text = ""
        else:
            text = "\n\n".join(render(table, chosen) for table in tables)
    if path:
        write(path, text + "\n")
        return
    if text:
        print(text)
    if chosen == "table":
        print(result.sketch(shutil.get_terminal_size().columns, sys.stdout.isatty()), end="")


def _to_terminal(tables: Sequence[Table]) -> None:
    for i, table in enumerate(tables):
        if i and tables[i - 1].remarks:
            print()
        to_terminal(table, shutil.get_terminal_size().columns)


def command_line() -> str | None:
    """The command that this process is, for a shell; None where resbench is used from Python."""
    own = Path(sys.argv[0])
    named = own.stem == "resbench" or (own.name == "__main__.py" and own.parent.name == "resbench")
    return shlex.join(["resbench", *sys.argv[1:]]) if named else None
