"""A process that measures one case: ``python -m resbench.timing.latency.worker``.

It reads the case as JSON on its standard input, and writes its reading on its output.
"""

from __future__ import annotations

import json
import os
import sys
from math import sqrt
from typing import Any

from resbench.codec import decoded, encoded
from resbench.errors import ResbenchError
from resbench.timing.case import Case, one_line, workload
from resbench.timing.drift import pace
from resbench.timing.latency.reading import paced, read
from resbench.workers.sampling import Rules
from resbench.workers.switches import settings_kept


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Make the model ready and measure it."""
    case = decoded(Case, request)
    try:
        with settings_kept():  # the machine's pace does not depend on what the model switches off
            work, name = workload(case)
            with one_line(case):
                # the medians of n processes together are known better than one of them, by the root of n
                reading = read(work, Rules(precision=Rules().precision * sqrt(request["processes"])))
    except ResbenchError as error:
        return {"error": str(error)}
    return {
        "model": name,
        "input": list(work.inputs[0].shape),
        "reading": encoded(reading),
        "pace_s": pace(paced(case.setup, reading.ran)),
    }


def main() -> None:
    """Answer on the standard output that this process was given; what a model prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        found = answer(json.load(sys.stdin))
    except KeyboardInterrupt:
        sys.exit(130)
    json.dump(found, answers)
    answers.close()


if __name__ == "__main__":
    main()
