"""A process times the kernels of compiled code: ``python -m resbench.timing.layers.compiled``.

It reads the case as JSON on its standard input, and answers as a process without torch does for its runtime.
"""

from typing import Any

import torch

from resbench.codec import decoded
from resbench.timing.case import Case, one_line, workload
from resbench.timing.ran import observed
from resbench.timing.runtimes.compile import watch
from resbench.timing.runtimes.watching import in_turn
from resbench.workers import stopwatch
from resbench.workers.asking import Answer, answer
from resbench.workers.cores import keep_to
from resbench.workers.neighbours import taken
from resbench.workers.sampling import Rules, warm_up


def watched(request: dict[str, Any]) -> Answer:
    """Compile the model of a case twice, once with a clock between its kernels, and run both in turn."""
    keep_to(request["cores"])
    case = decoded(Case, request["case"])
    work, _ = workload(case)
    with one_line(case), work.ready():
        inside = watch(work)
        plain = stopwatch.eager(work)
        warm_up(plain, Rules())
        others = taken()
        pairs = in_turn(lambda: plain(1)[0][0], inside.run, request)
        crowd, ran = others(), observed(work)
    return {
        "pairs": pairs,
        "times": inside.times(len(pairs)),
        "kernels": [kernel._asdict() for kernel in inside.kernels],
        "executed": dict(ran.products),
        "threads": ran.threads[0],
        "others": crowd,
        "version": f"torch {torch.__version__}",
    }


if __name__ == "__main__":
    answer(watched)
