"""This pytest plugin gives the fixture ``resbench``, a benchmark that counts too.

    def test_my_block(resbench):
        resbench(MyBlock(), (8, 64, 56, 56), mode="training", memory_format="channels_last")

Alone (``pytest suites``) it is a benchmark of pytest-benchmark, with the counters of ``resbench.counters.watch`` in
its ``extra_info``. ``resbench gate`` runs the same tests with ``RESBENCH_GATE`` saying what is wanted, counts or times,
and of which benchmarks: then this side and the gate talk over the standard input and output, a JSON object a line, and
each benchmark waits for its turn. ``GateLine`` is this end of that line.

A suite in which no test takes ``resbench`` is gated by the fixture ``benchmark`` of pytest-benchmark, unchanged.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from resbench.errors import OptionError
from resbench.regression import FILES, VARIABLE

if TYPE_CHECKING:
    from torch import Tensor, nn

CALLED = pytest.StashKey[bool]()

TOOLS = ("_pytest", "pytest_benchmark", "resbench")
"""The fixtures of these packages take ``request`` and never ask for ours."""


class GateLine:
    """This is the process's end of the line to the gate, and the plugin by which pytest runs what the gate wants.

    What else the process prints goes to stderr. ``names``: the benchmarks in the order that the gate wants; where it
    counts, all others follow. ``cores``: where they are timed. ``root``: this side's tree; ``elsewhere``: trees with
    the same code, from which nothing may come. ``known`` holds the node ids that are benchmarks for certain: they take
    the fixture, the gate names them, or they have asked by now.
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
        self.known = set[str]()
        self.out = os.fdopen(os.dup(1), "w", buffering=1)
        self.back = os.fdopen(os.dup(0))
        os.dup2(2, 1)
        gc.disable()  # an import leaves next to no garbage; looking for it takes a tenth of the time

    def say(self, what: str, name: str, **more: Any) -> None:
        """Send one message to the gate."""
        print(json.dumps({"said": what, "name": name, **more}), file=self.out)

    def asked(self, nodeid: str) -> None:
        """Tell the gate, where it counts, that a test has asked for the fixture."""
        self.known.add(nodeid)
        if self.wanted == "count":
            self.say("asked", name_of(nodeid))

    def turn(self, name: str) -> None:
        """Wait for this benchmark's next turn."""
        self.say("ready", name)
        self.wait()

    def wait(self) -> str:
        """Wait until the gate answers, and return the answer; without a gate, end the session."""
        answer = self.back.readline()
        if not answer:
            pytest.exit("the gate is gone", 3)
        return answer.strip()

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Run on the cores that the gate chose, the same for all sides: what else runs there slows all of them."""
        with ExitStack() as stack:
            if self.cores:
                stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
                os.sched_setaffinity(0, self.cores)
            yield

    @pytest.fixture
    def benchmark(self, benchmark: Any, request: pytest.FixtureRequest) -> Any:
        """Give pytest-benchmark's fixture so that the gate decides how often its function runs, and when."""
        return Gated(self, benchmark, request)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Seed all generators, so that each side and each run has the same random weights and choices."""
        import torch

        random.seed(0)
        torch.manual_seed(0)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(0)

    pytest_collection = pytest_runtest_setup
    """What a file draws when it is imported is seeded too."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave the tests that use the fixture, or may ask for it when they run, in the order that the gate names."""
        fixture = "resbench" if any(_takes(item, "resbench") for item in items) else "benchmark"
        ours = [item for item in items if _takes(item, fixture) or _may_ask(item)]
        certain = [item for item in ours if _takes(item, fixture)]
        self.known.update(item.nodeid for item in ours if item in certain or name_of(item.nodeid) in self.names)
        self.say(
            "collected",
            "",
            names=[name_of(item.nodeid) for item in ours],
            files=[item.nodeid.partition("::")[0] for item in ours],
            certain=[name_of(item.nodeid) for item in certain],
        )
        place = {name: i for i, name in enumerate(self.names)}
        wanted = [item for item in ours if self.wanted == "count" or name_of(item.nodeid) in place]
        items[:] = sorted(wanted, key=lambda i: (place.get(name_of(i.nodeid), len(place)), name_of(i.nodeid)))

    def pytest_collection_finish(self) -> None:
        """Turn garbage collection on again: all files are imported."""
        gc.enable()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run the benchmarks that the gate hands out, one by one, to the processes that count one suite.

        Which ones share a process is chance: fixtures are made anew for each, and none leaves anything to the next.
        """
        if self.wanted != "count" or session.testsfailed:
            return None
        from resbench.workers.switches import settings_kept

        while True:
            self.say("free", "")
            number = int(self.wait())
            if number >= len(session.items):
                return True
            with settings_kept():
                session.config.hook.pytest_runtest_protocol(item=session.items[number], nextitem=None)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report a file that cannot be imported, or skips itself."""
        if report.failed or report.skipped:
            self.say("failed" if report.failed else "skipped", report.nodeid, why=_why(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Report a benchmark that failed, or was skipped."""
        if report.failed or report.skipped:
            known, why = report.nodeid in self.known, _why(report)
            why = why if known else f"it ended before it asked for the fixture `resbench`: {why}"
            self.say("failed" if report.failed and known else "skipped", name_of(report.nodeid), why=why)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the last message, after the imported modules; where it does not come, the process crashed."""
        tests = {os.path.realpath(item.path) for item in session.items}
        for tree, name, file in self._imported():
            if tree != self.root:
                expected = "expected its own tree's; name the folder in the suite's pythonpath"
                self.say("failed", "", why=f"{name} is imported from {file}: {expected}")
            elif file not in tests and not file.endswith(os.sep + "conftest.py"):
                self.say("imported", name)
        self.say("finished", "")

    def _imported(self) -> Iterator[tuple[str, str, str]]:
        """Yield the tree, name and file of every imported module below one of the trees that is not installed."""
        for module in list(sys.modules.values()):
            file = os.path.realpath(getattr(module, "__file__", None) or os.sep)
            below = [tree for tree in (self.root, *self.elsewhere) if file.startswith(tree + os.sep)]
            if below and Path(file).is_file() and not file.startswith(sys.prefix + os.sep):  # torch.ops has a name
                yield max(below, key=len), module.__name__, file


class Gated(BenchmarkFixture):
    """The fixture ``benchmark`` under the gate: its function runs as the gate asks, and its answer is returned.

    How often pytest-benchmark would run it is passed over; what ``pedantic`` does before and behind each run belongs to
    the run.
    """

    def __init__(self, line: GateLine, inner: Any, request: pytest.FixtureRequest) -> None:
        self.__dict__ = inner.__dict__  # name, group, extra_info, stats: a test reads and sets those of the fixture
        self.line, self.inner, self.request = line, inner, request

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer: Any = None

        def once() -> None:
            nonlocal answer
            answer = function_to_benchmark(*args, **kwargs)

        self.line.asked(self.request.node.nodeid)
        bench(self.request, once, mode="training")  # it decides for itself whether gradients are recorded
        self._mode = "under the gate"  # else pytest-benchmark warns that its fixture was not used
        return answer

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        def once() -> Any:
            given, named = (setup() if setup else None) or (args, kwargs or {})
            answer = target(*given, **named)
            if teardown:
                teardown(*given, **named)
            return answer

        return self(once)


def name_of(nodeid: str) -> str:
    """Return the part of a node id behind the file: ``test_block[basic]``, ``TestBlock::test_it``."""
    return nodeid.partition("::")[2]


def _takes(item: pytest.Item, fixture: str) -> bool:
    """Tell whether a test has the fixture among its arguments, or its fixtures'."""
    return fixture in getattr(item, "fixturenames", ())


def _may_ask(item: pytest.Item) -> bool:
    """Tell whether a test, or a fixture of its own, has the ``request`` that gives fixtures by name.

    Whether it asks for ours is then only known when it runs.
    """
    info = getattr(item, "_fixtureinfo", None)
    if info is None:
        return False
    return "request" in info.initialnames or any(
        "request" in fixture.argnames and getattr(fixture.func, "__module__", "").partition(".")[0] not in TOOLS
        for fixture in chain.from_iterable(info.name2fixturedefs.values())
    )


def _why(report: Any) -> str:
    """Return the one line of a report that tells why the test failed or was skipped."""
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail or 'no reason given'}"
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash:
        return next((line.strip() for line in crash.message.splitlines() if line.strip()), "without a word")
    lines = [re.sub(r"^E\s+", "", line).strip() for line in str(report.longrepr).splitlines() if line.strip()]
    last = lines[-1] if lines else "without a word"
    places = [place for line in lines if (place := re.match(r'File "(.+)", line (\d+)', line))]
    return f"{last} ({places[-1][1]}, line {places[-1][2]})" if places and "Error" in last else last


# before pytest captures what goes to descriptor 1
LINE = GateLine(**json.loads(os.environ[VARIABLE])) if VARIABLE in os.environ else None


def pytest_configure(config: pytest.Config) -> None:
    """Let the gate say what runs, where there is one."""
    if LINE is not None:
        config.pluginmanager.register(LINE)


@pytest.fixture
def resbench(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count one run of a model, and time it. See ``resbench.regression.plugin.bench``."""
    if LINE is not None:
        LINE.asked(request.node.nodeid)
    return partial(bench, request)


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
    memory_format, device, compile, runtime; batch for a name). ``counters``: further integers that should not change.
    Raises OptionError or MeasureError.
    """
    if request.node.stash.get(CALLED, False):
        raise OptionError("expected one call of the fixture `resbench` in a test, received another; make it two tests")
    request.node.stash[CALLED] = True
    from resbench.regression.samples import SAMPLES, counted, cut, fastest, often, workload

    name = name_of(request.node.nodeid)
    work = workload(target, input, setup, _folder(name))
    with work.ready():
        if LINE is None:
            benchmark = request.getfixturevalue("benchmark")
            found = counted(work, counters or {})
            benchmark.extra_info["counters"] = found.totals
            benchmark.extra_info.update({"counted_with": found.runtime} if found.runtime else {})
            benchmark(often(work, 1))
        elif LINE.wanted == "count":
            found, torch = counted(work, counters or {}), sys.modules["torch"].__version__
            LINE.say("counted", name, layers=found.layers, torch=torch, runtime=found.runtime)
        else:
            benchmark = request.getfixturevalue("benchmark").inner
            LINE.turn(name)
            with LINE.pinned():
                LINE.say("planned", name, pieces=cut(work))
                runs, pieces = map(int, LINE.wait().split())
                begins: Iterator[Callable[[], None]] = cycle([partial(LINE.turn, name), *[lambda: None] * (pieces - 1)])
                benchmark.pedantic(often(work, runs), setup=lambda: next(begins)(), rounds=SAMPLES * pieces)
            LINE.say("timed", name, seconds=fastest(benchmark.stats.stats.data, runs, pieces))
            LINE.wait()  # nothing is made ready or thrown away while another side is timed


def _folder(name: str) -> Path | None:
    """Return where this side keeps what a benchmark exports, if the gate has said it."""
    files = os.environ.get(FILES)
    return Path(files, hashlib.sha256(name.encode()).hexdigest()[:16]) if files else None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Store what ``resbench compare-runs`` and ``history`` know a machine by; what changes there is left out."""
    if "torch" in sys.modules:
        from resbench.workers.environment import environment

        machine = environment("cuda").timed  # a GPU is described where there is one
        machine_info["resbench"] = {"id": machine.id, "stable": dict(machine.stable)}
