"""This is ``python -m resbench``, and the command ``resbench``."""

import gc
import os
import signal
from typing import Any


def main() -> None:
    """Run the command. Ctrl-C ends the process with status 130 and no word before the command begins and after it.

    While the command runs, what ends a job in a queue or a container (SIGTERM) is the same as Ctrl-C.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a job in the background ignores it
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from resbench.cli.main import main as command
    from resbench.interrupts import heed

    if ours:
        heed(signal.SIGINT)
    ended = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if ended:
        heed(signal.SIGTERM)
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


if __name__ == "__main__":
    main()
