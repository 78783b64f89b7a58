"""The threads of an operator wait for the last of them: asleep where nothing is timed, else as torch has it.

By themselves they spin for some milliseconds (GNU's OpenMP, of which torch's wheels for Linux bring a copy), which is
the fastest as long as each has a core. Where another program has one of them, they spin for as long as it keeps it.
OpenMP reads how to wait once, when torch is loaded. This module loads no torch.
"""

import os
import sys

VARIABLE = "OMP_WAIT_POLICY"
DECIDE = (VARIABLE, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Who has set one of these has decided: the second is GNU's, the third LLVM's and Intel's."""

_set_here: dict[str, str] = {}


def wait_passively() -> None:
    """Let this process's threads sleep while they wait, unless torch is loaded already or the user has decided."""
    if "torch" not in sys.modules and not any(name in os.environ for name in DECIDE):
        os.environ[VARIABLE] = _set_here[VARIABLE] = "PASSIVE"


def waiting() -> str:
    """Tell how the threads of this process wait: ``passive``, asleep at once, or ``active``, spinning first."""
    asked = os.environ.get(VARIABLE, "").lower() == "passive"
    return "passive" if asked or any(os.environ.get(name) == "0" for name in DECIDE[1:]) else "active"


def as_given() -> dict[str, str]:
    """Return the environment variables for a process that is timed: without what was set here."""
    return {name: value for name, value in os.environ.items() if _set_here.get(name) != value}


def waiting_lines(how: object, threads: object) -> list[str]:
    """Say in a line that several threads spun where nothing was timed, which takes long beside other programs."""
    if how != "active" or threads in (None, 1):
        return []
    return [
        f"The {threads} threads spun while they waited, for torch was loaded before this call, or so it was asked: "
        f"beside other programs set {VARIABLE}=PASSIVE before torch is imported, or take one thread."
    ]
