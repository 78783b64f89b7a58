"""What every chart has in common: the kinds of file, and how one is written."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from resbench.errors import OptionError
from resbench.tables.output import write

SUFFIXES = (".svg", ".png", ".pdf", ".html")


def check_suffix(path: Path) -> None:
    """Raises OptionError unless the name says how to draw."""
    if path.suffix.lower() not in SUFFIXES:
        raise OptionError(f"--plot takes a file that ends in {', '.join(SUFFIXES)}; received {path.name!r}")


def save(chart: Any, path: Path) -> None:
    """An altair chart as its file's name says; HTML loads nothing from elsewhere. Raises OutputError."""
    kind = path.suffix.lower()[1:]
    held: Any = StringIO() if kind in ("svg", "html") else BytesIO()
    options: dict[str, Any] = {"html": {"inline": True}, "png": {"scale_factor": 2}}
    chart.save(held, format=kind, **options.get(kind, {}))
    write(path, held.getvalue())
