"""This module counts the processors that this process may use."""

import os


def usable_cores() -> int | None:
    """Count the usable cores: all of them where the system does not say which, None where it says nothing."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
