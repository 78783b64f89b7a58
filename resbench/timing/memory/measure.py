"""A run holds memory: it is counted from the tensors, and measured at its peak.

Bytes. On a CPU the peak is that of the tensors that operators give, so scratch space inside of one is not in it.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from resbench.arch.rows import Cost
from resbench.costs.measure import cost
from resbench.counters.watch import saved, watch
from resbench.errors import Failures, MeasureError
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.modules import Lent
from resbench.operators.boundaries import Modules
from resbench.progress import Progress, in_turn, silent
from resbench.timing.case import ready
from resbench.timing.memory.fits import Fits
from resbench.timing.memory.fits import fits as largest_batches
from resbench.timing.memory.prediction import predicted, shapes_of
from resbench.timing.memory.result import Held, Memories, Memory
from resbench.timing.ran import observed
from resbench.workers.environment import available_bytes, environment
from resbench.workers.optimizers import MOMENTUM
from resbench.workers.workload import COMPILE, EAGER, Cache, Dtype, MemoryFormat, Mode, Setup, Workload, check_device


@public
def memory(
    models: str | Lent | Sequence[str],
    input: Input = None,
    *,
    device: str = "cpu",
    batch: int = 1,
    dtype: Dtype = "fp32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "inference",
    cache: Cache = "warm",
    compile: bool = False,
    threads: int | None = None,
    optimizer: str = MOMENTUM,
    fits: str | int | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Memories | Fits:
    """Predict what models hold in a run from their costs, and measure it in this process. Raises MeasureError.

    ``fits``: find the largest batch that fits so much (``8GB``, bytes) instead, by prediction and without a run.
    """
    setup = Setup(device, batch, dtype, memory_format, mode, cache, COMPILE if compile else EAGER, threads, optimizer)
    if fits is not None:
        return largest_batches(models, fits, input, setup, failures, progress)
    check_device(device)
    failures = failures or Failures()

    def held(model: str | Lent) -> Held:
        counted = cost(model, input, batch=batch, mode=mode)
        with ready(model, input, setup) as (work, name), work.ready():
            work.run()  # the optimiser's state is made in the first step
            expected = predicted(counted, setup, shapes_of(work.model))
            return Held(name, expected, measured(work), observed(work))

    several: list[str | Lent] = [models] if isinstance(models, str | Lent) else [*models]
    reports = failures.left(failures.each(in_turn(several, "one run", progress), held))
    threads_ran = reports[0].ran.threads[0] if reports[0].ran else None
    return Memories(tuple(reports), setup, environment(device).on(threads_ran))


def measured(work: Workload) -> Memory:
    """Count what a workload that is ready holds, from its tensors, and at the peak of one run."""
    training = work.setup.mode == "training"
    parameters = list(work.model.parameters())
    weights, buffers = _bytes(parameters), _bytes(work.model.buffers())
    kept = sum(saved(work, Modules(work.model)).values()) if training else 0
    gradients = _bytes(p for p in parameters if p.requires_grad) if training else 0
    state = [value for entry in work.optimizer.state.values() for value in entry.values()] if training else []
    optimizer = _bytes(value for value in state if isinstance(value, Tensor))
    return Memory(weights, buffers, _bytes(work.tensors), gradients, optimizer, kept, peak_bytes(work))


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Sum the bytes of their storages, each once."""
    return sum({s.data_ptr(): s.nbytes() for s in (tensor.untyped_storage() for tensor in tensors)}.values())


def peak_bytes(work: Workload) -> int | None:
    """Measure the most that a run allocates at one time, model and input included. None on Apple GPUs."""
    if work.setup.kind == "mps":
        return None
    if work.setup.kind == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats(work.setup.device)
        work.run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated(work.setup.device)
    return watch(work, Modules(work.model)).peak


def check_fits(cost: Cost, setup: Setup) -> None:
    """Raise MeasureError where even the least that the run needs is more than the machine has left.

    Asked before anything is allocated: an operating system may promise memory that it does not have, and kill later.
    """
    free = torch.cuda.mem_get_info(setup.device)[0] if setup.kind == "cuda" else available_bytes()
    need = predicted(cost, setup).peak
    if free is not None and need is not None and need > free:
        raise MeasureError(
            f"{cost.model}, batch {setup.batch}, {setup.mode}: needs about {need / 2**30:,.1f} GiB, "
            f"{free / 2**30:,.1f} GiB are free; take a smaller --batch"
        )
