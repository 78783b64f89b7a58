"""This module measures how long a run takes here, each network in several fresh processes.

What differs from process to process (addresses, cores, what else the machine does) is in the interval that way; rows
are measured side by side; and what the system kills for want of memory takes no finished row with it.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resbench.codec import decoded
from resbench.errors import Failures, MeasureError, OptionError
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.load import Model, result_name
from resbench.networks.modules import Lent
from resbench.networks.name import names_of
from resbench.progress import Progress, Step, silent
from resbench.timing.accuracy import asked_data
from resbench.timing.case import Case, case, ready
from resbench.timing.drift import noted
from resbench.timing.latency.processes import Processes, check_export, setups
from resbench.timing.latency.result import Latencies, Latency, Reading
from resbench.timing.latency.worker import paced, read
from resbench.timing.roofline import Roof, roof, roof_of
from resbench.timing.runtimes.runtime import TORCH
from resbench.units import plural
from resbench.workers.environment import environment
from resbench.workers.optimizers import MOMENTUM
from resbench.workers.workload import COMPILE, EAGER, Cache, Dtype, MemoryFormat, Mode, Setup

PROCESSES = 5
"""Each row is measured in so many: the interval of fewer is wide, for Student's t grows fast."""


@public
def latency(
    models: str | Lent | Sequence[str],
    input: Input = None,
    *,
    device: str = "cpu",
    batch: int | Sequence[int] = 1,
    dtype: Dtype = "fp32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "inference",
    cache: Cache = "warm",
    compile: bool = False,
    runtime: str | Sequence[str] = EAGER,
    threads: int | None = None,
    optimizer: str = MOMENTUM,
    processes: int = PROCESSES,
    export: str | Path | None = None,
    data: str | None = None,
    root: str | Path | None = None,
    quantize: str | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Latencies:
    """Measure how long models take here, with the ceilings of what ran.

    A name is measured in fresh processes, every case in its own and all of them in turn; a module in this one, so
    without an interval, or in runtimes other than torch's in fresh processes that load what is exported here. It is
    afterwards what it was. ``runtime``: one or several of ``eager``, ``compile``,
    ``aot``, ``onnxruntime``, ``openvino``, ``executorch``, and those that other packages bring; ``compile=True`` is
    short for one of them. ``export`` keeps the file that they are given. ``data``, in ``root``: they run on these
    images, and name those of the test part; ``quantize="int8"``: runtimes that can run in integers too, calibrated on
    those to train on. Ctrl-C gives what is done. Raises MeasureError for what this machine cannot do.
    """
    batches = [batch] if isinstance(batch, int) else [*batch]
    runtimes = [COMPILE] if compile else [runtime] if isinstance(runtime, str) else [*runtime]
    how: Any = {"dtype": dtype, "memory_format": memory_format, "mode": mode, "cache": cache, "threads": threads}
    asked_setups = setups(device, batches, runtimes, quantize, **how, optimizer=optimizer)
    shown = asked_data(data, root, mode)
    if quantize and not shown:
        raise OptionError("--quantize needs images to calibrate on: expected --data with it, such as --data digits")
    first, lent = asked_setups[0], models if isinstance(models, Lent) else None
    if lent is not None and shown:
        raise OptionError("a module that is lent runs on its own input: expected a name for --data")
    here = {name in TORCH for name in runtimes}
    if lent is not None and len(here) > 1:
        raise OptionError(
            "a module that is lent runs in this process in eager and compile, and in fresh ones in other runtimes: "
            f"expected a call for each; received {','.join(runtimes)}"
        )
    if lent is not None and here == {True}:
        found = []
        for setup in asked_setups:
            with ready(lent, input, setup) as (work, name):
                found.append(Latency(name, tuple(work.tensors[0].shape), setup, (read(work),), batched=work.batched))
        where = found[0].where(environment(device))
        return Latencies(tuple(found), _ceilings(found, None, progress), where, runtimes=(*runtimes,))
    names = names_of(models) if lent is None else [str(Model.of(lent, input).name)]
    if export is not None:
        check_export(Path(export), names, asked_setups)
    failed_models = failures or Failures()
    if lent is None:  # a name that nothing answers to costs no process
        failed_models.each(names, lambda name: result_name(name, input))
        names = failed_models.left(failed_models.without(names))
    with first.applied():
        progress(Step(f"the machine's ceilings in {first.dtype} (kept for the next time)"), 0.0)
        asked = roof(first.device, first.dtype)  # what the device cannot do is said before anything is measured
        machine = environment(first.device)
    said = input if lent is None else None
    cases = dict.fromkeys(case(name, said, setup, shown) for name in names for setup in asked_setups)
    with TemporaryDirectory(prefix="resbench-") as folder:
        asking = Processes(Path(folder), processes, pinned={*runtimes} != {EAGER})
        if lent is not None:
            for one in cases:
                asking.lend(one, lent, input)
        found, interrupted = _asked([*cases], asking, failures, progress)
        if export is not None:
            asking.keep(Path(export))
    if interrupted and not found:
        raise KeyboardInterrupt
    failed_models.left(found)
    roofs = {asked.dtype: asked}
    try:
        roofs = _ceilings(found, asked, progress)
    except KeyboardInterrupt:
        interrupted = True
    return Latencies(tuple(found), roofs, found[0].where(machine), interrupted, (*runtimes,))


def _ceilings(latencies: Sequence[Latency], asked: Roof | None, progress: Progress) -> dict[str, Roof]:
    """Measure the ceilings of everything that ran, by dtype, and by threads too where there are several of one."""
    found = {asked.dtype: asked} if asked else {}
    if not any(one.roof(found) for one in latencies):
        found.clear()
    for ran in dict.fromkeys(one.ran for one in latencies if one.ran and not one.roof(found)):
        ceiling = roof_of(ran, progress)
        if ceiling and ceiling not in found.values():
            found[ceiling.dtype if ceiling.dtype not in found else f"{ceiling.dtype}, {ran.threads_words}"] = ceiling
    return found


def _asked(
    cases: Sequence[Case], processes: Processes, failures: Failures | None, progress: Progress
) -> tuple[list[Latency], bool]:
    """Return the latencies of the cases that could be measured, in order, and whether Ctrl-C ended it."""
    found: dict[Case, list[dict[str, Any]]] = {}
    failed: set[Case] = set()
    interrupted = False
    try:
        for turn in range(processes.turns):
            for i, one in enumerate(one for one in cases if one not in failed):
                kept = plural(len(found), "row") if found else ""
                step = Step(f"{one}: process {turn + 1} of {processes.turns}", kept)
                progress(step, (turn + i / len(cases)) / processes.turns)
                answer = processes.answer(one, turn)
                if "error" in answer:
                    reason = answer["error"] if one.model in answer["error"] else f"{one}: {answer['error']}"
                    if failures is None:
                        raise MeasureError(reason)
                    failed.add(one)
                    failures.add(reason, reason)
                else:
                    found.setdefault(one, []).append(answer)
    except KeyboardInterrupt:
        interrupted = True
    return _latencies(found), interrupted


def _latencies(found: dict[Case, list[dict[str, Any]]]) -> list[Latency]:
    """Return the latencies in the order of the cases, each with the drift of what it ran on."""
    readings = {one: tuple(decoded(Reading, answer["reading"]) for answer in answers) for one, answers in found.items()}
    setups = {one: paced(one.setup, first.ran) for one, (first, *_) in readings.items()}
    paces: dict[Setup, list[float]] = {}
    for one, answers in found.items():
        paces.setdefault(setups[one], []).extend(answer["pace_s"] for answer in answers)
    drifts = {setup: noted(setup, seen) for setup, seen in paces.items()}
    return [
        Latency(
            first["model"],
            tuple(first["input"]),
            one.setup,
            readings[one],
            *drifts[setups[one]],
            batched=first["batched"],
        )
        for one, (first, *_) in found.items()
    ]
