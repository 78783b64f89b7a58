"""The threads of an operator wait for the last of them: where nothing is timed and others take cores, asleep.

By themselves they spin for some milliseconds (GNU's OpenMP, of which torch's wheels for Linux bring a copy), which is
the fastest as long as each has a core. Where another program has one of them, they spin for as long as it keeps it.
OpenMP reads how to wait once, when torch is loaded: so the machine is looked at before that. How threads wait changes
no number that they compute. This module loads no torch.
"""

import os
import sys
import time

from resbench.workers.neighbours import taken

VARIABLE = "OMP_WAIT_POLICY"
DECIDE = (VARIABLE, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Who has set one of these has decided: the second is GNU's, the third LLVM's and Intel's."""

WATCHED_S = 0.2
"""The machine is watched for so long, in seconds, before torch is loaded."""

ROOM = 0.25
"""Where others take no more than this of a core, there is room: every system does something beside."""

IN_ROOM = "active in room"
"""So waits who spins first because others took no core when the process began."""

_set_here: dict[str, str] = {}


def adapt_waiting() -> None:
    """Let this process's threads sleep while they wait where others take cores, or nobody knows whether they do.

    Nothing is done where torch is loaded already, or the user has decided.
    """
    if "torch" in sys.modules or _set_here or any(name in os.environ for name in DECIDE):
        return
    cores = taken()
    time.sleep(WATCHED_S)
    _set_here[VARIABLE] = "PASSIVE" if crowds(cores()) else IN_ROOM
    if _set_here[VARIABLE] == "PASSIVE":
        os.environ[VARIABLE] = "PASSIVE"


def crowds(others: float | None) -> bool:
    """Tell whether other programs that take so many cores leave no room, or nobody knows how many they take.

    >>> crowds(0.02), crowds(1.0), crowds(None)
    (False, True, True)
    """
    return others is None or others > ROOM


def waiting() -> str:
    """Tell how the threads of this process wait: ``passive``, asleep at once, or ``active``, spinning first, which
    they do ``active in room`` where that was chosen here."""
    asked = os.environ.get(VARIABLE, "").lower() == "passive"
    if asked or any(os.environ.get(name) == "0" for name in DECIDE[1:]):
        return "passive"
    return IN_ROOM if _set_here.get(VARIABLE) == IN_ROOM else "active"


def as_given() -> dict[str, str]:
    """Return the environment variables for a process that is timed: without what was set here."""
    return {name: value for name, value in os.environ.items() if _set_here.get(name) != value}


def waiting_lines(how: object, threads: object) -> list[str]:
    """Say in a line that several threads spun where nothing was timed, which takes long beside other programs."""
    if threads in (None, 1):
        return []
    if how == IN_ROOM:
        return [f"The {threads} threads spun while they waited: no other program took a core when this began."]
    if how != "active":
        return []
    return [
        f"The {threads} threads spun while they waited, for torch was loaded before this call, or so it was asked: "
        f"beside other programs set {VARIABLE}=PASSIVE before torch is imported, or take one thread."
    ]
