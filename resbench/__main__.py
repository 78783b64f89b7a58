"""This is ``python -m resbench``, and the command ``resbench``."""

import gc
import os
import signal
import sys
from typing import Any

LATER_S = 0.02
"""So long after it was dropped an interrupt comes once more: by then the destructor is done."""


def main() -> None:
    """Run the command. Ctrl-C ends the process with status 130 and no word before the command begins and after it.

    While the command runs, what ends a job in a queue or a container (SIGTERM) is the same as Ctrl-C.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a job in the background ignores it
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from resbench.cli.main import main as command

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    ended = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ended:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if ours or ended:
        sys.unraisablehook = _once_more
    try:
        command()
    finally:
        if ended:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if ours:
            signal.signal(signal.SIGINT, _leave)
        gc.freeze()  # Python looks three times for garbage when it ends: nothing has to be collected any more


def _leave(number: int, frame: Any) -> None:
    os._exit(128 + number)


def _once_more(dropped: Any) -> None:
    """Python prints and forgets what is raised in a destructor: Ctrl-C that falls into one would be lost."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        import _thread
        import threading

        heeded = signal.SIGINT if signal.getsignal(signal.SIGINT) is signal.default_int_handler else signal.SIGTERM
        again = threading.Timer(LATER_S, _thread.interrupt_main, [heeded])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(dropped)


if __name__ == "__main__":
    main()
