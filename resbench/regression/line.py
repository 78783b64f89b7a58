"""Between the gate and a process in which a suite runs: a JSON object a line on the process's standard output, and the
gate's answers on its standard input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "RESBENCH_GATE"
"""Holds what the gate wants of the process, as JSON."""


class Line:
    """This side's end of the line to the gate. What else the process prints goes to stderr.

    ``names``: benchmarks in the order that the gate wants; where it counts, all others behind them. ``cores``: where
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
        """One line to the gate."""
        print(json.dumps({"said": what, "name": name, **more}), file=self.out)

    def turn(self, name: str) -> None:
        """Wait for this benchmark's next turn."""
        self.say("ready", name)
        self.wait()

    def wait(self) -> str:
        """Until the gate answers."""
        answer = self.back.readline()
        if not answer:
            import pytest

            pytest.exit("the gate is gone", 3)
        return answer.strip()

    def numbers(self) -> Iterator[int]:
        """Of the benchmarks that the gate wants from this process, each when the one before is done."""
        while True:
            self.say("free", "")
            yield int(self.wait())

    def imported(self) -> Iterator[tuple[str, str, str]]:
        """Modules below any of the trees, but not installed ones: the tree, the name, the file."""
        for module in list(sys.modules.values()):
            file = os.path.realpath(getattr(module, "__file__", None) or os.sep)
            below = [tree for tree in (self.root, *self.elsewhere) if file.startswith(tree + os.sep)]
            if below and Path(file).is_file() and not file.startswith(sys.prefix + os.sep):  # torch.ops has a name
                yield max(below, key=len), module.__name__, file

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """On the cores that the gate chose: the same for all sides, so that what else runs there slows all of them."""
        if not self.cores:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)
