"""Ctrl-C comes through, and SIGTERM likewise: where it would be lost, it comes a moment later.

Python prints and drops what is raised in a destructor. A library may drop what is raised while it imports another, and
goes on without that one, as torch without numpy.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

LATER_S = 0.02
"""So much later it comes again: by then a destructor is done."""

PATIENCE_S = 3.0
"""It waits no longer than so many seconds for an import to end."""

FROZEN = "<frozen importlib._bootstrap>"
"""Python runs every import from here."""

_waits: Any = None
"""This timer lets it come again."""
_since_s: float | None = None
"""It came first at this time."""


def heed(number: int) -> None:
    """Let a signal raise KeyboardInterrupt from here on, but only where nothing drops that."""
    signal.signal(number, _arrived)
    sys.unraisablehook = _dropped


def heeded(number: int) -> bool:
    """Tell whether a signal raises KeyboardInterrupt."""
    return signal.getsignal(number) in (signal.default_int_handler, _arrived)


@contextmanager
def noted(follows: str) -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether it came meanwhile: what is begun here is not to end in its middle.

    The first time a line says what follows (``stopping after this step``), the second time KeyboardInterrupt is raised.
    """
    line = f"\nresbench: {follows}; once more to stop at once"
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        try:
            print(line, file=sys.stderr)
        except RuntimeError:  # it came while the line of progress was written, which nothing can be put into
            os.write(2, f"{line}\n".encode())

    with ExitStack() as after:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if heeded(number):
                    after.callback(signal.signal, number, signal.signal(number, note))
        yield lambda: bool(came)


def _arrived(number: int, frame: Any) -> None:
    global _since_s, _waits
    now_s = time.monotonic()
    _since_s = now_s if _since_s is None else _since_s
    if now_s - _since_s < PATIENCE_S and _imports(frame):
        _later(number)
        return
    _since_s = None
    if _waits is not None:
        _waits.cancel()
        _waits = None
    raise KeyboardInterrupt


def _imports(frame: Any) -> bool:
    """Tell whether a frame runs as part of an import."""
    while frame is not None and frame.f_code.co_filename != FROZEN:
        frame = frame.f_back
    return frame is not None


def _dropped(dropped: Any) -> None:
    """Take what was raised in a destructor."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        _later(signal.SIGINT if heeded(signal.SIGINT) else signal.SIGTERM)
    else:
        sys.__unraisablehook__(dropped)


def _later(number: int) -> None:
    """Let the signal come again, once."""
    global _waits
    if _waits is None:
        _waits = threading.Timer(LATER_S, _again, [number])
        _waits.daemon = True
        _waits.start()


def _again(number: int) -> None:
    import _thread

    global _waits
    _waits = None
    _thread.interrupt_main(signal.Signals(number))
