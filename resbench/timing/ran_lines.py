"""What ran beside what was asked for, in the words that stand under a table and the keys that stand in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resbench.timing.ran import Ran
    from resbench.timing.roofline import Roof
    from resbench.workers.workload import Setup

UNCOMPILED = "Of compiled code, bytes and memory are those of its operators run one by one."


def counted_as_written(setup: Setup, ran: Ran | None) -> bool:
    """On an NVIDIA GPU the peak is the device's own, also of compiled parts."""
    return setup.compile or (ran is not None and ran.compiled and not setup.device.startswith("cuda"))


def ran_lines(name: str, setup: Setup, ran: Ran | None) -> list[str]:
    """Where what ran is not what was asked for."""
    differs = ran.differences(setup) if ran else []
    return [f"{name}: {'; '.join(differs)}."] if differs else []


def without_roof_lines(name: str, ran: Ran | None, roof: Roof | None) -> list[str]:
    """Why its figures stand under no roof."""
    if ran is None or roof or not ran.products:
        return []
    return [f"{name}: no share of a roof, for there is none of {ran.dtype} on {ran.device} with {ran.threads_words}."]


def setup_lines(rows: Iterable[tuple[str, Setup, Ran | None]]) -> list[str]:
    """The setup under a table, as it ran; one for each where the rows ran in several."""
    models: dict[str, list[str]] = {}
    for model, setup, ran in rows:
        models.setdefault(setup_words(setup, ran), []).append(model)
    if len(models) < 2:
        return [f"Setup: {words}." for words in models]
    return [f"Setup of {', '.join(dict.fromkeys(names))}: {words}." for words, names in models.items()]


def setup_words(setup: Setup, ran: Ran | None = None) -> str:
    """``cpu, fp32, contiguous, inference, warm caches``: what ran, and where that is not known what was asked for."""
    threads = f"{setup.threads} threads" if setup.threads else ""
    where = [setup.device, setup.dtype, setup.memory_format]
    compiled, switches = setup.compile, tuple[str, ...]()
    if ran:
        where = [a or b for a, b in zip((ran.device, ran.dtype, ran.memory_format), where, strict=True)]
        threads = ran.threads_words if threads or ran.threads != (ran.asked_threads,) else ""
        compiled, switches = ran.compiled, ran.switches
    words = [*where, setup.mode, f"{setup.cache} caches", "compiled" if compiled else "", threads]
    return ", ".join([*filter(None, words), *switches])
