"""What a runtime has to keep, tried on a small network: ``python -m resbench.timing.runtimes.contract NAME``.

Who writes a runtime for others runs this: it prints a line for each claim, and ends with status 1 where one is broken.
Ours are held to the same.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from resbench.errors import ResbenchError
from resbench.timing.case import Case
from resbench.timing.runtimes.exporting import exported
from resbench.timing.runtimes.runtime import TOLERANCES, Conditions, Engine, difference, runtime
from resbench.timing.runtimes.serving import ANSWERS, INPUTS, values
from resbench.workers.workload import Setup

NETWORK, BATCHES = "resnet20", (1, 3)
WATCHED_S, THREADS_ROOM = 0.5, 1.3
"""For so long its runs are watched; one thread takes no more processor time than time passes, and here a third more."""


class Claim(NamedTuple):
    """A claim is kept, or it is broken for a reason."""

    words: str
    broken: str = ""

    @property
    def line(self) -> str:
        return f"broken: {self.words}: {self.broken}" if self.broken else f"kept: {self.words}"


def claims(name: str) -> Iterator[Claim]:
    """Try a runtime. Raises OptionError or MeasureError where it is not there, or cannot export or load at all."""
    found = runtime(name)
    yield Claim("it runs in fp32", "" if "fp32" in found.DTYPES else f"received {found.DTYPES}")
    for batch in BATCHES:
        with TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "cache").mkdir()
            one = exported(Case(NETWORK, None, Setup(batch=batch, runtime=name)), folder)
            inputs = values(folder / INPUTS)
            engine = found.load(one.file, inputs, Conditions(1, "fp32", folder / "cache"))
            reference = values(folder / ANSWERS)
            yield from _answers(engine, reference, batch)
            yield _anew(engine, inputs, reference)
            yield _threads(engine)
            yield _executed(engine)
            del engine  # what maps the file is let go before the folder is


def _answers(engine: Engine, reference: list[Any], batch: int) -> Iterator[Claim]:
    """Compare two runs with what eager fp32 answers."""
    for run in ("first", "second"):
        far = difference(engine.run(), reference)
        wrong = "" if far <= TOLERANCES["fp32"] else f"they differ by {far:.2g} of the largest"
        yield Claim(f"its answers are those of eager fp32, batch {batch}, {run} run", wrong)


def _anew(engine: Engine, inputs: list[Any], reference: list[Any]) -> Claim:
    """Turn the images of the batch round, where they lie, and run again; they are turned back then."""
    for one in inputs:
        one[...] = one[::-1].copy()
    far = difference(engine.run(), [one[::-1] for one in reference])
    for one in inputs:
        one[...] = one[::-1].copy()
    wrong = (
        "" if far <= TOLERANCES["fp32"] else f"in another order of the images they differ by {far:.2g} of the largest"
    )
    return Claim("it reads its inputs where they lie, anew at each run", wrong)


def _threads(engine: Engine) -> Claim:
    """Compare the processor time of some runs with the time that passes."""
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < WATCHED_S:
        engine.run()
    passed, used = time.perf_counter() - began, time.process_time() - used
    most = THREADS_ROOM * passed
    return Claim("it keeps to one thread", "" if used <= most else f"it used {used:.2f} s in {passed:.2f} s")


def _executed(engine: Engine) -> Claim:
    """Ask it for the dtypes of its products; it may not know."""
    other = {dtype: count for dtype, count in engine.executed().items() if dtype != "fp32" or count < 1}
    return Claim("its products run in fp32, or it does not say", f"it says {other}" if other else "")


def main() -> None:
    """Print the claims of the runtime that is named."""
    broken = False
    try:
        for claim in claims(sys.argv[1]):
            print(claim.line)
            broken = broken or bool(claim.broken)
    except ResbenchError as error:
        sys.exit(str(error))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
