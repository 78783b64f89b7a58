"""Latencies measured in fresh processes: one for each row of the table, and all of it several times over.

What differs from process to process (addresses, cores, what else the machine does) is in the interval that way; rows
are measured side by side; and what the system kills for want of memory takes no finished row with it.

``python -m resbench.timing.replicas`` is such a process: a cell as JSON on its standard input, its reading on
its output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resbench.costs.measure import cost
from resbench.errors import MeasureError, OptionError, ResbenchError, cannot_run
from resbench.networks.load import Input, load, parse_input

if TYPE_CHECKING:
    from torch import nn

    from resbench.timing.latency.measure import Latency
    from resbench.timing.profile.measure import Profile
    from resbench.timing.ran import Ran
    from resbench.workers.workload import Setup, Workload

PROCESSES = 5
"""For each row: the interval of fewer is wide, for Student's t grows fast."""


class Cell(NamedTuple):
    """What is to be measured: one row of the table."""

    model: str
    input: str | None
    setup: Setup

    def __str__(self) -> str:
        return f"{self.model}, batch {self.setup.batch}, {self.setup.mode}"


@dataclass
class Outcome:
    """What came of it; cells that failed are named with the reason."""

    latencies: list[Latency]
    failures: list[str]
    interrupted: bool = False


def latency(model: str | nn.Module, input: Input = None, *, processes: int = PROCESSES, **setup: Any) -> Latency:
    """How long a model takes here. ``setup`` as in ``Setup``: device, batch, dtype, mode, ...

    A name is measured in fresh processes; a module in this one, and so without an interval: it is afterwards what it
    was. What really ran is in ``ran``. Raises MeasureError for what this machine cannot do.
    """
    from resbench.workers.workload import Setup

    chosen = Setup(**setup)
    if isinstance(model, str):
        size = None if input is None else "x".join(map(str, parse_input(input)))
        outcome = measure([Cell(model, size, chosen)], processes)
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.failures:
            raise MeasureError(outcome.failures[0])
        return outcome.latencies[0]
    from resbench.timing.latency.measure import Latency, read

    with _lent(model, input, chosen) as (work, name):
        return Latency(name, tuple(work.inputs[0].shape), chosen, (read(work),))


def profile(model: str | nn.Module, input: Input = None, *, trace: str | Path, steps: int = 3, **setup: Any) -> Profile:
    """Some runs under torch's profiler, of a name or a module: the tables, and the trace in the folder ``trace``.

    ``setup`` as for ``latency``. A module is afterwards what it was. Raises MeasureError for what cannot be done here.
    """
    from resbench.timing.profile.measure import profile as profiled
    from resbench.workers.workload import Setup

    chosen = Setup(**setup)
    if isinstance(model, str):
        size = None if input is None else "x".join(map(str, parse_input(input)))
        cell = Cell(model, size, chosen)
        work, name = workload(cell)
        with one_line(cell):
            return profiled(work, Path(trace), name, steps)
    with _lent(model, input, chosen) as (work, name):
        return profiled(work, Path(trace), name, steps)


@contextmanager
def _lent(model: nn.Module, input: Input, setup: Setup) -> Iterator[tuple[Workload, str]]:
    """A module made ready, and its name; whatever is done with it, it is given back as it was."""
    from resbench.restoring.unchanged import unchanged
    from resbench.workers.workload import Workload

    name = type(model).__name__
    if input is None:
        raise OptionError("a module has no input of its own: expected input=(C, H, W), received none")
    with unchanged(model), cannot_run(name, f", {setup.dtype} on {setup.device}"):
        yield Workload(model, (setup.batch, *parse_input(input)), setup), name


def measure(cells: Sequence[Cell], processes: int = PROCESSES, progress: Callable[[str], object] = bool) -> Outcome:
    """Measure each cell in its own process, all cells in turn, then all of them again."""
    cells = list(dict.fromkeys(cells))
    found: dict[Cell, list[dict[str, Any]]] = {}
    failures: dict[Cell, str] = {}
    interrupted = False
    try:
        for turn in range(processes):
            for cell in (cell for cell in cells if cell not in failures):
                progress(f"process {turn + 1} of {processes}: {cell}")
                answer = _ask(cell, processes)
                if "error" in answer:
                    reason = answer["error"]
                    failures[cell] = reason if cell.model in reason else f"{cell}: {reason}"
                else:
                    found.setdefault(cell, []).append(answer)
    except KeyboardInterrupt:
        interrupted = True
    return Outcome(_latencies(found), [*failures.values()], interrupted)


def _latencies(found: dict[Cell, list[dict[str, Any]]]) -> list[Latency]:
    """In the order of the cells, each with the drift of what it ran on."""
    from resbench.timing.drift import noted
    from resbench.timing.latency.measure import Latency, Reading

    readings = {cell: tuple(Reading.of(answer["reading"]) for answer in answers) for cell, answers in found.items()}
    paced = {cell: _paced(cell.setup, ran.ran) for cell, (ran, *_) in readings.items()}
    paces: dict[Setup, list[float]] = {}
    for cell, answers in found.items():
        paces.setdefault(paced[cell], []).extend(answer["pace_s"] for answer in answers)
    drifts = {setup: noted(setup, seen) for setup, seen in paces.items()}
    return [
        Latency(answers[0]["model"], tuple(answers[0]["input"]), cell.setup, readings[cell], *drifts[paced[cell]])
        for cell, answers in found.items()
    ]


def _paced(setup: Setup, ran: Ran | None) -> Setup:
    """Where the machine's pace is taken: the device, and the threads on which the network ran."""
    from resbench.workers.workload import Setup

    as_asked = ran is None or ran.threads == (ran.asked_threads,)
    return Setup(device=setup.device, threads=setup.threads if as_asked or ran is None else ran.threads[0])


def _ask(cell: Cell, processes: int) -> dict[str, Any]:
    """The answer of one of so many processes: a reading, or an error."""
    request = json.dumps({**cell._asdict(), "setup": asdict(cell.setup), "processes": processes})
    command = [sys.executable, "-m", "resbench.timing.replicas"]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout))
    if done.returncode < 0:
        reason = f"was killed (signal {-done.returncode}), most likely for want of memory; take a smaller --batch"
    else:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = f"ended with status {done.returncode}: {said[-1].strip() if said else 'without a word'}"
    return {"error": f"{cell}: the process that measured it {reason}"}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """In the process of its own: make ready, measure."""
    from resbench.timing.drift import pace
    from resbench.timing.latency.measure import read
    from resbench.workers.sampling import Rules
    from resbench.workers.switches import settings_kept
    from resbench.workers.workload import Setup

    cell = Cell(request["model"], request["input"], Setup(**request["setup"]))
    try:
        with settings_kept():  # the machine's pace does not depend on what the model switches off
            work, name = workload(cell)
            with one_line(cell):
                # the medians of n processes together are known better than one of them, by the root of n
                reading = read(work, Rules(precision=Rules().precision * sqrt(request["processes"])))
    except ResbenchError as error:
        return {"error": str(error)}
    return {
        "model": name,
        "input": list(work.inputs[0].shape),
        "reading": reading.document(),
        "pace_s": pace(_paced(cell.setup, reading.ran)),
    }


def workload(cell: Cell) -> tuple[Workload, str]:
    """The model of a cell made ready, and its name, once it is known that it fits."""
    import torch

    from resbench.timing.memory.measure import check_fits
    from resbench.workers.workload import Workload

    own_threads = torch.get_num_threads()
    check_fits(cost(cell.model, cell.input, batch=cell.setup.batch), cell.setup)
    loaded = load(cell.model, cell.input)
    with one_line(cell):
        return Workload(loaded.module, loaded.arguments(cell.setup.batch), cell.setup, own_threads), loaded.name


def one_line(cell: Cell) -> AbstractContextManager[None]:
    """What this cell cannot do, as a MeasureError."""
    return cannot_run(str(cell), f", {cell.setup.dtype} on {cell.setup.device}")


def main() -> None:
    """Answer on the standard output that this process was given; what a model prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        answer = _answer(json.load(sys.stdin))
    except KeyboardInterrupt:
        sys.exit(130)
    json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    main()
