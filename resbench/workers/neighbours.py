"""Other programs take cores while something is timed: a fast network on a busy machine looks like a slow one."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

SHARE = 0.1
"""A thread that lacks its core for less of the time says nothing: every system does something beside."""


def taken(root: Path = Path("/")) -> Callable[[], float | None]:
    """Begin to watch, and return what tells how many cores others have had since; None where nothing says (macOS).

    Of the cores that this process may use, the kernel's account of all but what this process had itself.
    """
    begun, before = time.monotonic(), _others_s(root)

    def cores() -> float | None:
        now, seconds = _others_s(root), time.monotonic() - begun
        return None if before is None or now is None or not seconds else max(0.0, (now - before) / seconds)

    return cores


def _others_s(root: Path) -> float | None:
    """Return the seconds that others have had of the usable cores; also a host that gave them to other machines."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    try:
        text = (root / "proc/stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    usable, ticks = os.sched_getaffinity(0), 0
    for core, times in re.findall(r"^cpu(\d+) (.+)$", text, re.MULTILINE):
        if int(core) in usable:
            user, nice, system, _idle, _waiting, *more = map(int, times.split())
            ticks += user + nice + system + sum(more[:3])  # interrupts, and what the host took; guests are in user
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def crowded(others: float | None, threads: int, cores: object) -> str:
    """Say that others took cores that these threads wanted; the text is empty where there was room, or nobody knows.

    >>> crowded(0.95, threads=2, cores=2)
    'the machine was busy: other programs took 0.9 of 2 cores while 2 threads ran; alone it may be faster'
    >>> crowded(0.95, threads=1, cores=2), crowded(None, threads=2, cores=2)
    ('', '')
    """
    if others is None or not isinstance(cores, int) or others - (cores - threads) <= SHARE * threads:
        return ""
    return (
        f"the machine was busy: other programs took {others:.1f} of {cores} core{'s' if cores > 1 else ''} while "
        f"{threads} thread{'s' if threads > 1 else ''} ran; alone it may be faster"
    )
