"""This module holds what `latency` finds: what one process reads, and what the readings of several say together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from statistics import median
from typing import Any, ClassVar, NamedTuple, get_args

from resbench.drawing.charts import Picture
from resbench.errors import Failures
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Where
from resbench.tables.table import Table
from resbench.timing.accuracy import Accuracy
from resbench.timing.ran import Ran, setup_words
from resbench.timing.roofline import Roof, has_roof
from resbench.timing.runtimes.runtime import TORCH
from resbench.units import of_batch
from resbench.workers.environment import Environment
from resbench.workers.medians import half_width, tenths
from resbench.workers.neighbours import crowded
from resbench.workers.sampling import SamplingVerdict
from resbench.workers.workload import Setup


class Deployed(NamedTuple):
    """A runtime needed this in one process, besides the time of its runs."""

    version: str
    """The runtime is of this version: ``onnxruntime 1.32.0``."""
    cold: bool
    """It kept compiled code in a folder, and found that empty."""
    load_s: float | None
    """It took so long to load the file, in seconds; torch has none."""
    first_s: float
    """Then the first run took so long."""
    resident_bytes: int | None
    """The process held so much at its peak up to the end of the first run, beyond what it held when the runtime was
    imported; None: nothing says."""
    file_bytes: int | None = None
    """The file has so many bytes, weights included."""
    difference: float | None = None
    """Its answers differ by at most this share of the largest of eager fp32; None: those are not known."""
    cores: tuple[int, ...] = ()
    """The process was kept to these processors; empty: to none."""
    accuracy: Accuracy | None = None
    """So many images were named rightly; None: it ran on random numbers, or another process has named them."""


class Reading(NamedTuple):
    """A reading is what one process measured, in seconds."""

    phases: tuple[str, ...]
    runs_s: tuple[tuple[float, ...], ...]
    """Each run has the seconds of its phases."""
    verdict: SamplingVerdict
    warm: bool
    rejected: int
    macs: int
    """These are the MACs of one run, forward and backward."""
    peak_bytes: int | None
    bytes: int | None = None
    """Its operators read and write so many; see ``resbench.timing.traffic``. None: an earlier version measured."""
    queued: tuple[float, ...] = ()
    """On an NVIDIA GPU these runs were queued before they began: they took the device's own time."""
    graph: tuple[float, ...] = ()
    """On an NVIDIA GPU these runs were replays of one captured run."""
    remark: str = ""
    ran: Ran | None = None
    """This says what really ran; it is None where an earlier version measured."""
    others: float | None = None
    """Other programs took so many of the cores meanwhile; None: nothing says so, or an earlier version measured."""
    uncounted: Mapping[str, int] | None = None
    """These operators have no formula for their MACs, and were called so often; None: an earlier version measured."""
    deployed: Deployed | None = None
    """The runtime needed this besides; None: it ran in the caller's process, or an earlier version measured."""

    @property
    def totals(self) -> list[float]:
        return [sum(run) for run in self.runs_s]


@dataclass(frozen=True)
class Latency:
    """One model in one setup took these seconds a run, in one process or several: a batch, forward or trained."""

    model: str
    input: tuple[int, ...]
    setup: Setup
    readings: tuple[Reading, ...]
    drift: float | None = None
    """The machine's speed wanders by this share from call to call; see ``resbench.timing.drift``."""
    calls: int = 0
    """The drift is known from so many calls."""
    batched: bool = True
    """The first axis of its input is the batch; else a run does one sample."""

    derived: ClassVar = (
        *("median_s", "half_width_s", "tenths_s", "phases_s", "throughput", "flops_per_s", "peak_bytes"),
        *("queued_s", "graph_s", "verdict", "warm", "differences"),
    )

    @property
    def ran(self) -> Ran | None:
        """This says what really ran; it is None where an earlier version measured."""
        return self.readings[0].ran

    @property
    def differences(self) -> list[str]:
        """Say in words where what ran is not what was asked for."""
        return self.ran.differences(self.setup) if self.ran else []

    def roof(self, roofs: Mapping[str, Roof]) -> Roof | None:
        """Choose of these the roof of what ran."""
        ran = self.ran
        if ran is None:
            return roofs.get(self.setup.dtype)
        if not has_roof(ran):
            return None
        same = [one for one in roofs.values() if (one.dtype, one.device) == (ran.dtype, ran.device)]
        return next((one for one in same if self.setup.kind != "cpu" or (one.threads,) == ran.threads), None)

    def where(self, here: Environment) -> Environment:
        """Return this environment as it was in the processes that ran."""
        return here.on(self.ran.threads[0]) if self.ran else here

    @property
    def others(self) -> float | None:
        """Return the most cores that other programs took while one of the processes timed; None: nothing says so."""
        return max((one.others for one in self.readings if one.others is not None), default=None)

    def crowded(self, here: Environment) -> str:
        """Say that others took cores that its threads wanted; the text is empty where they had them for themselves."""
        threads = self.ran.threads[0] if self.ran and self.setup.kind == "cpu" else 1
        deployed = self.readings[0].deployed
        cores = len(deployed.cores) if deployed and deployed.cores else here.stable.get("usable_cores")
        return crowded(self.others, threads, cores)

    @property
    def totals(self) -> list[float]:
        """Return the seconds of all runs of all processes."""
        return [total for reading in self.readings for total in reading.totals]

    @property
    def median_s(self) -> float:
        return median(self.totals)

    @property
    def turns(self) -> tuple[float, ...]:
        """Return the median of each process; the processes of all rows took turns."""
        return tuple(median(reading.totals) for reading in self.readings)

    @property
    def tenths_s(self) -> tuple[float, float]:
        """Return the 10th and the 90th percentile."""
        return tenths(self.totals)

    @property
    def half_width_s(self) -> float | None:
        """Return half of the 95 % interval of the median: over processes, and over calls as far as that is known.

        None where there was only one process.
        """
        if len(self.readings) < 2:
            return None
        return hypot(half_width([reading.totals for reading in self.readings]), (self.drift or 0) * self.median_s)

    @property
    def phases_s(self) -> dict[str, float]:
        """Return the median of each phase."""
        runs = [run for reading in self.readings for run in reading.runs_s]
        return {name: median(run[i] for run in runs) for i, name in enumerate(self.readings[0].phases)}

    @property
    def images(self) -> int:
        """Return how many samples a run does."""
        return self.input[0] if self.batched else 1

    @property
    def throughput(self) -> float:
        """Return how many samples of the batch it does a second."""
        return self.images / self.median_s

    @property
    def flops_per_s(self) -> float:
        """Return 2 x the MACs of a run, the backward pass included, over its median."""
        return 2 * self.readings[0].macs / self.median_s

    @property
    def uncounted(self) -> Mapping[str, int]:
        """Return the operators of a run without a formula: the MACs are too low by theirs."""
        return self.readings[0].uncounted or {}

    @property
    def peak_bytes(self) -> int | None:
        return max((r.peak_bytes for r in self.readings if r.peak_bytes is not None), default=None)

    @property
    def queued_s(self) -> float | None:
        """Return the device's own time; see ``resbench.workers.stopwatch``."""
        return _median([value for reading in self.readings for value in reading.queued])

    @property
    def graph_s(self) -> float | None:
        return _median([value for reading in self.readings for value in reading.graph])

    def row(self, named: bool) -> str:
        """Call it by what sets it apart: ``resnet18, batch 8``, and its runtime where those are ``named``."""
        return ", ".join([self.model, f"batch {self.setup.batch}", *([self.setup.place] if named else [])])

    @property
    def deployed(self) -> tuple[Deployed, ...]:
        """Return what the runtime needed besides, in each process that says so."""
        return tuple(one.deployed for one in self.readings if one.deployed)

    @property
    def verdict(self) -> SamplingVerdict:
        """Return the worst verdict of the processes."""
        order: Sequence[SamplingVerdict] = get_args(SamplingVerdict)
        return max((reading.verdict for reading in self.readings), key=order.index)

    @property
    def warm(self) -> bool:
        """Tell whether every process's warm-up settled."""
        return all(reading.warm for reading in self.readings)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


@dataclass(frozen=True, repr=False)
class Latencies(Result):
    """This holds the latencies of networks on one device, under the ceilings of what ran."""

    latencies: tuple[Latency, ...]
    roofs: Mapping[str, Roof]
    """The ceilings go by dtype, and by threads too where there are several of one."""
    environment: Environment
    interrupted: bool = False
    runtimes: tuple[str, ...] = ()
    """These were asked for; empty: an earlier version measured."""

    kind: ClassVar = "latency"
    metrics: ClassVar = {
        "memory": Metric("peak_bytes", "peak memory", "bytes", -1),
        "latency": Metric("latency_s", "latency", "seconds", -1),
        "throughput": Metric("throughput", "images/s", "rate", 1),
        "roof": Metric("roof_s", "roof allows", "seconds", -1),
    }
    members: ClassVar = "latencies"
    heading: ClassVar = (
        "latency",
        "Latency",
        "Seconds of a run, in fresh processes, with the interval of the median.",
    )

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.timing.latency.measure import latency

        how: Any = {"batch": where.batch, "device": where.device, "runtime": where.runtimes}
        return latency(models, **how, failures=failures, progress=progress)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        if not all(
            model["processes"] and all(one["runs_s"] for one in model["processes"]) for model in document["models"]
        ):
            raise ValueError("a network without a run")
        return {**document, "latencies": [{**model, "readings": model["processes"]} for model in document["models"]]}

    @property
    def names_runtimes(self) -> bool:
        """Tell whether rows are set apart by their runtimes, also where others failed: torch's two have long been told
        by the line of the setup."""
        runtimes = {*self.runtimes, *(one.setup.runtime for one in self.latencies)}
        return len(runtimes) > 1 or not runtimes <= {*TORCH}

    def tables(self) -> list[Table]:
        from resbench.timing.latency.deployment import deployment_table
        from resbench.timing.latency.table import latency_table

        deployed = self.names_runtimes and any(one.deployed for one in self.latencies)
        return [latency_table(self), *([deployment_table(self)] if deployed else [])]

    def figures(self) -> Iterator[Figure]:
        call = hash(tuple(one.median_s for one in self.latencies))
        for one in self.latencies:
            place = f"{setup_words(one.setup, one.ran)}, batch {one.setup.batch}. {one.where(self.environment).note}"
            half, roof = one.half_width_s, one.roof(self.roofs)
            images, sure = None if half is None else one.throughput * half / one.median_s, one.verdict != "invalid"
            asked = setup_words(one.setup.anywhere)
            shared = f"{asked}, batch {one.setup.batch}. {one.where(self.environment).note}"
            told: Any = {"runtime": one.setup.place, "shared": shared, "turns": one.turns, "call": call}
            yield Figure(one.model, "latency", one.median_s, half, place, sure=sure, **told)
            yield Figure(one.model, "throughput", one.throughput, images, place)
            if one.peak_bytes is not None:
                yield Figure(one.model, "memory", one.peak_bytes, None, place)
            flops, moved = 2 * one.readings[0].macs, one.readings[0].bytes
            if roof and not one.uncounted and moved is not None:
                bound = f"{roof.bound(flops, moved)} bound"
                yield Figure(one.model, "roof", roof.attainable_s(flops, moved), None, f"{place} {roof.line}", bound)

    def besides(self) -> Iterator[Figure]:
        for one in self.latencies:
            if one.setup.mode == "inference":
                macs, least = one.readings[0].macs, bool(one.uncounted)
                yield Figure(one.model, "macs", macs, None, of_batch(one.input[0]), least=least)

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        return {one.model: one.uncounted for one in self.latencies}

    def pictures(self) -> list[Picture]:
        from resbench.timing.latency.chart import spreads
        from resbench.timing.latency.crossings import by_runtime

        return by_runtime(self.figures()) or [spreads(self)]

    def verdicts(self) -> Iterator[str]:
        named = self.names_runtimes
        for one in self.latencies:
            if one.verdict != "settled":
                yield f"Latency of {one.row(named) if named else one.model}: {one.verdict}"
