"""This pytest plugin gives the fixture ``resbench``, a benchmark that counts too.

    def test_my_block(resbench):
        resbench(MyBlock(), (8, 64, 56, 56), mode="training", memory_format="channels_last")

Alone (``pytest suites``) it is a benchmark of pytest-benchmark, with the counters of ``resbench.counters.watch`` in
its ``extra_info``. ``resbench gate`` runs the same tests with ``RESBENCH_GATE`` saying what is wanted, counts or times,
and of which benchmarks: then this side and the gate talk over the standard input and output, a JSON object a line, and
each benchmark waits for its turn.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from resbench.errors import OptionError
from resbench.regression.line import VARIABLE, GateLine, name_of

if TYPE_CHECKING:
    from torch import Tensor, nn

CALLED = pytest.StashKey[bool]()

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
    memory_format, device, compile; batch for a name). ``counters``: further integers that should not change. Raises
    OptionError or MeasureError.
    """
    if request.node.stash.get(CALLED, False):
        raise OptionError("expected one call of the fixture `resbench` in a test, received another; make it two tests")
    request.node.stash[CALLED] = True
    from resbench.regression.samples import SAMPLES, counted, cut, fastest, often, workload

    work, name = workload(target, input, setup), name_of(request.node.nodeid)
    with work.ready():
        if LINE is None:
            benchmark = request.getfixturevalue("benchmark")
            benchmark.extra_info["counters"] = counted(work, counters or {}).totals
            benchmark(often(work, 1))
        elif LINE.wanted == "count":
            layers = counted(work, counters or {}).layers
            LINE.say("counted", name, layers=layers, torch=sys.modules["torch"].__version__)
        else:
            benchmark = request.getfixturevalue("benchmark")
            turn = partial(LINE.turn, name)
            turn()
            with LINE.pinned():
                LINE.say("planned", name, pieces=cut(work))
                runs, pieces = map(int, LINE.wait().split())
                begins: Iterator[Callable[[], None]] = cycle([turn, *[lambda: None] * (pieces - 1)])
                benchmark.pedantic(often(work, runs), setup=lambda: next(begins)(), rounds=SAMPLES * pieces)
            LINE.say("timed", name, seconds=fastest(benchmark.stats.stats.data, runs, pieces))
            LINE.wait()  # nothing is made ready or thrown away while another side is timed


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Store what ``resbench compare-runs`` and ``history`` know a machine by; what changes there is left out."""
    if "torch" in sys.modules:
        from resbench.workers.environment import environment

        machine = environment("cuda")  # a GPU is described where there is one
        machine_info["resbench"] = {"id": machine.id, "stable": dict(machine.stable)}
