"""Where what was measured of a machine is kept from call to call."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from resbench.errors import OutputError
from resbench.tables.output import write


def cache(name: str) -> Path | None:
    """Where a file of that name is kept; None without a home."""
    with suppress(RuntimeError):
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        return Path(base or Path.home() / ".cache", "resbench", name)
    return None


def keep(path: Path | None, text: str) -> None:
    """Where nothing can be written, the next call measures again."""
    if path:
        with suppress(OSError, OutputError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)
