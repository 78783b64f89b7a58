"""A question is put to a fresh process, ``python -m MODULE``, as JSON on its standard input; so is its answer read.

What a model prints there goes to stderr, and cannot get into the answer.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from resbench.errors import ResbenchError
from resbench.workers.waiting import as_given

Answer = dict[str, Any]
"""It holds what was found, or the line of an ``error``."""


def ask(module: str, request: Mapping[str, Any], what: str, more: Mapping[str, str] | None = None) -> Answer:
    """Ask a fresh process, with more environment variables. A process that dies is an error that names ``what``."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**as_given(), **(more or {})},
    )
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    if done.returncode < 0:
        reason = f"was killed (signal {-done.returncode}), most likely for want of memory; take a smaller --batch"
    else:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = f"ended with status {done.returncode}: {lines[-1].strip() if lines else 'without a word'}"
    return {"error": f"{what}: the process that measured it {reason}"}


def answer(found: Callable[[dict[str, Any]], Answer]) -> None:
    """Answer on the standard output that this process was given; an error of ours becomes a line of the answer."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        said = found(json.load(sys.stdin))
    except ResbenchError as error:
        said = {"error": str(error)}
    except KeyboardInterrupt:
        sys.exit(130)
    json.dump(said, answers)
    answers.close()
