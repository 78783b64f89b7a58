"""The kernel keeps account of the memory that a process has in use, and of the most that it had."""

import re
from pathlib import Path

STATUS = Path("/proc/self/status")
"""``getrusage`` says more for a process that was forked: what its parent had at that moment."""


def resident_bytes(status: Path = STATUS) -> int | None:
    """Return what this process has in use now, shared pages of files included; None where nothing says (macOS)."""
    return _line("VmRSS", status)


def peak_resident_bytes(status: Path = STATUS) -> int | None:
    """Return the most that this process has had in use since it began; None where nothing says (macOS)."""
    return _line("VmHWM", status)


def _line(name: str, status: Path) -> int | None:
    try:
        found = re.search(rf"^{name}:\s*(\d+) kB", status.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
