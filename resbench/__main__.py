"""This is ``python -m resbench``, and the command ``resbench``."""

import os
import signal
from typing import Any


def main() -> None:
    """Run the command. Ctrl-C ends the process with status 130 and no word before the command begins and after it."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a job in the background ignores it
    if ours:
        signal.signal(signal.SIGINT, _leave)
    from resbench.cli.main import main as command

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command()
    finally:
        if ours:
            signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: Any) -> None:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
