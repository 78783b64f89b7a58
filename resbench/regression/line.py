"""A line joins the gate to a process in which a suite runs.

The process writes a JSON object a line to its standard output, and reads the gate's answers from its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "RESBENCH_GATE"
"""This environment variable holds what the gate wants of the process, as JSON."""


class GateLine:
    """This is the process's end of the line to the gate. What else the process prints goes to stderr.

    ``names``: the benchmarks in the order that the gate wants; where it counts, all others follow. ``cores``: where
    they are timed. ``root``: this side's tree; ``elsewhere``: trees with the same code, from which nothing may come.
    """

    def __init__(
        self,
        wanted: str,
        names: list[str],
        cores: list[int] | None,
        root: str,
        elsewhere: list[str],
    ) -> None:
        self.wanted, self.names, self.cores = wanted, names, cores
        self.root, self.elsewhere = root, elsewhere
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        self.back = os.fdopen(os.dup(0))
        os.dup2(2, 1)

    def say(self, what: str, name: str, **more: Any) -> None:
        """Send one message to the gate."""
        print(json.dumps({"said": what, "name": name, **more}), file=self.out)

    def turn(self, name: str) -> None:
        """Wait for this benchmark's next turn."""
        self.say("ready", name)
        self.wait()

    def wait(self) -> str:
        """Wait until the gate answers, and return the answer; without a gate, end the session."""
        answer = self.back.readline()
        if not answer:
            import pytest

            pytest.exit("the gate is gone", 3)
        return answer.strip()

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the benchmarks that the gate wants from this process, one when the last is done."""
        while True:
            self.say("free", "")
            yield int(self.wait())

    def imported(self) -> Iterator[tuple[str, str, str]]:
        """Yield the tree, name and file of every imported module below one of the trees that is not installed."""
        for module in list(sys.modules.values()):
            file = os.path.realpath(getattr(module, "__file__", None) or os.sep)
            below = [tree for tree in (self.root, *self.elsewhere) if file.startswith(tree + os.sep)]
            if below and Path(file).is_file() and not file.startswith(sys.prefix + os.sep):  # torch.ops has a name
                yield max(below, key=len), module.__name__, file

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Run on the cores that the gate chose, the same for all sides: what else runs there slows all of them."""
        with ExitStack() as stack:
            if self.cores:
                stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
                os.sched_setaffinity(0, self.cores)
            yield
