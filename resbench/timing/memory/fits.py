"""The largest batch that fits a memory is found by prediction: nothing runs, and no tensor is allocated.

fits("resnet50", "8GB") -> Fits
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

from resbench.costs.measure import Given, cost
from resbench.errors import Failures, MeasureError, OptionError
from resbench.networks.inputs import Input
from resbench.networks.load import Model, load
from resbench.networks.name import ModelName
from resbench.progress import Progress, Step, silent
from resbench.result import Result
from resbench.tables.table import Column, Table
from resbench.tables.uncounted import unclassified, warning
from resbench.timing.memory.prediction import predicted, shapes_of
from resbench.timing.memory.result import Memory
from resbench.timing.ran import setup_words
from resbench.workers.optimizers import check_takes
from resbench.workers.workload import Setup

UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

MOST_BYTES = 2**63
"""No memory is as large."""

MAX_BATCH = 2**20
"""No batch is larger."""

FITS_COLUMNS = (
    Column("model", "model"),
    Column("batch", "largest batch", "exact"),
    Column("peak_bytes", "its peak", "bytes"),
    Column("next_peak_bytes", "peak of one image more", "bytes"),
)


class Fit(NamedTuple):
    """A network fits with this batch, 0 where it does not with any, and with none that is larger."""

    model: str
    batch: int
    peak_bytes: int | None
    """Its run holds so much at most; None where no batch fits."""
    next_peak_bytes: int | None
    """With one image more it would hold so much; None where no larger batch was looked at."""
    unknown: tuple[str, ...] = ()
    """These rows are of no known kind."""
    uncounted: tuple[tuple[str, int], ...] = ()
    """These operators are in no row, and ran so often."""


@dataclass(frozen=True, repr=False)
class Fits(Result):
    """This says with which batches networks fit a memory of so many bytes, in one setup but for its batch."""

    reports: tuple[Fit, ...]
    budget: int
    setup: Setup

    kind: ClassVar = "latency --fits"
    members: ClassVar = "reports"
    heading: ClassVar = ("fits", "Largest batches", "Predicted from the costs, without a run.")

    def tables(self) -> list[Table]:
        setup = setup_words(self.setup)
        notes = [f"Budget: {self.budget:,} bytes. {setup}.", "Predicted: from the cost rows alone, without running."]
        too_low = "what is predicted may be too low"
        warnings = [
            *(
                f"{one.model}: no more than {MAX_BATCH:,} images were tried: more may fit."
                for one in self.reports
                if one.batch == MAX_BATCH
            ),
            *(line for one in self.reports for line in warning(one.model, dict(one.uncounted), too_low)),
            *(line for one in self.reports for line in unclassified(one.model, one.unknown, too_low)),
        ]
        return [Table(FITS_COLUMNS, [one[:4] for one in self.reports], notes=notes, warnings=warnings)]


def size_of(text: str | int) -> int:
    """Read ``8GB`` as its bytes. Raises OptionError.

    >>> size_of("8GB"), size_of("1.5 KiB"), size_of(4096)
    (8000000000, 1536, 4096)
    """
    words = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)", str(text), re.ASCII) if isinstance(text, str) else None
    size = int(float(words[1]) * UNITS.get(words[2], 0)) if words else text if type(text) is int else 0
    if not 1 <= size < MOST_BYTES:
        raise OptionError(f"expected a size such as 8GB (units {', '.join(UNITS)}; below 2^63), received {text!r}")
    return size


def fits(
    models: Given | Sequence[Given],
    budget: str | int,
    input: Input = None,
    setup: Setup | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Fits:
    """Find the largest batch with which each network fits ``budget``. Raises OptionError for what is no size."""
    size, setup, failures = size_of(budget), setup or Setup(), failures or Failures()
    several: Sequence[Given] = models if isinstance(models, list | tuple) else [models]  # type: ignore[list-item]
    found = failures.each(several, lambda model: _fit(model, input, size, setup, progress))
    return Fits(tuple(failures.left(found)), size, setup)


def _fit(model: Given, input: Input, budget: int, setup: Setup, progress: Progress) -> Fit:
    """Find the largest batch of one network."""
    if isinstance(model, str | ModelName):
        model = load(model, input, device="meta")
    given = model if isinstance(model, Model) else Model.of(model, input)
    given.check_runs()
    shapes = shapes_of(given.module) if setup.mode == "training" else []
    check_takes(setup.optimizer, shapes)

    @cache
    def held(batch: int) -> tuple[str, Memory]:
        report = cost(given, batch=batch, mode=setup.mode)
        progress(Step(f"{report.model}: batch {batch:,}"), 0.0)
        return report.model, predicted(report, setup, shapes)

    def peak(batch: int) -> int:
        name, memory = held(batch)
        if memory.peak is None:
            raise MeasureError(f"{name}: nobody sees into what a layer gives, so no peak is predicted; run --memory")
        return memory.peak

    batch = largest(peak, budget)
    (name, memory), beyond = held(max(batch, 1)), peak(batch + 1) if batch < MAX_BATCH else None
    uncounted = tuple((memory.uncounted or {}).items())
    return Fit(name, batch, memory.peak if batch else None, beyond, memory.unknown, uncounted)


def largest(peak: Callable[[int], int], budget: int) -> int:
    """Find the largest batch with a peak in the budget by bisection; it is 0 where there is none.

    A peak is the largest of sums that grow evenly with the batch, so that no image adds less than the third. That
    bounds the search; the first alone cannot be normalised over its batch where a map has one position.

    >>> largest(lambda batch: 100 + 30 * batch, 1000)
    30
    """
    second, third = peak(2), peak(3)
    most = 1 if second > budget else 2 + (budget - second) // max(1, third - second)
    return bisect_right(range(1, min(most, MAX_BATCH) + 1), budget, key=peak)
