"""A pytest plugin: the fixture ``resbench``, a benchmark that counts too.

    def test_my_block(resbench):
        resbench(MyBlock(), (8, 64, 56, 56), mode="training", memory_format="channels_last")

Alone (``pytest suites``) it is a benchmark of pytest-benchmark, with the counters of ``resbench.measure.counters`` in
its ``extra_info``. ``resbench gate`` runs the same tests with ``RESBENCH_GATE`` saying what is wanted, counts or times,
and of which benchmarks: then this side and the gate talk over the standard input and output, a JSON object a line, and
each benchmark waits for its turn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resbench.measure.counted import Counted
    from resbench.measure.workload import Workload

VARIABLE = "RESBENCH_GATE"

SAMPLES, SAMPLE_S = 5, 0.05
"""That a process takes of a benchmark for the gate, and how long each lasts at least."""


class Line:
    """This side's end of the line to the gate. What else the process prints goes to stderr."""

    def __init__(self, wanted: str, names: list[str] | None = None, cores: list[int] | None = None) -> None:
        self.wanted, self.names, self.cores = wanted, names, cores
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        self.back = os.fdopen(os.dup(0))
        os.dup2(2, 1)

    def say(self, what: str, name: str, **more: Any) -> None:
        """One line to the gate."""
        print(json.dumps({"said": what, "name": name, **more}), file=self.out)

    def turn(self, name: str) -> None:
        """Wait for this benchmark's next turn."""
        self.say("ready", name)
        self.wait()

    def wait(self) -> None:
        """Until the gate says to go on."""
        if not self.back.readline():
            pytest.exit("the gate is gone", 3)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """On the cores that the gate chose: the same for all sides, so that what else runs there slows all of them."""
        if not self.cores:
            yield
            return
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


# before pytest captures what goes to descriptor 1
LINE = Line(**json.loads(os.environ[VARIABLE])) if VARIABLE in os.environ else None


@pytest.fixture
def resbench(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count one run of a model, and time it. See ``resbench.gate.plugin.bench``."""

    def run(target: Any, input: Any = None, **setup: Any) -> None:
        bench(request, target, input, **setup)

    return run


def bench(
    request: pytest.FixtureRequest,
    target: str | nn.Module | Callable[[], object],
    input: tuple[int, ...] | Tensor | tuple[Tensor, ...] | None = None,
    *,
    counters: Mapping[str, int] | None = None,
    **setup: Any,
) -> None:
    """Count one run of ``target``, and time it as pytest-benchmark is told to.

    ``target``: a module, with its ``input`` (the shape (N, C, H, W), or tensors); a model's name, with an input of its
    own (C, H, W) unless one is given; or a function of no arguments. ``setup``: as in ``Setup`` (mode, dtype,
    memory_format, device, compile; batch for a name). ``counters``: further integers that should not change. Raises
    OptionError or MeasureError.
    """
    work, name = _workload(target, input, setup), request.node.name
    with work.ready():
        if LINE is None:
            benchmark = request.getfixturevalue("benchmark")
            benchmark.extra_info["counters"] = _count(work, counters).totals
            benchmark(_often(work, 1))
        elif LINE.wanted == "count":
            LINE.say("counted", name, layers=_count(work, counters).layers, torch=_torch())
        else:
            benchmark = request.getfixturevalue("benchmark")
            turn = partial(LINE.turn, name)
            turn()
            with LINE.pinned():
                calls = _calls(work)
                benchmark.pedantic(_often(work, calls), setup=turn, rounds=SAMPLES)
            LINE.say("timed", name, seconds=[total / calls for total in benchmark.stats.stats.data])
            LINE.wait()  # nothing is made ready or thrown away while another side is timed


def _often(work: Workload, calls: int) -> Callable[[], None]:
    """So many runs, and the device done with them."""

    def sample() -> None:
        for _ in range(calls):
            work.run()
        work.finish()

    return sample


def _calls(work: Workload) -> int:
    """How many make a sample; warm after it."""
    _often(work, 1)()
    start = time.perf_counter()
    _often(work, 2)()
    calls = ceil(2 * SAMPLE_S / (time.perf_counter() - start))
    _often(work, calls)()
    return calls


def _count(work: Workload, more: Mapping[str, int] | None) -> Counted:
    """Of the model as it is written, also where it is timed compiled."""
    from resbench.measure.counted import Counted
    from resbench.measure.counters import count
    from resbench.measure.workload import Workload

    if work.setup.compile:
        work = Workload(work.model, work.inputs, replace(work.setup, compile=False))
    layers = count(work).layers
    return Counted({**layers, "": {**layers.get("", {}), **(more or {})}})


def _torch() -> str:
    import torch

    return torch.__version__


def _workload(target: Any, input: Any, setup: Mapping[str, Any]) -> Workload:
    from torch import Tensor, nn

    from resbench.errors import OptionError
    from resbench.measure.workload import Call, Setup, Workload

    if isinstance(target, str):
        from resbench.models import load

        chosen = Setup(**setup)
        loaded = load(target, input)
        return Workload(loaded.module, loaded.arguments(chosen.batch), chosen)
    if isinstance(target, nn.Module):
        inputs = (input,) if isinstance(input, Tensor) else tuple(input or ())
        if not inputs:
            raise OptionError("a module has no input of its own: expected input=(N, C, H, W) or tensors, received none")
        first = inputs[0]
        batch = first if isinstance(first, int) else first.shape[0] if first.dim() else 1
        return Workload(target, inputs, Setup(**{"batch": batch, **setup}))
    if callable(target) and input is None:
        return Call(target, Setup(**setup))
    kind = type(target).__name__
    raise OptionError(f"expected a module, a model's name or a function of no arguments, received {kind}")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """What ``resbench compare-runs`` and ``history`` know a machine by."""
    if "torch" in sys.modules:
        from resbench.measure.environment import environment

        machine_info["resbench"] = environment(_device()).document()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The gate runs what uses the fixture, and nothing else."""
    if LINE is not None:
        ours = [item for item in items if "resbench" in getattr(item, "fixturenames", ())]
        LINE.say("collected", "", names=[item.name for item in ours])
        items[:] = [item for item in ours if LINE.names is None or item.name in LINE.names]


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported."""
    if LINE is not None and report.failed:
        LINE.say("failed", report.nodeid, why=_why(report))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A benchmark that failed, or was skipped."""
    if LINE is not None and (report.failed or report.skipped):
        name = report.nodeid.rpartition("::")[2] if "::" in report.nodeid else report.nodeid
        LINE.say("failed" if report.failed else "skipped", name, why=_why(report))


def _why(report: Any) -> str:
    """The last line that says something."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = [line for line in (crash.message if crash else str(report.longrepr)).splitlines() if line.strip()]
    text = lines[0] if crash and lines else lines[-1] if lines else "without a word"
    return text.removeprefix("E").strip()
