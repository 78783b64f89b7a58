"""Progress is one line on standard error: what is at hand, its share, when it ends, and what Ctrl-C keeps.

Nothing runs beside a measurement for it: the line is written when a piece of work begins, so it gives the time of day
at which the work will end, which stays true while the line stands. Where standard error is no terminal, as in CI, a
plain line comes once a minute.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable

from resbench.progress import Moment, Step, remaining

EVERY_S = 60.0
"""So much time lies between two lines in a log; the first comes after as long."""

LONG_S = 600.0
"""What ends later than that has no seconds in its end."""


STARTING = Step("starting")
"""This is at hand while torch is imported."""


class Line:
    """The line knows when how much was done, of which the end is estimated.

    The pace is that of a clock that nobody sets; the time of day is asked when it is shown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, today: Callable[[], float] = time.time) -> None:
        self.clock, self.today = clock, today
        self.begin()

    def begin(self) -> None:
        """Forget what was; a command begins."""
        self.history: list[Moment] = []
        self.part, self.shown = "", False
        self.logged = self.clock()

    def __call__(self, line: str, share: float = 0.0) -> None:
        """Show what is at hand, in place of what was."""
        if not leads():
            return
        now = self.clock()
        self._note(now, line, share)
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1  # a full line would wrap
            self.shown = True  # first, for Ctrl-C may come between
            print(f"\r\x1b[K{fitted(line, self._facts(line, share), width)}", end="", file=sys.stderr, flush=True)
        elif now - self.logged >= EVERY_S:
            self.logged = now
            print("; ".join(("resbench: " + line, *self._facts(line, share))), file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.shown = False

    def _note(self, now: float, line: str, share: float) -> None:
        part = line.part if isinstance(line, Step) else ""
        if part != self.part or (self.history and share <= self.history[0][1]):
            self.history.clear()  # something else begins, or nothing was done until now
        self.part = part
        self.history.append((now, share))

    def _facts(self, line: str, share: float) -> list[str]:
        """Return what is known beside the words themselves."""
        left = remaining(self.history)
        known = [f"{share:.0%}"] if 0 < share < 1 else []
        if left is not None:
            form = "%H:%M" if left > LONG_S else "%H:%M:%S"
            ends = "this part ends" if self.part else "ends"
            known.append(f"{ends} about {time.strftime(form, time.localtime(self.today() + left))}")
        if self.part:
            known[:] = [f"{self.part}: {', '.join(known)}" if known else self.part]
        if isinstance(line, Step):
            known.append(f"Ctrl-C keeps {line.keeps or 'nothing'}")
        return known


def fitted(line: str, facts: list[str], width: int) -> str:
    """Write the words and the facts in so many characters: the words are cut first.

    >>> fitted("resnet110: process 2 of 5", ["40%", "Ctrl-C keeps 3 rows"], 80)
    'resnet110: process 2 of 5; 40%; Ctrl-C keeps 3 rows'
    >>> fitted("resnet110: process 2 of 5", ["40%", "Ctrl-C keeps 3 rows"], 40)
    'resnet110...; 40%; Ctrl-C keeps 3 rows'
    """
    end = "".join(f"; {fact}" for fact in facts)
    room = width - len(end)
    if len(line) > room:
        line = line[: max(room - 3, 0)].rstrip(" :,") + "..."
    return (line + end)[:width]


def leads() -> bool:
    """Is this the process that speaks? Of torchrun's, the first one does."""
    return os.environ.get("WORLD_SIZE", "") in ("", "1") or os.environ.get("RANK") == "0"


progress = Line()
"""A process has one such line."""
