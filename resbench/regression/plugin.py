"""This pytest plugin gives the fixture ``resbench``, a benchmark that counts too.

    def test_my_block(resbench):
        resbench(MyBlock(), (8, 64, 56, 56), mode="training", memory_format="channels_last")

Alone (``pytest suites``) it is a benchmark of pytest-benchmark, with the counters of ``resbench.counters.watch`` in
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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from functools import partial
from itertools import cycle, takewhile
from typing import TYPE_CHECKING, Any

import pytest

from resbench.errors import OptionError, did_you_mean
from resbench.regression.line import VARIABLE, GateLine
from resbench.regression.samples import SAMPLES, cut, fastest, often

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resbench.counters.counts import Counted
    from resbench.workers.workload import Workload

CALLED = pytest.StashKey[bool]()

KNOWN = set[str]()
"""These node ids are benchmarks for certain: they take the fixture, the gate names them, or they have asked by now."""

TOOLS = ("_pytest", "pytest_benchmark")
"""The fixtures of these packages take ``request`` and never ask for ours."""

# before pytest captures what goes to descriptor 1
LINE = GateLine(**json.loads(os.environ[VARIABLE])) if VARIABLE in os.environ else None
if LINE:
    gc.disable()  # an import leaves next to no garbage; looking for it takes a tenth of the time


@pytest.fixture
def resbench(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Count one run of a model, and time it. See ``resbench.regression.plugin.bench``."""
    KNOWN.add(request.node.nodeid)
    if LINE is not None and LINE.wanted == "count":
        LINE.say("asked", _name(request.node.nodeid))
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
    memory_format, device, compile; batch for a name). ``counters``: further integers that should not change. Raises
    OptionError or MeasureError.
    """
    if request.node.stash.get(CALLED, False):
        raise OptionError("expected one call of the fixture `resbench` in a test, received another; make it two tests")
    request.node.stash[CALLED] = True
    work, name = _workload(target, input, setup), _name(request.node.nodeid)
    with work.ready():
        if LINE is None:
            benchmark = request.getfixturevalue("benchmark")
            benchmark.extra_info["counters"] = _count(work, counters).totals
            benchmark(often(work, 1))
        elif LINE.wanted == "count":
            layers = _count(work, counters).layers
            LINE.say("counted", name, layers=layers, torch=sys.modules["torch"].__version__)
        else:
            benchmark = request.getfixturevalue("benchmark")
            turn = partial(LINE.turn, name)
            turn()
            with LINE.pinned():
                LINE.say("planned", name, pieces=cut(work))
                runs, pieces = map(int, LINE.wait().split())
                begins: Iterator[Callable[[], None]] = cycle([turn, *[_nothing] * (pieces - 1)])
                benchmark.pedantic(often(work, runs), setup=lambda: next(begins)(), rounds=SAMPLES * pieces)
            LINE.say("timed", name, seconds=fastest(benchmark.stats.stats.data, runs, pieces))
            LINE.wait()  # nothing is made ready or thrown away while another side is timed


def _nothing() -> None:
    """Do nothing between the pieces of a sample."""


def _count(work: Workload, more: Mapping[str, int] | None) -> Counted:
    """Count a run of the model as it is written, also where it is timed compiled."""
    from resbench.counters.watch import count
    from resbench.workers.workload import Workload

    if work.setup.compile:
        work = Workload(work.model, work.inputs, replace(work.setup, compile=False))
    return own(count(work), more or {})


def own(counted: Counted, more: Mapping[str, int]) -> Counted:
    """Add further counters to those of the model itself. Raises OptionError."""
    from resbench.counters.counts import TOTALS, Counted

    model = counted.layers.get("", {})
    for name, value in more.items():
        if type(value) is not int or name in (*TOTALS, *model) or "." in name:
            raise OptionError(f"counters takes integers under new names without a dot; received {name}={value!r}")
    return Counted({**counted.layers, "": {**model, **more}})


def _workload(target: Any, input: Any, setup: Mapping[str, Any]) -> Workload:
    from torch import Tensor, nn
    from torch.utils._pytree import tree_leaves

    from resbench.workers.workload import Call, Setup, Workload

    options = [field.name for field in fields(Setup)]
    for name in setup.keys() - options:
        hint = did_you_mean(name, options, f"expected one of {', '.join(options)}")
        raise OptionError(f"the fixture `resbench` takes no {name}{hint}")
    if isinstance(target, str):
        from resbench.networks.load import load

        chosen = Setup(**setup)
        loaded = load(target, input)
        return Workload(loaded.module, loaded.arguments(chosen.batch), chosen)
    if isinstance(target, nn.Module):
        inputs = (input,) if isinstance(input, (Tensor, Mapping)) else tuple(input or ())
        shape = all(type(size) is int for size in inputs)
        first = next((leaf for leaf in tree_leaves(inputs) if isinstance(leaf, Tensor)), None)
        if not inputs or (first is None and not shape):
            received = f"{input!r}" if inputs else "none"
            raise OptionError(
                f"a module has no input of its own: expected input=(N, C, H, W) or tensors, received {received}"
            )
        batch = inputs[0] if first is None else first.size(0) if first.dim() else 1
        return Workload(target, inputs, Setup(**{"batch": batch, **setup}))
    if callable(target) and input is None:
        return Call(target, Setup(**setup))
    kind = type(target).__name__
    raise OptionError(f"expected a module, a model's name or a function of no arguments, received {kind}")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Store what ``resbench compare-runs`` and ``history`` know a machine by; what changes there is left out."""
    if "torch" in sys.modules:
        from resbench.workers.environment import environment

        machine = environment("cuda")  # a GPU is described where there is one
        machine_info["resbench"] = {"id": machine.id, "stable": dict(machine.stable)}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the tests that use the fixture, or may ask for it when they run, in the order that the gate names."""
    if LINE is None:
        return
    ours = [item for item in items if _takes(item) or _may_ask(item)]
    KNOWN.update(item.nodeid for item in ours if _takes(item) or _name(item.nodeid) in LINE.names)
    named = {"names": [_name(i.nodeid) for i in ours], "files": [i.nodeid.partition("::")[0] for i in ours]}
    LINE.say("collected", "", **named, certain=[_name(item.nodeid) for item in ours if _takes(item)])
    place = {name: i for i, name in enumerate(LINE.names)}
    wanted = [item for item in ours if LINE.wanted == "count" or _name(item.nodeid) in place]
    items[:] = sorted(wanted, key=lambda i: (place.get(_name(i.nodeid), len(place)), _name(i.nodeid)))


def _takes(item: pytest.Item) -> bool:
    """Tell whether a test has the fixture among its arguments, or its fixtures'."""
    return "resbench" in getattr(item, "fixturenames", ())


def _may_ask(item: pytest.Item) -> bool:
    """Tell whether a test, or a fixture of its own, has the ``request`` that gives fixtures by name.

    Whether it asks for ours is then only known when it runs.
    """
    found = getattr(item, "_fixtureinfo", None)
    if found is None:
        return False
    fixtures = [fixture for same_name in found.name2fixturedefs.values() for fixture in same_name]
    own = [fixture for fixture in fixtures if getattr(fixture.func, "__module__", "").partition(".")[0] not in TOOLS]
    return "request" in found.initialnames or any("request" in fixture.argnames for fixture in own)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the benchmarks that the gate hands out, one by one, to the processes that count one suite.

    Which ones share a process is chance: fixtures are made anew for each, and none leaves anything to the next.
    """
    if LINE is None or LINE.wanted != "count" or session.testsfailed:
        return None
    from resbench.workers.switches import settings_kept

    for number in takewhile(lambda number: number < len(session.items), LINE.numbers()):
        item = session.items[number]
        with settings_kept():
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Seed what a file draws when it is imported."""
    _seed()


def pytest_collection_finish() -> None:
    """Turn garbage collection on again: all files are imported."""
    if LINE is not None:
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed what a benchmark draws."""
    _seed()


def _seed() -> None:
    """Seed all generators, so that each side and each run has the same random weights and choices."""
    if LINE is not None:
        import torch

        random.seed(0)
        torch.manual_seed(0)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(0)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Report a file that cannot be imported, or skips itself."""
    if LINE is not None and (report.failed or report.skipped):
        LINE.say("failed" if report.failed else "skipped", report.nodeid, why=_why(report))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Report a benchmark that failed, or was skipped."""
    if LINE is not None and (report.failed or report.skipped):
        known, why = report.nodeid in KNOWN, _why(report)
        why = why if known else f"it ended before it asked for the fixture `resbench`: {why}"
        LINE.say("failed" if report.failed and known else "skipped", _name(report.nodeid), why=why)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the last message; where it does not come, the process crashed."""
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
    """Return the part of a node id behind the file: ``test_block[basic]``, ``TestBlock::test_it``."""
    return nodeid.partition("::")[2]


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
