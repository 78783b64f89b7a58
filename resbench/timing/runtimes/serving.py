"""A process without torch times one file in its runtime: ``python -m resbench.timing.runtimes.serving``.

It reads what to load as JSON on its standard input, and answers with the seconds of the start and of every run. Torch
is loaded when all is timed, to take the machine's pace as every process does.
"""

import time
from collections.abc import Callable
from importlib import import_module
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from resbench.errors import MeasureError, foreign, telling_line
from resbench.timing.accuracy import Accuracy, Labelled, rightly
from resbench.timing.runtimes.runtime import Conditions, Engine, Runtime, agreement, runtime, version_of
from resbench.workers.asking import Answer, answer
from resbench.workers.cores import keep_to
from resbench.workers.neighbours import taken
from resbench.workers.resident import peak_resident_bytes, resident_bytes
from resbench.workers.sampling import FLUSH_BYTES, Rules, Stopwatch, sample, uncollected

INPUTS, ANSWERS, IMAGES = "inputs.npz", "answers.npz", "images.npz"
"""A folder holds these beside the file: what it is given, what eager fp32 answers where there is a module, and images
with their labels where it runs on a set of them."""


def served(request: dict[str, Any]) -> Answer:
    """Load the file, and time it. Raises MeasureError where it does not load, does not run, or answers wrongly."""
    keep_to(request["cores"])
    found, folder, what = runtime(request["runtime"]), Path(request["folder"]), request["what"]
    conditions = Conditions(request["threads"], request["dtype"], Path(request["cache"]))
    inputs = values(folder / INPUTS)
    empty = is_empty(conditions.cache)
    with foreign(MeasureError, lambda error: f"{what}: {type(error).__name__}: {telling_line(error)}"):
        import_module(found.MODULE)
        bare = resident_bytes()
        engine, load_s, answers, first_s = begun(found, Path(request["file"]), inputs, conditions)
        peak = peak_resident_bytes()  # what is held from here on is ours too: samples, and what overwrites caches
        reference = folder / ANSWERS
        far = agreement(answers, values(reference), conditions.dtype) if reference.exists() else None
        del answers
        others = taken()
        rules = Rules(precision=Rules().precision * sqrt(request["processes"]))
        samples = sample(watch(engine.run, request["flushed"]), rules)
        crowd = others()
        executed = dict(engine.executed()) if request["inspected"] else {}
        named = _named(engine, inputs, folder / IMAGES, request["data"]) if request["inspected"] else None
    return {
        "runs_s": samples.runs,
        "verdict": samples.verdict,
        "warm": samples.warm,
        "others": crowd,
        "executed": executed,
        "deployed": {
            "version": version_of(found),
            "cold": empty and not is_empty(conditions.cache),
            "load_s": load_s,
            "first_s": first_s,
            "resident_bytes": None if bare is None or peak is None else peak - bare,
            "file_bytes": request["bytes"],
            "difference": far,
            "cores": request["cores"],
            "accuracy": named and named._asdict(),
        },
        "pace_s": _pace(conditions.threads),
    }


def _named(engine: Engine, inputs: list[Any], file: Path, data: str) -> Accuracy | None:
    """Show it every image that is kept for that, where it reads its input; it is timed by then."""
    if not file.exists():
        return None
    shown = Labelled(*values(file))

    def answer(part: Any) -> Any:
        inputs[0][...] = part
        return next(iter(engine.run()))

    return Accuracy(data, rightly(answer, shown, len(inputs[0])), len(shown.labels))


def begun(
    found: Runtime, file: Path, inputs: list[Any], conditions: Conditions
) -> tuple[Engine, float, list[Any], float]:
    """Load a file and run it once: the engine, the seconds of its loading, its answers, the seconds of the run."""
    start = time.perf_counter()
    engine = found.load(file, inputs, conditions)
    loaded = time.perf_counter()
    answers = [np.array(one) for one in engine.run()]
    return engine, loaded - start, answers, time.perf_counter() - loaded


def is_empty(folder: Path) -> bool:
    """Tell whether a runtime has kept nothing there."""
    return not any(folder.iterdir())


def values(path: Path) -> list[Any]:
    """Read arrays in their order."""
    with np.load(path) as held:
        return [held[f"{i}"] for i in range(len(held))]


def watch(run: Callable[[], object], flushed: bool = False) -> Stopwatch:
    """Time each run by the host's clock; with the caches overwritten before each where that is asked for."""
    room = np.empty(FLUSH_BYTES if flushed else 0, dtype=np.uint8)

    def times(count: int) -> list[tuple[float, ...]]:
        taken_s = list[tuple[float, ...]]()
        with uncollected():
            for _ in range(count):
                room.fill(0)
                start = time.perf_counter_ns()
                run()
                taken_s.append(((time.perf_counter_ns() - start) / 1e9,))
        return taken_s

    return times


def _pace(threads: int) -> float:
    from resbench.timing.drift import pace
    from resbench.workers.workload import Setup

    return pace(Setup(threads=threads))


if __name__ == "__main__":
    answer(served)
