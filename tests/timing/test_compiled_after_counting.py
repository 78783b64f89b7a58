"""Compiled code still runs compiled behind everything that looks into a run. Graphs are counted, not seconds."""

import importlib
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

import resbench
from resbench.costs.measure import cost
from resbench.counters.watch import count
from resbench.operators.boundaries import Modules
from resbench.timing.latency.worker import read
from resbench.timing.layers.measure import layer_times
from resbench.workers import sampling
from resbench.workers.compiled import as_written, runs_compiled
from resbench.workers.workload import Setup, Workload

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's compiler, of tensors that it looks at

IMAGES = (2, 3, 8, 8)

NETS = """
import torch
from torch import nn
from compiled_notes import MADE, RUNS


def backend(graph, inputs):
    '''Notes each time that the compiled graph runs.'''
    def run(*given):
        RUNS.append(graph)
        return graph.forward(*given)
    return run


compiled = torch.compile(backend=backend)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()


class Method(Block):
    @compiled
    def forward(self, x):
        return x + self.norm(self.conv(x)).relu()


@compiled
def free(block, x):
    return block(x)


class Function(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, x):
        return free(self.block, x)


class Late(nn.Module):
    '''Compiled at its first call.'''
    def __init__(self):
        super().__init__()
        self.block, self.run = Block(), None

    def forward(self, x):
        if self.run is None:
            self.run = torch.compile(self.block.forward, backend=backend)
        return self.run(x)


def in_place():
    block = Block()
    block.compile(backend=backend)
    return block


KINDS = {"wrapped": lambda: torch.compile(Block(), backend=backend), "in place": in_place, "method": Method,
         "function": Function, "late": Late}


def net(kinds=KINDS):
    parts = [KINDS[kind]() for kind in kinds]
    MADE.append(nn.Sequential(nn.Conv2d(3, 8, 3), *parts, nn.Flatten(), nn.Linear(288, 4)))
    return MADE[-1]


def whole():
    MADE.append(torch.compile(nn.Sequential(nn.Conv2d(3, 8, 3), Block()), backend=backend))
    return MADE[-1]


def whole_in_place():
    MADE.append(nn.Sequential(nn.Conv2d(3, 8, 3), Block()))
    MADE[-1].compile(backend=backend)
    return MADE[-1]
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """The file of the networks above as a module; compiled anew for each test."""
    (tmp_path / "compiled_notes.py").write_text("RUNS, MADE = [], []\n")  # for a file is run at each loading
    (tmp_path / "compiled_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    torch._dynamo.reset()
    yield importlib.import_module("compiled_nets")
    torch._dynamo.reset()
    for name in ("compiled_nets", "compiled_notes"):
        del sys.modules[name]


def graphs(nets, model, grad=False):
    """How many compiled graphs run in one call."""
    before = len(nets.RUNS)
    with torch.set_grad_enabled(grad):
        model(torch.zeros(IMAGES, device=next(model.parameters()).device))
    return len(nets.RUNS) - before


WAYS = ["net", "whole", "whole_in_place"]
ALL = {"net": 5, "whole": 1, "whole_in_place": 1}


def test_a_dispatch_mode_alone_makes_torch_give_compiled_code_up(nets):
    """The reason for all of this: where it no longer holds, ``as_written`` is no longer needed."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Plain(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    model = nets.net()
    assert graphs(nets, model) == 5
    with Plain():
        assert graphs(nets, model) == 0
    assert graphs(nets, model) == 0
    assert graphs(nets, nets.net()) == 0  # another instance too
    torch._dynamo.reset()
    with as_written(), Plain():
        assert graphs(nets, model) == 0
    assert graphs(nets, model) == 5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("warm", [False, True], ids=["before the first call", "after it"])
def test_cost_leaves_it_compiled(nets, way, warm):
    model = getattr(nets, way)()
    if warm:
        assert graphs(nets, model) == ALL[way]
    cost(model, IMAGES[1:])
    assert graphs(nets, model) == ALL[way]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_reading_times_it_compiled_and_says_so(nets, quick, way, mode):
    work = Workload(getattr(nets, way)(), IMAGES, Setup(batch=2, mode=mode))
    reading = read(work, sampling.Rules())
    ran = len(nets.RUNS)
    assert ran >= ALL[way] * len(reading.runs_s)
    assert reading.ran.compiled
    assert graphs(nets, work.model, grad=mode == "training") == ALL[way]


@pytest.mark.parametrize("way", WAYS)
def test_latency_of_a_module_times_it_compiled_and_leaves_it_so(nets, quick, way):
    model = getattr(nets, way)()
    assert resbench.latency(model, IMAGES[1:], batch=2).ran.compiled
    assert graphs(nets, model) == ALL[way]


def test_latency_with_compile_counts_first_and_times_it_compiled(nets, quick, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=nets.backend))
    one = resbench.latency(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), IMAGES[1:], batch=2, compile=True)
    assert one.ran.compiled
    assert len(nets.RUNS) >= len(one.totals)
    assert one.readings[0].macs == 2 * 8 * 27 * 36


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_layers_run_compiled_both_plain_and_instrumented(nets, quick, mode):
    work = Workload(nets.net(), IMAGES, Setup(batch=2, mode=mode))
    with work.ready():
        work.run()
        before = len(nets.RUNS)
        times = layer_times(work)
        counted = sum(2 * 8 * 8 * 9 * 36 for _ in range(5)) + 2 * (8 * 27 * 36 + 288 * 4)
    assert len(nets.RUNS) - before >= 5 * 2 * len(times.overheads)
    rows = {row.name: row for row in times.rows}
    assert [name for name, row in rows.items() if row.type == "compiled"] == ["1", "2", "3", "4", "5"]
    assert sum(row.forward.macs for row in times.rows) == counted
    assert abs(times.residual) < 1e-6
    assert all(row.forward_s > 0 and (mode == "inference" or row.backward_s > 0) for row in rows.values())
    assert graphs(nets, work.model, grad=mode == "training") == 5


def test_the_table_of_layers_says_what_a_compiled_row_is(nets, cli, quick):
    done = cli("latency", "--layers", f"file:{nets.__file__}:net", "--input", "3x8x8")
    assert "A row of type compiled is one piece of compiled code" in done.stdout
    assert "compiled code of its own ran in it" in done.stdout
    done = cli("latency", "--memory", f"file:{nets.__file__}:net", "--input", "3x8x8")
    assert "Of compiled code, bytes and memory are those of its operators run one by one." in done.stdout


def test_marks_that_are_put_again_and_again_do_not_compile_anew(nets):
    model = nets.net()
    modules, seen = Modules(model), []
    for _ in range(20):  # torch gives up after 8 versions of one function
        with modules.watched(seen.append):
            assert graphs(nets, model) == 5
        assert graphs(nets, model) == 5
    assert {modules.names[number] for number in seen if number > 0} >= {"0", "1", "2", "3", "4", "5", "7"}
    assert all("forward" not in vars(module) for module in model.modules() if type(module) is nets.Block)


COMMANDS = {
    "flops": (),
    "latency --layers": ("--layers",),
    "latency --memory": ("--memory", "--mode", "training"),
    "profile": ("--trace", "runs"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_leaves_it_compiled(nets, cli, quick, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = command.split()[0]
    done = cli(name, f"file:{tmp_path}/compiled_nets.py:net", *COMMANDS[command], "--input", "3x8x8", "-f", "json")
    assert done.returncode == 0, done.stderr
    assert graphs(nets, nets.MADE[-1], grad="training" in COMMANDS[command]) == 5


@pytest.mark.parametrize("way", WAYS)
def test_the_gates_counters_leave_it_compiled_for_the_timing_behind_them(nets, way):
    work = Workload(getattr(nets, way)(), IMAGES, Setup(batch=2))
    with work.ready():
        count(work)
        assert runs_compiled(work)
        assert graphs(nets, work.model) == ALL[way]


def test_code_that_is_compiled_for_the_first_time_within_a_count_is_compiled_behind_it():
    """In a process of its own: here the compiler is loaded already."""
    code = (
        "import sys, torch\n"
        "from torch import nn\n"
        "from resbench.costs.measure import cost\n"
        "runs = []\n"
        "def backend(graph, inputs):\n"
        "    return lambda *given: (runs.append(1), graph.forward(*given))[1]\n"
        "class Late(nn.Linear):\n"
        "    run = None\n"
        "    def forward(self, x):\n"
        "        if Late.run is None:\n"
        "            Late.run = torch.compile(nn.functional.relu, backend=backend)\n"
        "        return Late.run(super().forward(x))\n"
        "model = nn.Sequential(Late(4, 4))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
        "assert cost(model, (2, 3, 4)).macs == 96\n"
        "assert 'torch._dynamo' in sys.modules\n"
        "model(torch.zeros(2, 3, 4))\n"
        "print(len(runs))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
