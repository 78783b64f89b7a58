"""The rows of a cost predict what a run holds in memory, without running anything. Numbers are bytes."""

from collections import Counter
from collections.abc import Sequence
from math import prod

from torch import nn

from resbench.arch.algebra import Shape
from resbench.arch.rows import Cost
from resbench.timing.memory.lives import most_in_forward, most_in_training
from resbench.timing.memory.result import Memory
from resbench.units import FP32_BYTES
from resbench.workers.optimizers import passing_bytes, state_bytes
from resbench.workers.workload import AUTOCAST, Setup


def shapes_of(model: nn.Module) -> list[Shape]:
    """Return the shapes of what a model trains, in the order in which an optimiser steps it."""
    return [tuple(p.shape) for p in model.parameters() if p.requires_grad]


def predicted(cost: Cost, setup: Setup, shapes: Sequence[Shape] | None = None) -> Memory:
    """Take as kept for the backward pass the output of each row that the gradients of any row are computed from,
    once, and what the rows keep beside: masks, indices, what lies between the operators of one (``Row.keeps``).

    Elements have the width of the model's own; autocast makes narrower copies of float32, and leaves float64 alone.
    What is kept and the peak are None where the activations of a layer are not known. Rows of no known kind are taken
    to keep all that they read and give, and are named in ``unknown``. ``shapes``: of the trained parameters; without
    them those of a row count as one vector.
    """
    own = _width(cost)
    training = setup.mode == "training"
    seen = all(row.activations is not None for row in cost.layers)
    cast = setup.dtype in AUTOCAST and own == FP32_BYTES
    element = AUTOCAST[setup.dtype].itemsize if cast else own
    weights = own * cost.params
    copies = element * cost.params if cast else 0
    first = own * prod(cost.input) if cost.input_bytes is None else cost.input_bytes
    gradients = own * (cost.params if cost.trainable is None else cost.trainable) if training else 0
    outputs = [element * (row.activations or 0) for row in cost.layers]
    needed = {place for row in cost.layers for place in row.keeps}
    kept = sum(outputs[place] for place in needed) + sum(row.kept_bytes for row in cost.layers)
    saved = copies + kept if training else 0
    grown = [own * (row.params if row.trainable is None else row.trainable) if training else 0 for row in cost.layers]
    state, most = 0, copies + (most_in_training(cost, outputs, grown) if training else most_in_forward(cost, outputs))
    if training:
        trained = [(size // own,) for size in grown if size] if shapes is None else shapes
        state = own * state_bytes(setup.optimizer, trained) // FP32_BYTES
        most = max(most, sum(grown) + own * passing_bytes(setup.optimizer, trained) // FP32_BYTES)
    buffers = cost.buffer_bytes or 0
    peak = weights + buffers + state + first + most
    kept_and_most = saved if seen else None, peak if seen else None
    return Memory(weights, buffers, first, gradients, state, *kept_and_most, dict(cost.uncounted), cost.unknown)


def _width(cost: Cost) -> int:
    """Tell the bytes of an element of the weights, of most of them where they differ."""
    sizes: Counter[int] = Counter()
    for row in cost.layers:
        if row.params and row.param_bytes:
            sizes[row.param_bytes // row.params] += row.params
    return sizes.most_common(1)[0][0] if sizes else FP32_BYTES
