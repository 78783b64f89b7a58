"""The gate starts fresh processes, each of which runs a suite's benchmarks in one tree.

``RESBENCH_GATE`` tells the plugin in it to count, or to time when it is told to.
"""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from resbench.errors import GateError
from resbench.regression import FILES, VARIABLE
from resbench.regression.addopts import addopts
from resbench.regression.suite import Suite, read
from resbench.workers.waiting import VARIABLE as VARIABLE_OF_WAITING

OPTIONS = (
    *("-q", "--benchmark-enable", "--benchmark-disable-gc"),
    *("-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:timeout"),  # a benchmark waits for its turn
    *("-p", "no:resbench", "-p", "resbench.regression.plugin"),  # the code under test may bring one of the first name
)

KEEPING = {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""glibc keeps memory that is freed. By itself it gives some back and takes it again in every run or in none, as the
heap happens to lie: a process is then up to twice as slow as the next, whatever the code does."""

COUNTING = {"PYTHONHASHSEED": "0", VARIABLE_OF_WAITING: "PASSIVE"}
"""Layers that are made from a set come in one order where they are counted, and in any where they are timed: then what
the order costs is no part of a difference. Threads sleep while they wait for others, for nothing is timed."""

UNWANTED = (
    *("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_XDIST_WORKER"),
    *("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"),
)
"""These variables of the user would change what is run."""

OF_A_HOOK = frozenset(
    f"GIT_{name}"
    for name in "DIR WORK_TREE INDEX_FILE PREFIX OBJECT_DIRECTORY COMMON_DIR ALTERNATE_OBJECT_DIRECTORIES".split()
)
"""git sets these variables for its hooks; they would send our commands to the user's index."""

PATIENCE_S = 600
"""A process that says nothing for so long hangs."""


@dataclass(frozen=True)
class Side:
    """A side is a tree in which the suite runs: ``base``, ``again`` or ``head``, and what a person calls it.

    ``ours``: nobody else uses the tree, so bytecode may be written there. ``elsewhere`` names other trees with the
    same code, from which nothing may be imported. ``files``: the suite's, as they are called in this tree, where some
    are called otherwise. ``lacks`` names submodules that the tree should have. ``exports``: a folder for the files that
    its benchmarks export, each once.
    """

    name: str
    what: str
    root: Path
    ours: bool = True
    elsewhere: tuple[Path, ...] = ()
    files: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    exports: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.what})"


def with_files(side: Side, suite: Suite) -> Side:
    """Return the side with the suite's files as it calls them.

    Where it lacks some, those take their place that its own suite names and this one does not: they were renamed or
    moved. What is named in ``unpaired`` may be missing. Raises GateError where another is.
    """
    folder = side.root / suite.path.parent
    there = [file for file in suite.files if (folder / file).is_file()]
    missing = [file for file in suite.files if file not in there]
    if not missing:
        return side
    own: list[str] = []
    with suppress(GateError):  # it may have no suite, or one of other rules
        own = [file for file in read(side.root, suite.path).files if file not in suite.files]
    renamed = [file for file in own if (folder / file).is_file()]
    new = [file for file in missing if file not in suite.unpaired]
    if new and not renamed:
        paths = ", ".join(str(suite.path.parent / file) for file in new)
        raise GateError(
            f"{side} has no {paths}: nothing to compare with; `files` of {suite.path} takes the names of files, no "
            "patterns; one that is meant to be new stands in `unpaired` too"
        )
    return replace(side, files=(*there, *renamed))


def build(side: Side, suite: Suite, budget_s: float) -> None:
    """Run the suite's build command in a side. Raises GateError with its last line, or where the time is up."""
    with tempfile.TemporaryFile("w+") as output:
        running = subprocess.Popen(
            suite.build,
            shell=True,
            cwd=side.root / suite.path.parent,
            env=surroundings(side, suite),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
        try:
            status = running.wait(budget_s)
        except subprocess.TimeoutExpired:
            raise GateError(f"{side} was not built when the --time-budget was up: expected a longer one") from None
        finally:
            kill(running)
        output.seek(0)
        lines = [line.strip() for line in output if line.strip()]
    if status:
        listed = ", ".join(side.lacks)
        way_out = f"; without the submodules {listed}: `git submodule update --init`, then again" if listed else ""
        raise GateError(f"{side} does not build: {lines[-1] if lines else f'status {status}'}{way_out}")


class Process(AbstractContextManager["Process", None]):
    """This runs pytest on one side, and is stopped at the end of the ``with``. Raises GateError, naming the side."""

    def __init__(
        self,
        side: Side,
        suite: Suite,
        wanted: Literal["count", "time"],
        names: Sequence[str] = (),
        cores: Sequence[int] | None = None,
    ) -> None:
        self.side = side
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, closed at the end
        request = {
            "wanted": wanted,
            "names": names,
            "cores": cores,
            "root": str(side.root),
            "elsewhere": [str(path) for path in side.elsewhere],
        }
        folder, files = side.root / suite.path.parent, side.files or suite.files
        self.running = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-o", f"addopts={addopts(folder, files)}", *OPTIONS, *files],
            cwd=folder,
            env=surroundings(side, suite) | {VARIABLE: json.dumps(request)} | (COUNTING if wanted == "count" else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,  # so that what it starts is stopped with it
        )
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        self.finished = False
        threading.Thread(target=self._read, daemon=True).start()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with suppress(BrokenPipeError), self.errors, self.running:
            try:
                with suppress(GateError):
                    while error is None and not self.finished:  # fixtures are torn down before; the interpreter is not
                        self.hear()
            finally:
                kill(self.running)

    def _read(self) -> None:
        assert self.running.stdout
        with suppress(ValueError, OSError):  # closed at the end
            for line in self.running.stdout:
                with suppress(json.JSONDecodeError):  # something else printed it before the plugin could
                    message = json.loads(line)
                    if isinstance(message, dict) and "said" in message:
                        self.messages.put(message)

    def hear(self) -> dict[str, Any]:
        """Wait for the next message and return it; it is ``{"said": "finished"}`` at the end."""
        for _ in range(PATIENCE_S):
            over = self.running.poll() is not None
            with suppress(queue.Empty):
                message = self.messages.get(timeout=1.0)
                break
            if over:
                raise GateError(f"{self.side}: {self._last_words(self.running.returncode)}")
        else:
            raise GateError(f"{self.side}: nothing was heard for {PATIENCE_S} s; does it hang?")
        if message["said"] == "failed":
            raise GateError(f"{self.side}: {message['name'] or 'the suite'} fails: {message['why']}")
        self.finished = message["said"] == "finished"
        return message

    def expect(self, what: str, name: str) -> dict[str, Any]:
        """Return the next message, which has to be this one of this benchmark. Raises GateError for any other."""
        while (message := self.hear())["said"] in ("collected", "skipped", "imported"):
            pass
        if (message["said"], message["name"]) != (what, name):
            received = "done" if self.finished else f"{message['name']} {message['said']}".strip()
            raise GateError(f"{self.side}: expected {name} {what}, received {received}; run the suite alone to see why")
        return message

    def go(self, answer: str = "go") -> None:
        """Give the process its turn, or what it asked for."""
        try:
            print(answer, file=self.running.stdin, flush=True)
        except OSError:
            raise GateError(f"{self.side}: {self._last_words(self.running.wait())}") from None

    def ask(self, what: str, name: str, answer: str = "go") -> dict[str, Any]:
        """Give the process its turn, or what it asked for, and return its next message as ``expect`` does."""
        self.go(answer)
        return self.expect(what, name)

    def _last_words(self, status: int) -> str:
        if status == -signal.SIGKILL:
            return "the suite was killed, most likely for want of memory: expected more of it, or smaller benchmarks"
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()] or ["without a word"]
        if status < 0:
            return f"the suite crashed ({signal.Signals(-status).name}): {lines[-1]}; run it alone with pytest"
        errors = [line for line in lines if re.search(r"\bE[Rr][Rr][Oo][Rr]\b|Error\b|^error", line)]
        return f"the suite ended early, with status {status}: {(errors or lines)[-1]}"


def kill(running: subprocess.Popen[str]) -> None:
    """Kill a process of its own session, and whatever it started in it."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
    running.wait()


def outside() -> dict[str, str]:
    """Return the environment variables as they are outside of any hook of git."""
    return {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}


def surroundings(side: Side, suite: Suite) -> dict[str, str]:
    """Return the environment variables of a side's process: its own code is found before what is installed."""
    paths = [str((side.root / suite.path.parent / path).resolve()) for path in suite.pythonpath]
    return {
        **{name: value for name, value in outside().items() if name not in UNWANTED},
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONDONTWRITEBYTECODE": "" if side.ours else "1",
        FILES: str(side.exports or ""),
        **KEEPING,
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(suite.threads)),
    }
