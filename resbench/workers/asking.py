"""A question is put to a fresh process, ``python -m MODULE``, as a line of JSON on its standard input; so is its answer
read.

What a model prints there goes to stderr, and cannot get into the answer. A process ends by itself when whoever asked it
is gone, also without a word: its standard input is closed then.
"""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryFile
from threading import Thread
from typing import Any

from resbench.errors import ResbenchError
from resbench.workers.waiting import as_given

Answer = dict[str, Any]
"""It holds what was found, or the line of an ``error``."""

LIMIT_S = 1800
"""A process that has not answered for so long hangs. Slow ones are far from it: warm-up and sampling of a row end after
some 10 seconds each, and exporting or compiling a large network takes minutes."""


def ask(
    module: str, request: Mapping[str, Any], what: str, folder: Path, more: Mapping[str, str] | None = None
) -> Answer:
    """Ask a fresh process, with more environment variables. A process that dies, or hangs, is an error that names
    ``what``. The folder is of those that ask: a process that they leave behind removes it."""
    command, variables = [sys.executable, "-m", module], {**as_given(), **(more or {})}
    with TemporaryFile() as answers, TemporaryFile() as words:
        running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=answers, stderr=words, env=variables)
        assert running.stdin
        try:
            with suppress(BrokenPipeError):  # it died before it read
                running.stdin.write(json.dumps({"folder": str(folder), "request": request}).encode() + b"\n")
                running.stdin.flush()
            status = running.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            return {
                "error": f"{what}: the process that measured it hung: it had not ended after {LIMIT_S / 60:g} minutes"
            }
        finally:
            if running.poll() is None:
                running.kill()
                running.wait()
            with suppress(BrokenPipeError):
                running.stdin.close()
        said, lines = (_text(file) for file in (answers, words))
    if status == 0:
        return dict(json.loads(said))
    return {"error": f"{what}: the process that measured it {_ended(status, lines)}"}


def _text(file: Any) -> str:
    file.seek(0)
    return str(file.read().decode(errors="replace"))


def _ended(status: int, words: str) -> str:
    """Say how a process ended that did not answer, with the last line of what it wrote to stderr."""
    if status == -signal.SIGKILL:
        return "was killed (SIGKILL), most likely for want of memory; take a smaller --batch"
    last = next((line.strip() for line in reversed(words.splitlines()) if line.strip()), "without a word")
    if status > 0:
        return f"ended with status {status}: {last}"
    named = {number.value: number.name for number in signal.Signals}
    return f"crashed ({named.get(-status, f'signal {-status}')}): {last}"


def answer(found: Callable[[dict[str, Any]], Answer]) -> None:
    """Answer on the standard output that this process was given; an error of ours becomes a line of the answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    asked = json.loads(sys.stdin.readline())
    _end_with_them(Path(asked["folder"]))
    try:
        said = found(asked["request"])
    except ResbenchError as error:
        said = {"error": str(error)}
    except KeyboardInterrupt:
        sys.exit(130)
    json.dump(said, answers)
    answers.close()
    gc.freeze()  # Python ends sooner by the three times it would look through all that torch is for garbage


def _end_with_them(folder: Path) -> None:
    """End, and remove the folder, when whoever asked is gone; what runs here finds its standard input empty."""
    theirs = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)

    def wait() -> None:
        os.read(theirs, 1)
        rmtree(folder, ignore_errors=True)
        os._exit(1)

    Thread(target=wait, daemon=True).start()
