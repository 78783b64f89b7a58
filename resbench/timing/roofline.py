"""The roofline of a machine says how many FLOPs a second it can do, and how many bytes a second it can move.

    attainable seconds of a layer = max(FLOPs / ceiling of compute, bytes / ceiling of its working set)

Both ceilings are measured, with what a network also runs on, and kept in a cache. Source: Williams, Waterman,
Patterson 2009, "Roofline: An Insightful Visual Performance Model"; FLOPs = 2 x MACs.

>>> roof = Roof("cpu", "fp32", 2, "", flops_per_s=100e9, copies=((2**20, 50e9), (2**28, 10e9)))
>>> roof.attainable_s(flops=2e9, nbytes=2**20), roof.bound(flops=2e9, nbytes=2**20)
(0.02, 'compute')
>>> roof.bound(flops=2e9, nbytes=2**29)
'memory'
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any, Literal

import torch

from resbench.errors import MeasureError, OptionError, first_line, foreign
from resbench.files import cache, keep
from resbench.progress import Progress
from resbench.timing.ran import Ran
from resbench.workers import stopwatch
from resbench.workers.environment import available_bytes, environment
from resbench.workers.sampling import uncollected
from resbench.workers.workload import AUTOCAST, Call, Setup, drawn

PRODUCTS = {"fp32": torch.float32, "tf32": torch.float32, "fp64": torch.float64, **AUTOCAST}
"""A ceiling is measured in one of these; in fp64 a network runs that brings it itself."""

SCHEMA = 2
"""This counts the changes of the cache, and of how the ceilings are measured."""

SIZES = {"cpu": (512, 1024, 2048), "mps": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
"""The square matrices have these sides."""

LADDERS = {
    "cpu": tuple(2**k for k in range(16, 29, 2)),  # 64 KiB, in a first cache, to 256 MiB, in memory
    "mps": tuple(2**k for k in range(20, 31, 2)),
    "cuda": tuple(2**k for k in range(20, 31, 2)),
}
"""The copies have these working sets, in bytes."""

EACH_S = 0.45
"""Each product and each copy takes so long: 5 to 6 seconds on a CPU in all, 7 to 8 in bf16 and fp16."""

CALM = 40
"""A calm machine has fewer preemptions per second and thread. Alone we see 15 to 20; one other busy program makes more
than 70, and takes up to four fifths off the ceilings."""


@dataclass(frozen=True)
class Roof:
    """A roof is the ceilings of one device in one dtype."""

    device: str
    dtype: str
    threads: int
    environment: str
    """They were measured on the machine with this id."""
    flops_per_s: float
    copies: tuple[tuple[int, float], ...]
    """Each has its working set in bytes, and its bytes per second: what is read and what is written, both counted."""

    @property
    def bytes_per_s(self) -> float:
        """Return the rate of memory, which is that of the largest working set."""
        return max(self.copies)[1]

    @property
    def line(self) -> str:
        """State the two ceilings for a person."""
        flops, rate = self.flops_per_s / 1e9, self.bytes_per_s / 2**30
        return f"Roof, {self.dtype}: {flops:,.1f} GFLOP/s in a large product, {rate:,.1f} GiB/s in a large copy."

    def rate(self, nbytes: float) -> float:
        """Return the bytes per second that a layer moving ``nbytes`` can reach, for its data may lie in a cache.

        The best rate at the largest step of the ladder that the layer fills, or above; written in place, its data
        fill half of what it moves. A small copy is slowed by its call, so a larger one may be the better ceiling.
        """
        filled = max((step for step, _ in self.copies if 2 * step <= nbytes), default=0)
        return max(rate for step, rate in self.copies if step >= filled)

    def attainable_s(self, flops: float, nbytes: float) -> float:
        """Return the least seconds that the machine allows: no layer is faster than the slower of its two needs."""
        return max(flops / self.flops_per_s, nbytes / self.rate(nbytes))

    def bound(self, flops: float, nbytes: float) -> Literal["compute", "memory"]:
        """Tell which of the two needs it is."""
        return "compute" if flops / self.flops_per_s >= nbytes / self.rate(nbytes) else "memory"


def roof(device: str = "cpu", dtype: str = "fp32", *, fresh: bool = False) -> Roof:
    """Return the ceilings here, from the cache or measured: seconds of full load, once per machine and threads.

    ``fresh`` measures again. Ceilings of a CPU that other programs were using are not kept. Raises MeasureError for a
    dtype that the device cannot do, OptionError for one that is none of PRODUCTS.
    """
    if dtype not in PRODUCTS:
        raise OptionError(f"a roof is of {', '.join(PRODUCTS)}; received {dtype!r}")
    setup = Setup(device=device, dtype=dtype if dtype != "fp64" else "fp32")  # type: ignore[arg-type]
    _check(setup)
    key = {
        "device": device,
        "dtype": dtype,
        "threads": torch.get_num_threads(),
        "environment": environment(device).timed.id,
    }
    path = cache(f"roof-{key['environment']}-{device.replace(':', '-')}-{dtype}.json")
    found = None if fresh else _read(path, key)
    if found:
        return found
    start, preempted = time.perf_counter(), _preemptions()
    flops_per_s, copies = _measure(setup, SIZES[setup.kind], LADDERS[setup.kind], PRODUCTS[dtype])
    allowed = CALM * torch.get_num_threads() * (time.perf_counter() - start)
    measured = Roof(**key, flops_per_s=flops_per_s, copies=copies)  # type: ignore[arg-type]
    if setup.kind != "cpu" or _preemptions() - preempted < allowed:
        keep(path, json.dumps({"schema": SCHEMA, **asdict(measured)}, indent=1) + "\n")
    return measured


def roof_of(ran: Ran, progress: Progress) -> Roof | None:
    """Return the ceilings of what ran, on its threads; None where there are none."""
    progress(f"the machine's ceilings in {ran.dtype} (kept for the next time)", 1.0)
    if not has_roof(ran):
        return None
    with Setup(device=ran.device, threads=ran.threads[0]).applied():
        return roof(ran.device, ran.dtype)


def has_roof(ran: Ran) -> bool:
    """Tell whether products ran, all in one of PRODUCTS, on one device and one number of threads."""
    return ran.dtype in PRODUCTS and "+" not in ran.device and len(ran.threads) == 1


def without_roof_lines(name: str, ran: Ran | None, roof: Roof | None) -> list[str]:
    """Say in a line why its figures stand under no roof."""
    if ran is None or roof or not ran.products:
        return []
    return [f"{name}: no share of a roof, for there is none of {ran.dtype} on {ran.device} with {ran.threads_words}."]


def _check(setup: Setup) -> None:
    """Before the Ampere generation tf32 runs as fp32, and bf16 is imitated: neither would be a ceiling."""
    if setup.kind == "cuda" and setup.dtype in ("tf32", "bf16") and torch.version.cuda:
        capability = torch.cuda.get_device_capability(setup.device)
        if capability < (8, 0):
            raise MeasureError(
                f"{setup.dtype} needs an NVIDIA GPU of compute capability 8.0 or more, received "
                f"{torch.cuda.get_device_name(setup.device)} with {capability[0]}.{capability[1]}; use fp16 or fp32"
            )


def _measure(
    setup: Setup, sizes: tuple[int, ...], ladder: tuple[int, ...], dtype: torch.dtype | None = None
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """Return the best rate of the products, and the rate of each copy, as far as there is memory."""
    on_device = torch.cuda.device(setup.device) if setup.kind == "cuda" else nullcontext()
    failing = foreign(MeasureError, lambda e: f"cannot measure {setup.dtype} on {setup.device}: {first_line(e)}")
    with failing, setup.applied(), on_device, torch.inference_mode(), uncollected():
        flops_per_s = max(_products(setup, sizes, one) for one in _multiplied(setup, dtype or PRODUCTS[setup.dtype]))
        copies = tuple((nbytes, _copy(setup, nbytes)) for nbytes in ladder if _fits(setup, nbytes))
        if setup.kind == "cuda":
            torch.cuda.empty_cache()
    if not flops_per_s or not copies:
        raise MeasureError(
            f"the ceilings of {setup.device} need {max(6 * 4 * sizes[0] ** 2, 2 * ladder[0]):,} bytes of free memory"
        )
    return flops_per_s, copies


def _multiplied(setup: Setup, dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """Return the types in which a machine may multiply numbers of this one.

    A CPU that has no products of bf16 or fp16 imitates them, slower than those of fp32, to which it could convert: what
    ran is held under the better of both.
    """
    return (dtype, torch.float32) if setup.kind == "cpu" and dtype.itemsize < torch.float32.itemsize else (dtype,)


def _products(setup: Setup, sizes: tuple[int, ...], dtype: torch.dtype) -> float:
    """Return the FLOPs per second of the best product of square matrices; 0 where none has room.

    On a CPU also of a convolution, for that is another library: on a processor of AMD, oneDNN's convolution does
    twice as many fp32 FLOPs as MKL's product. It is 7x7, so that no Winograd transform saves multiplications. On a
    GPU a transform might, and there the products reach the ceiling.
    """
    best, last_s = 0.0, 0.0
    for n, before in zip(sizes, (sizes[0], *sizes), strict=False):
        if last_s * (n / before) ** 3 > 4 * EACH_S or not _fits(setup, 3 * max(4, dtype.itemsize) * n**2):
            break
        a, b = (drawn((n, n), setup.device, dtype) for _ in range(2))
        last_s = _best_s(setup, partial(torch.mm, a, b, out=torch.empty_like(a)))
        best = max(best, 2 * n**3 / last_s)
    if best and setup.kind == "cpu":
        n, channels, side = torch.get_num_threads(), 64, 56
        image = drawn((n, channels, side, side), setup.device, dtype).to(memory_format=torch.channels_last)
        weight = drawn((channels, channels, 7, 7), setup.device, dtype).to(memory_format=torch.channels_last)
        flops = 2 * n * channels**2 * 7**2 * side**2
        best = max(best, flops / _best_s(setup, partial(torch.conv2d, image, weight, padding=3)))
    return best


def _copy(setup: Setup, nbytes: int) -> float:
    """Return the bytes per second of a copy of one half of the working set into the other."""
    source = torch.ones(nbytes // 8, device=setup.device)
    return nbytes / _best_s(setup, partial(torch.zeros_like(source).copy_, source))


def _fits(setup: Setup, nbytes: int) -> bool:
    """Tell whether it is at most half of what is free: libraries need room of their own."""
    free = torch.cuda.mem_get_info()[0] if setup.kind == "cuda" else available_bytes()
    return free is None or 2 * nbytes <= free


def _best_s(setup: Setup, run: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of many runs: everything that disturbs a run makes it longer.

    An NVIDIA GPU runs batches of about a millisecond: short runs follow each other without a gap.
    """
    if setup.kind != "cuda":
        now = stopwatch.CLOCKS[setup.kind]
        best_ns, end = inf, now() + EACH_S * 1e9
        while now() < end:
            start = now()
            run()
            best_ns = min(best_ns, now() - start)
        return best_ns / 1e9
    watch = stopwatch.eager(Call(run, setup))
    watch(1)
    first_s = min(watch(3))[0]
    inner = max(1, min(200, int(1e-3 / first_s)))
    batch = stopwatch.eager(Call(partial(_repeat, run, inner), setup))
    batches = max(3, min(100, int(EACH_S / (first_s * inner))))
    return min(batch(batches))[0] / inner


def _repeat(run: Callable[[], Any], times: int) -> None:
    for _ in range(times):
        run()


def _preemptions() -> int:
    """Return how often the system gave a core of this process to another; 0 where it does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _read(path: Path | None, key: dict[str, Any]) -> Roof | None:
    """Read the cache; None stands for a file that is missing, corrupt, of another schema or of another machine."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        copies = tuple((int(nbytes), float(rate)) for nbytes, rate in kept["copies"])
        found = Roof(**key, flops_per_s=float(kept["flops_per_s"]), copies=copies)
        whole = {"schema": SCHEMA, **asdict(found)} == {**kept, "copies": copies}
    except (OSError, ValueError, TypeError, KeyError, ArithmeticError):
        return None
    rates = [found.flops_per_s, *(number for copy in copies for number in copy)]
    return found if whole and copies and all(0 < rate < inf for rate in rates) else None
