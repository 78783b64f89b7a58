"""A fresh process that runs a suite's benchmarks in one tree, seen from the gate.

``RESBENCH_GATE`` tells the plugin in it to count, or to time when it is told to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resbench.errors import GateError
from resbench.gate.plugin import VARIABLE
from resbench.gate.suite import Suite

OPTIONS = ("-q", "-o", "addopts=", "--benchmark-enable", "--benchmark-disable-gc", "-p", "no:cacheprovider")

PLUGIN = ("-p", "no:resbench", "-p", "resbench.gate.plugin")
"""By its module, for the code under test may bring one of its own under that name."""


KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""glibc keeps memory that is freed. By itself it gives some back and takes it again in every run or in none, as the
heap happens to lie: a process is then up to twice as slow as the next, whatever the code does."""


@dataclass(frozen=True)
class Side:
    """A tree in which the suite runs: ``base``, ``again`` or ``head``, and what a person calls it."""

    name: str
    what: str
    root: Path
    ours: bool = True
    """A tree that nobody else uses, where bytecode may be written."""

    def __str__(self) -> str:
        return f"{self.name} ({self.what})"


class Process:
    """pytest on one side. Raises GateError, naming the side, for what it cannot do."""

    def __init__(
        self,
        side: Side,
        suite: Suite,
        wanted: Literal["count", "time"],
        names: Sequence[str] | None = None,
        cores: Sequence[int] | None = None,
    ) -> None:
        self.side = side
        folder = side.root / suite.path.parent
        missing = [file for file in suite.files if not (folder / file).is_file()]
        if missing:
            raise GateError(f"{side} has no {suite.path.parent / missing[0]}: nothing to compare with")
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed by stop()
        command = [sys.executable, "-m", "pytest", *OPTIONS, *PLUGIN, *suite.files]
        self.running = subprocess.Popen(
            command,
            cwd=folder,
            env=surroundings(side, suite) | {VARIABLE: json.dumps({"wanted": wanted, "names": names, "cores": cores})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def hear(self) -> dict[str, Any]:
        """The next thing that it says; ``{"said": "done"}`` at its end."""
        assert self.running.stdout
        line = self.running.stdout.readline()
        if line:
            said: dict[str, Any] = json.loads(line)
            if said["said"] == "failed":
                raise GateError(f"{self.side}: {said['name'] or 'the suite'} fails: {said['why']}")
            return said
        status = self.running.wait()
        if status not in (0, 5):  # 5: nothing was collected
            raise GateError(f"{self.side}: {self._last_words(status)}")
        return {"said": "done", "name": ""}

    def expect(self, what: str, name: str) -> dict[str, Any]:
        """That it says just this of a benchmark. Raises GateError for anything else."""
        while (said := self.hear())["said"] in ("collected", "skipped"):
            pass
        if (said["said"], said["name"]) != (what, name):
            heard = f"{said['name']} {said['said']}".strip()
            raise GateError(
                f"{self.side}: expected {name} {what}, received {heard}; run the suite by itself to see why"
            )
        return said

    def everything(self) -> Iterator[dict[str, Any]]:
        """All that it says, up to its end."""
        while (said := self.hear())["said"] != "done":
            yield said

    def go(self) -> None:
        """Its turn."""
        assert self.running.stdin
        try:
            self.running.stdin.write("go\n")
            self.running.stdin.flush()
        except BrokenPipeError:
            raise GateError(f"{self.side}: {self._last_words(self.running.wait())}") from None

    def stop(self) -> None:
        """At once, if it still runs."""
        if self.running.poll() is None:
            self.running.kill()
        self.running.wait()
        for pipe in (self.running.stdin, self.running.stdout, self.errors):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]

    def _last_words(self, status: int) -> str:
        if status < 0:
            return f"the suite was killed (signal {-status}), most likely for want of memory"
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        words = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "without a word")
        return f"the suite ended with status {status}: {words}"


def surroundings(side: Side, suite: Suite) -> dict[str, str]:
    """The environment: this side's code before what is installed."""
    folder = side.root / suite.path.parent
    paths = [str((folder / path).resolve()) for path in suite.pythonpath]
    threads = str(suite.threads)
    return {
        **{name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")},
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONDONTWRITEBYTECODE": "" if side.ours else "1",
        **KEEPING,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
