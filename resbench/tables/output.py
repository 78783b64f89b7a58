"""This module sends results to a terminal, a pipe or a file."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from resbench.errors import OptionError
from resbench.files import write
from resbench.tables.render import Format, render, to_terminal
from resbench.tables.table import Table

SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".tex": "latex",
    ".html": "html",
}


def choose(format: str | None, path: Path | None) -> Format:
    """Return the format asked for, else the one that the file's suffix names, else a table. Raises OptionError."""
    if format is None:
        return SUFFIXES.get(path.suffix.lower(), "table") if path else "table"
    if format not in get_args(Format):
        raise OptionError(f"--format takes {', '.join(get_args(Format))}; received {format!r}")
    return format  # type: ignore[return-value]


def emit(table: Table, document: Mapping[str, Any], format: str | None = None, path: Path | None = None) -> None:
    """Write one result: the table in a format for people or spreadsheets, or the document as JSON."""
    emit_all([table], document, format, path)


def emit_all(
    tables: Sequence[Table], document: Mapping[str, Any], format: str | None = None, path: Path | None = None
) -> None:
    """Write a result of several tables; CSV and TSV hold one. Raises OptionError or OutputError."""
    chosen = choose(format, path)
    if chosen in ("csv", "tsv"):
        (table,) = tables
        for warning in table.warnings:
            print(f"resbench: {warning}", file=sys.stderr)
    if chosen == "table" and path is None and sys.stdout.isatty():
        for i, table in enumerate(tables):
            if i and tables[i - 1].remarks:
                print()
            to_terminal(table, shutil.get_terminal_size().columns)
        return
    written = {**document, "made_with": command_line()}
    text = json.dumps(written, indent=1) if chosen == "json" else "\n\n".join(render(t, chosen) for t in tables)
    if path is None:
        print(text)
    else:
        write(path, text + "\n")


def command_line() -> str | None:
    """Return the command line of this process for a shell; it is None where resbench is used from Python."""
    own = Path(sys.argv[0])
    named = own.stem == "resbench" or (own.name == "__main__.py" and own.parent.name == "resbench")
    return shlex.join(["resbench", *sys.argv[1:]]) if named else None
