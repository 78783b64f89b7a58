"""A pytest plugin: the fixture ``resbench``, a benchmark that counts too.

    def test_my_block(resbench):
        resbench(MyBlock(), (8, 64, 56, 56), mode="training", memory_format="channels_last")

Alone (``pytest suites``) it is a benchmark of pytest-benchmark, with the counters of ``resbench.measure.counters`` in
its ``extra_info``. ``resbench gate`` runs the same tests with ``RESBENCH_GATE`` saying what is wanted, counts or times,
and of which benchmarks: then this side and the gate talk over the standard input and output, a JSON object a line, and
each benchmark waits for its turn.
"""

from __future__ import annotations

import gc
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import cycle, takewhile
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resbench.measure.counted import Counted
    from resbench.measure.workload import Workload

VARIABLE = "RESBENCH_GATE"

CALLED = pytest.StashKey[bool]()

SAMPLES, SAMPLE_S = 25, 0.01
"""That a process takes of a benchmark for the gate, and how long each lasts at least. A shared core changes its speed
by a third from one moment to the next: from round to round the median ratio of 25 short turns differs by 1 to 3 %, that
of 5 long ones, which take the same time, by 2 to 9 % (`results/gate/turns.txt`)."""

PIECE_S = 0.0005
"""A sample is timed in pieces of one run, or of as many as last so long; its figure is the fastest of them. What else
runs on a core comes in slices of some milliseconds, which some of the pieces escape."""


class Line:
    """This side's end of the line to the gate. What else the process prints goes to stderr.

    ``names``: benchmarks in the order that the gate wants; where it counts, all others behind them. ``cores``: where
    they are timed. ``root``: this side's tree; ``elsewhere``: trees with the same code, from which nothing may come.
    """

    def __init__(
        self,
        wanted: str,
        names: list[str],
        cores: list[int] | None,
        root: str,
        elsewhere: list[str],
    ) -> None:
        self.wanted, self.names, self.cores = wanted, names, cores
        self.root, self.elsewhere = root, elsewhere
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

    def wait(self) -> str:
        """Until the gate answers."""
        answer = self.back.readline()
        if not answer:
            pytest.exit("the gate is gone", 3)
        return answer.strip()

    def numbers(self) -> Iterator[int]:
        """Of the benchmarks that the gate wants from this process, each when the one before is done."""
        while True:
            self.say("free", "")
            yield int(self.wait())

    def imported(self) -> Iterator[tuple[str, str, str]]:
        """Modules below any of the trees, but not installed ones: the tree, the name, the file."""
        for module in list(sys.modules.values()):
            file = os.path.realpath(getattr(module, "__file__", None) or os.sep)
            below = [tree for tree in (self.root, *self.elsewhere) if file.startswith(tree + os.sep)]
            if below and Path(file).is_file() and not file.startswith(sys.prefix + os.sep):  # torch.ops has a name
                yield max(below, key=len), module.__name__, file

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
if LINE:
    gc.disable()  # nothing that an import leaves is garbage; looking for it takes a fifth of the time


@pytest.fixture
def resbench(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count one run of a model, and time it. See ``resbench.gate.plugin.bench``."""

    def run(target: Any, input: Any = None, **setup: Any) -> None:
        bench(request, target, input, **setup)

    return run


def bench(
    request: pytest.FixtureRequest,
    target: str | nn.Module | Callable[[], object],
    input: str | tuple[int, ...] | Tensor | tuple[Tensor, ...] | None = None,
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
    from resbench.errors import OptionError

    if request.node.stash.get(CALLED, False):
        raise OptionError("expected one call of the fixture `resbench` in a test, received another; make it two tests")
    request.node.stash[CALLED] = True
    work, name = _workload(target, input, setup), _name(request.node.nodeid)
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
                LINE.say("planned", name, pieces=_pieces(work))
                runs, pieces = map(int, LINE.wait().split())
                begins: Iterator[Callable[[], None]] = cycle([turn, *[_nothing] * (pieces - 1)])
                benchmark.pedantic(_often(work, runs), setup=lambda: next(begins)(), rounds=SAMPLES * pieces)
            LINE.say("timed", name, seconds=fastest(benchmark.stats.stats.data, runs, pieces))
            LINE.wait()  # nothing is made ready or thrown away while another side is timed


def _often(work: Workload, calls: int) -> Callable[[], None]:
    """So many runs, and the device done with them."""

    def sample() -> None:
        for _ in range(calls):
            work.run()
        work.finish()

    return sample


def _nothing() -> None:
    """Between the pieces of a sample."""


def fastest(times: Sequence[float], runs: int, pieces: int) -> list[float]:
    """Seconds a run in the fastest piece of each sample, in six digits.

    >>> fastest([0.6, 0.4, 0.5, 0.8], runs=2, pieces=2)
    [0.2, 0.25]
    """
    samples = (times[start : start + pieces] for start in range(0, len(times), pieces))
    return [float(f"{min(sample) / runs:.6g}") for sample in samples]


def _pieces(work: Workload) -> tuple[int, int]:
    """How many runs would make a piece, and how many pieces a sample; warm after it."""
    _often(work, 1)()
    start = time.perf_counter()
    _often(work, 2)()
    run_s = (time.perf_counter() - start) / 2
    runs = ceil(PIECE_S / run_s)
    pieces = ceil(SAMPLE_S / run_s / runs)
    _often(work, runs * pieces)()
    return runs, pieces


def _count(work: Workload, more: Mapping[str, int] | None) -> Counted:
    """Of the model as it is written, also where it is timed compiled."""
    from resbench.measure.counters import count
    from resbench.measure.workload import Workload

    if work.setup.compile:
        work = Workload(work.model, work.inputs, replace(work.setup, compile=False))
    return own(count(work), more or {})


def own(counted: Counted, more: Mapping[str, int]) -> Counted:
    """With further counters on the model itself. Raises OptionError."""
    from resbench.errors import OptionError
    from resbench.measure.counted import TOTALS, Counted

    model = counted.layers.get("", {})
    for name, value in more.items():
        if type(value) is not int or name in (*TOTALS, *model) or "." in name:
            raise OptionError(f"counters takes integers under new names without a dot; received {name}={value!r}")
    return Counted({**counted.layers, "": {**model, **more}})


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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The gate runs what uses the fixture, and nothing else, in the order that it says."""
    if LINE is None:
        return
    ours = [item for item in items if "resbench" in getattr(item, "fixturenames", ())]
    LINE.say("collected", "", names=[_name(i.nodeid) for i in ours], files=[i.nodeid.partition("::")[0] for i in ours])
    by_name = {_name(item.nodeid): item for item in ours}
    others = sorted(by_name.keys() - set(LINE.names)) if LINE.wanted == "count" else []
    items[:] = [by_name[name] for name in (*LINE.names, *others) if name in by_name]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Of several processes that count one suite, each asks for the next benchmark when it has none left.

    Which ones share a process is chance: fixtures are made anew for each, and none leaves anything to the next.
    """
    if LINE is None or LINE.wanted != "count" or session.testsfailed:
        return None
    from resbench.measure.switches import kept

    for number in takewhile(lambda number: number < len(session.items), LINE.numbers()):
        item = session.items[number]
        with kept():
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """What a file draws when it is imported."""
    _seed()


def pytest_collection_finish() -> None:
    """All is imported."""
    if LINE is not None:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a benchmark draws."""
    _seed()


def _seed() -> None:
    """The same random weights and choices on each side and in each run."""
    if LINE is not None:
        import torch

        random.seed(0)
        torch.manual_seed(0)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(0)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported, or skips itself."""
    if LINE is not None and (report.failed or report.skipped):
        LINE.say("failed" if report.failed else "skipped", report.nodeid, why=_why(report))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A benchmark that failed, or was skipped."""
    if LINE is not None and (report.failed or report.skipped) and not hasattr(report, "wasxfail"):
        LINE.say("failed" if report.failed else "skipped", _name(report.nodeid), why=_why(report))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last word; what is not said behind it was a crash."""
    if LINE is None:
        return
    tests, own = {os.path.realpath(item.path) for item in session.items}, False
    for tree, name, file in LINE.imported():
        if tree != LINE.root:
            why = f"{name} is imported from {file}: expected its own tree's; name the folder in the suite's pythonpath"
            LINE.say("failed", "", why=why)
        own = own or (tree == LINE.root and file not in tests and not file.endswith(os.sep + "conftest.py"))
    if own:
        LINE.say("imported", "")
    LINE.say("finished", "")


def _name(nodeid: str) -> str:
    """Behind the file: ``test_block[basic]``, ``TestBlock::test_it``."""
    return nodeid.partition("::")[2]


def _why(report: Any) -> str:
    """The line that says something."""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        return next((line.strip() for line in crash.message.splitlines() if line.strip()), "without a word")
    lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
    return re.sub(r"^E\s+", "", lines[-1]).strip() if lines else "without a word"
