"""What a run holds in memory: counted from the tensors, measured at its peak, and predicted from the cost rows.

Bytes. On a CPU the peak is that of the tensors that operators give, so scratch space inside of one is not in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from resbench.arch.cost import Cost, Row
from resbench.costs.measure import cost
from resbench.counters.watch import saved, watch
from resbench.errors import Failures, MeasureError
from resbench.networks.name import Input
from resbench.operators.boundaries import Modules
from resbench.results import Progress, silent
from resbench.timing.case import ready
from resbench.timing.memory.result import Held, Memories, Memory
from resbench.timing.ran import observed
from resbench.units import FP32_BYTES
from resbench.workers.environment import available_bytes, environment
from resbench.workers.workload import AUTOCAST, Cache, Dtype, MemoryFormat, Mode, Setup, Workload, check_device

KEPT = frozenset("ReLU Sigmoid MaxPool2d AvgPool2d AdaptiveAvgPool2d Concat Mul Highway LocalResponseNorm".split())
"""Layers whose output is kept: by themselves, or as the input of the next convolution or linear layer."""

INDEX_BYTES = 8
"""Max pooling also keeps where each maximum was."""


def memory(
    models: str | nn.Module | Sequence[str],
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
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Memories:
    """What models hold in a run, predicted from their costs and measured in this process. Raises MeasureError."""
    setup = Setup(device, batch, dtype, memory_format, mode, cache, compile, threads)
    check_device(device)
    failures = failures or Failures()

    def held(model: str | nn.Module) -> Held:
        progress(f"{model if isinstance(model, str) else type(model).__name__}: one run", 0.0)
        expected = predicted(cost(model, input, batch=batch), setup)
        with ready(model, input, setup) as (work, name), work.ready():
            work.run()  # the optimiser's state is made in the first step
            return Held(name, expected, measured(work), observed(work))

    several: list[str | nn.Module] = [models] if isinstance(models, str | nn.Module) else [*models]
    reports = failures.left(failures.each(several, held))
    threads_ran = reports[0].ran.threads[0] if reports[0].ran else None
    return Memories(tuple(reports), setup, environment(device).where(threads=threads_ran))


def _width(cost: Cost) -> int:
    """Bytes of an element of the weights, of most of them where they differ."""
    sizes: Counter[int] = Counter()
    for row in cost.layers:
        if row.params and row.param_bytes:
            sizes[row.param_bytes // row.params] += row.params
    return sizes.most_common(1)[0][0] if sizes else FP32_BYTES


def predicted(cost: Cost, setup: Setup) -> Memory:
    """From the rows: what is kept is the output of each layer that a later one needs and that nothing overwrites.

    A convolution's output is kept by the batch normalisation behind it, and overwritten in place by a ReLU; a sum's by
    what reads it, unless a ReLU overwrites it; batch normalisation's own is overwritten or only added. Elements
    have the width of the model's own; autocast makes narrower copies of float32, and leaves float64 alone. What is kept
    and the peak are None where the activations of a layer are not known.
    """
    own = _width(cost)
    training = setup.mode == "training"
    seen = all(row.activations is not None for row in cost.layers)
    cast = setup.dtype in AUTOCAST and own == FP32_BYTES
    element = AUTOCAST[setup.dtype].itemsize if cast else own
    weights, rows = own * cost.params, [row for row in cost.layers if row.activations]
    copies = element * cost.params if cast else 0
    first = own * _elements(cost.input)
    state = weights if training else 0
    kept = sum(_kept(row, after.type, element) for row, after in pairwise(rows))
    saved = copies + kept if training else 0
    outputs = [element * (row.activations or 0) for row in rows]
    widest = max(a + b for a, b in pairwise([first, *outputs, 0]))
    peak = weights + 2 * state + first + (saved + max(outputs, default=0) if training else widest + copies)
    kept_and_most = saved if seen else None, peak if seen else None
    return Memory(weights, None, first, state, state, *kept_and_most, uncounted=dict(cost.uncounted))


def _kept(row: Row, follows: str, element: int) -> int:
    elements = row.activations or 0
    bytes_ = element * elements
    if row.type == "MaxPool2d":
        return bytes_ + INDEX_BYTES * elements
    if row.type == "Dropout":
        return bytes_ + FP32_BYTES * elements  # and its mask
    if row.type in KEPT:
        return bytes_
    if row.type == "Conv2d":
        return bytes_ if follows == "BatchNorm2d" else 0
    if row.type == "Add":
        return bytes_ if follows != "ReLU" else 0
    return 0


def _elements(shape: Iterable[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def measured(work: Workload) -> Memory:
    """Of a workload that is ready: counted from its tensors, and at the peak of one run."""
    training = work.setup.mode == "training"
    parameters = list(work.model.parameters())
    weights, buffers = _bytes(parameters), _bytes(work.model.buffers())
    kept = sum(saved(work, Modules(work.model)).values()) if training else 0
    gradients = _bytes(p for p in parameters if p.requires_grad) if training else 0
    state = [value for entry in work.optimizer.state.values() for value in entry.values()] if training else []
    optimizer = _bytes(value for value in state if isinstance(value, Tensor))
    return Memory(weights, buffers, _bytes(work.tensors), gradients, optimizer, kept, peak_bytes(work))


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Of the storages, each once."""
    return sum({s.data_ptr(): s.nbytes() for s in (tensor.untyped_storage() for tensor in tensors)}.values())


def peak_bytes(work: Workload) -> int | None:
    """The most that is allocated at one time in a run, the model and its input included. None on Apple GPUs."""
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
    """Raises MeasureError where even the least that the run needs is more than the machine has left.

    Asked before anything is allocated: an operating system may promise memory that it does not have, and kill later.
    """
    free = torch.cuda.mem_get_info(setup.device)[0] if setup.kind == "cuda" else available_bytes()
    need = predicted(cost, setup).peak
    if free is not None and need is not None and need > free:
        raise MeasureError(
            f"{cost.model}, batch {setup.batch}, {setup.mode}: needs about {need / 2**30:,.1f} GiB, "
            f"{free / 2**30:,.1f} GiB are free; take a smaller --batch"
        )
