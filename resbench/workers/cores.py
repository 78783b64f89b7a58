"""This module counts the processors that this process may use, and keeps it to some of them."""

import os
from collections.abc import Sequence
from pathlib import Path

SIBLINGS = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
"""The system lists here which processors are threads of one core."""


def usable_cores() -> int | None:
    """Count the usable cores: all of them where the system does not say which, None where it says nothing."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def chosen_cores(threads: int, root: Path = Path("/")) -> tuple[int, ...]:
    """Choose as many of the usable processors as there are threads, each on a core of its own while there are any.

    The answer is empty where there are fewer, or the system cannot keep a process to some.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    usable = sorted(os.sched_getaffinity(0))
    seen: dict[str, int] = {}
    turns = []
    for processor in usable:
        core = _siblings(processor, root)
        turns.append((seen.get(core, 0), processor))
        seen[core] = seen.get(core, 0) + 1
    return tuple(sorted(processor for _, processor in sorted(turns)[:threads])) if threads <= len(usable) else ()


def keep_to(processors: Sequence[int]) -> None:
    """Keep this process, and the threads that it starts, to these processors; to all where there are none."""
    if processors:
        os.sched_setaffinity(0, processors)


def _siblings(processor: int, root: Path) -> str:
    try:
        return (root / SIBLINGS.format(processor)).read_text(encoding="ascii").strip()
    except OSError:
        return str(processor)
