"""A process without torch times the kernels of one file: ``python -m resbench.timing.runtimes.watching``.

Plain runs and watched ones take turns: what watching costs is in the answer, and so is each kernel's time in each run.
"""

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from resbench.errors import MeasureError, foreign, telling_line
from resbench.timing.runtimes.runtime import Conditions, runtime, version_of
from resbench.timing.runtimes.serving import INPUTS, values, watch
from resbench.workers.asking import Answer, answer
from resbench.workers.cores import keep_to
from resbench.workers.neighbours import taken
from resbench.workers.sampling import Rules, uncollected, warm_up


def watched(request: dict[str, Any]) -> Answer:
    """Load the file twice, plain and watched, and run them in turn. Raises MeasureError where either does not run."""
    keep_to(request["cores"])
    found: Any = runtime(request["runtime"])
    what = request["what"]
    conditions = Conditions(request["threads"], request["dtype"], Path(request["cache"]), alone=False)
    inputs = values(Path(request["folder"]) / INPUTS)
    with foreign(MeasureError, lambda error: f"{what}: {type(error).__name__}: {telling_line(error)}"):
        import_module(found.MODULE)
        engine = found.load(Path(request["file"]), inputs, conditions)
        plain = watch(engine.run)
        inside = found.watch(Path(request["file"]), inputs, conditions)
        warm_up(plain, Rules())
        for _ in range(5):
            inside.run()
        others = taken()
        pairs = in_turn(lambda: plain(1)[0][0], inside.run, request)
        times = inside.times(len(pairs))
        executed = dict(engine.executed())
    return {
        "pairs": pairs,
        "times": times,
        "kernels": [kernel._asdict() for kernel in inside.kernels],
        "executed": executed,
        "others": others(),
        "version": version_of(found),
    }


def in_turn(
    plain: Callable[[], float], watched: Callable[[], float], request: dict[str, Any]
) -> list[tuple[float, float]]:
    """Run plainly and watched, each first in turn, so often and for so long as is asked; the seconds of both."""
    pairs, begun = list[tuple[float, float]](), time.perf_counter()
    while len(pairs) < request["pairs"] or time.perf_counter() - begun < request["least_s"]:
        with uncollected():
            if len(pairs) % 2:
                watched_s, plain_s = watched(), plain()
            else:
                plain_s, watched_s = plain(), watched()
        pairs.append((plain_s, watched_s))
    return pairs


if __name__ == "__main__":
    answer(watched)
