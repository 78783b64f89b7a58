"""A process makes a workload of a benchmark, counts it, or runs it for the duel in samples, each of several pieces."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from resbench.counters.counts import TOTALS, Counted
from resbench.counters.watch import count
from resbench.errors import OptionError, did_you_mean
from resbench.regression.served import Served
from resbench.workers.workload import COMPILE, EAGER, Call, Setup, Workload

SAMPLES, SAMPLE_S = 25, 0.01
"""A process takes so many samples of a benchmark, and each lasts at least so long. A shared core changes its speed by
a third from one moment to the next: from round to round the median ratio of 25 short turns differs by 1 to 3 %, that of
5 long ones, which take the same time, by 2 to 9 % (`results/gate/turns.txt`)."""

PIECE_S = 0.0005
"""A sample is timed in pieces of one run, or of as many as last so long; its figure is the fastest of them. What else
runs on a core comes in slices of some milliseconds, which some of the pieces escape."""


def workload(target: Any, input: Any, setup: Mapping[str, Any], folder: Path | None = None) -> Workload:
    """Make a workload of what the fixture was called with. Raises OptionError or MeasureError.

    ``folder``: what is exported for a runtime is kept there.
    """
    options = ["compile", *(field.name for field in fields(Setup))]
    for name in setup.keys() - options:
        hint = did_you_mean(name, options, f"expected one of {', '.join(options)}")
        raise OptionError(f"the fixture `resbench` takes no {name}{hint}")
    if setup.get("compile") and "runtime" in setup:
        raise OptionError(f"compile=True is short for runtime={COMPILE!r}: expected one of them, received both")
    short = {"runtime": COMPILE} if setup.get("compile") else {}
    setup = {**short, **{name: value for name, value in setup.items() if name != "compile"}}
    torch_runs = setup.get("runtime", EAGER) in (EAGER, COMPILE)
    made = Workload if torch_runs else partial(Served, folder=folder)
    if isinstance(target, str):
        from resbench.costs.values import with_integers
        from resbench.networks.load import load

        chosen = Setup(**setup)
        loaded = load(target, input)
        return made(loaded.module, with_integers(loaded.module, loaded.arguments(chosen.batch)), chosen)
    if isinstance(target, nn.Module):
        inputs = (input,) if isinstance(input, (Tensor, Mapping)) else tuple(input or ())
        first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
        if not inputs or (first is None and not all(type(size) is int for size in inputs)):
            raise OptionError(
                "a module has no input of its own: expected input=(N, C, H, W) or tensors, received "
                + (repr(input) if inputs else "none")
            )
        batch = inputs[0] if first is None else first.size(0) if first.dim() else 1
        return made(target, inputs, Setup(**{"batch": batch, **setup}))
    if callable(target) and input is None:
        if not torch_runs:
            raise OptionError(
                f"a function cannot be exported for {setup['runtime']}: expected a module or a model's name"
            )
        return Call(target, Setup(**setup))
    raise OptionError(
        f"expected a module, a model's name or a function of no arguments, received {type(target).__name__}"
    )


def counted(work: Workload, more: Mapping[str, int]) -> Counted:
    """Count a run of the model as it is written, also where it is timed compiled, and add further counters.

    In a runtime its kernels are counted.
    """
    if isinstance(work, Served):
        return own(work.counted(), more)
    if work.setup.compile:
        work = Workload(work.model, work.called, replace(work.setup, runtime=EAGER))
    return own(count(work), more)


def own(counted: Counted, more: Mapping[str, int]) -> Counted:
    """Add further counters to those of the model itself. Raises OptionError."""
    model = counted.layers.get("", {})
    for name, value in more.items():
        if type(value) is not int or name in (*TOTALS, *model) or "." in name:
            raise OptionError(f"counters takes integers under new names without a dot; received {name}={value!r}")
    return replace(counted, layers={**counted.layers, "": {**model, **more}})


def often(work: Workload, calls: int) -> Callable[[], None]:
    """Return a function that makes so many runs and waits until the device is done with them."""

    def sample() -> None:
        for _ in range(calls):
            work.run()
        work.finish()

    return sample


def fastest(times: Sequence[float], runs: int, pieces: int) -> list[float]:
    """Return the seconds a run in the fastest piece of each sample, in six digits.

    >>> fastest([0.6, 0.4, 0.5, 0.8], runs=2, pieces=2)
    [0.2, 0.25]
    """
    starts = range(0, len(times), pieces)
    return [float(f"{min(times[start : start + pieces]) / runs:.6g}") for start in starts]


def cut(work: Workload) -> tuple[int, int]:
    """Find how many runs make a piece and how many pieces a sample; the benchmark is warm afterwards."""
    often(work, 1)()
    start = time.perf_counter()
    often(work, 2)()
    run_s = (time.perf_counter() - start) / 2
    runs = ceil(PIECE_S / run_s)
    pieces = ceil(SAMPLE_S / run_s / runs)
    often(work, runs * pieces)()
    return runs, pieces
