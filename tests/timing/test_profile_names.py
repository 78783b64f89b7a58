"""Rows of a profile carry the names of what ran in it: modules that a run draws, and the program's own ranges."""

import json
import random
from collections import Counter
from contextlib import ExitStack

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, record_function
from torch.utils.data import DataLoader

from resbench.timing.profile.measure import profiled, read
from resbench.timing.profile.module_calls import PATH
from resbench.timing.profile.ranges import ranges
from resbench.workers.workload import Call, Setup, Workload

STEPS = 3


class Adds(nn.Module):
    """As many operators as its width: a row under another one's name has their number too."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, x):
        for _ in range(self.width):
            x = x + 1
        return x


class Drawing(nn.Module):
    """Keeps which of its modules each run called."""

    def __init__(self):
        super().__init__()
        self.runs = []

    def called(self, name, x):
        self.runs[-1].append(name)
        return self.get_submodule(name)(x)

    def recorded(self):
        """How often each was called in the runs that were recorded, the last ones."""
        assert len(self.runs) > STEPS
        return Counter(name for run in self.runs[-STEPS:] for name in run)


class StochasticDepth(Drawing):
    """One of two branches, by the draw of each run."""

    def __init__(self, seed):
        super().__init__()
        self.short, self.long = Adds(2), Adds(5)
        self.draw = random.Random(seed)

    def forward(self, x):
        self.runs.append([])
        return self.called(self.draw.choice(["short", "long"]), x)


class LayerDrop(Drawing):
    """Each layer is left out in half of the runs."""

    def __init__(self, seed):
        super().__init__()
        self.layers = nn.ModuleList(Adds(i + 1) for i in range(6))
        self.draw = torch.Generator().manual_seed(seed)

    def forward(self, x):
        self.runs.append([])
        for i in range(len(self.layers)):
            if torch.rand((), generator=self.draw) < 0.5:
                x = self.called(f"layers.{i}", x)
        return x


class Experts(Drawing):
    """Two of four experts a run, each with a module inside, in the order that is drawn."""

    def __init__(self, seed):
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(Adds(i + 1)) for i in range(4))
        self.draw = torch.Generator().manual_seed(seed)

    def forward(self, x):
        self.runs.append([])
        for i in torch.randperm(4, generator=self.draw)[:2].tolist():
            x = self.called(f"experts.{i}", x)
            self.runs[-1].append(f"experts.{i}.0")
        return x


def views(model, folder, mode="inference"):
    return profiled(Workload(model, (1, 3, 8, 8), Setup(mode=mode)), folder, "net", STEPS)[1]


def modules(model, folder):
    return {row["name"]: row for row in views(model, folder)["modules"]}


@pytest.mark.parametrize("seed", [1, 2, 3])  # the first run draws otherwise than the recorded ones
@pytest.mark.parametrize("net", [StochasticDepth, LayerDrop, Experts])
def test_a_module_that_a_run_draws_has_its_own_name(tmp_path, net, seed):
    model = net(seed)
    rows = modules(model, tmp_path)
    expected = model.recorded()
    assert {name: row["calls"] for name, row in rows.items()} == {type(model).__name__: STEPS, **expected}
    for name, calls in expected.items():
        module = model.get_submodule(name)
        assert rows[name]["type"] == type(module).__name__
        assert rows[name]["operators"] == calls * getattr(module, "width", 0)  # a Sequential has none of its own


def test_two_classes_of_one_name_are_told_apart_in_any_order(tmp_path):
    model = StochasticDepth(6)  # long, short, short: not the same backwards
    model.long = type("Adds", (Adds,), {})(5)
    rows = modules(model, tmp_path)
    expected = model.recorded()
    assert len(expected) == 2
    assert {name: rows[name]["operators"] for name in ("short", "long")} == {
        "short": 2 * expected["short"],
        "long": 5 * expected["long"],
    }


def test_a_module_that_no_recorded_run_calls_has_no_row(tmp_path):
    class FirstRunOnly(Drawing):
        def __init__(self):
            super().__init__()
            self.rare, self.usual = Adds(3), Adds(1)

        def forward(self, x):
            self.runs.append([])
            return self.called("usual" if len(self.runs) > 1 else "rare", x)

    assert list(modules(FirstRunOnly(), tmp_path)) == ["FirstRunOnly", "usual"]


def test_a_module_inside_its_own_call_is_one_row_with_all_its_calls(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.deep = Adds(1), False

        def forward(self, x):
            self.deep = not self.deep
            return self.inner(self(x) if self.deep else x)

    rows = modules(Twice(), tmp_path)
    assert {name: row["calls"] for name, row in rows.items()} == {"Twice": 2 * STEPS, "inner": 2 * STEPS}


def test_a_module_made_in_a_run_has_the_name_that_it_got_and_a_passing_one_the_traces(tmp_path):
    class Makes(nn.Module):
        def __init__(self):
            super().__init__()
            self.runs = 0

        def forward(self, x):
            self.runs += 1
            if self.runs > 2:
                self.made = getattr(self, "made", None) or Adds(2)
            return self.made(x) if self.runs > 2 else nn.Identity()(nn.ReLU()(x))

    rows = modules(Makes(), tmp_path)
    assert {name: row["calls"] for name, row in rows.items()} == {"Makes": STEPS, "made": STEPS}

    class Passing(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    assert list(modules(Passing(), tmp_path))[:2] == ["Passing", "ReLU_0"]


def test_a_module_that_takes_anothers_place_shares_its_name_not_its_class(tmp_path):
    class Replaces(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.runs = Adds(1), 0

        def forward(self, x):
            self.runs += 1
            if self.runs == 4:
                self.block = nn.Identity()
            return self.block(x)

    rows = [(row["name"], row["type"], row["calls"]) for row in views(Replaces(), tmp_path)["modules"]]
    assert rows == [("Replaces", "Replaces", STEPS), ("block", "Adds", 1), ("block", "Identity", STEPS - 1)]


def test_a_compiled_block_is_one_row_under_its_own_name(tmp_path):
    net = nn.Sequential(Adds(1), torch.compile(nn.Sequential(Adds(2), Adds(3)), backend="eager"), Adds(4))
    rows = modules(net, tmp_path)
    assert {name: rows[name]["calls"] for name in ("0", "1", "2")} == dict.fromkeys("012", STEPS)
    assert [rows[name]["operators"] for name in ("0", "2")] == [STEPS, 4 * STEPS]
    torch.compiler.reset()


def test_the_trace_itself_says_which_module_each_call_is(tmp_path):
    model = LayerDrop(0)
    trace, found = profiled(Workload(model, (1, 3, 8, 8), Setup()), tmp_path, "net", STEPS)
    events = json.loads(trace.read_text())["traceEvents"]
    paths = [event["args"][PATH] for event in events if event["name"].startswith("nn.Module: Adds")]
    assert Counter(paths) == model.recorded()
    assert [path.name for path in trace.parent.iterdir()] == [trace.name]
    assert read(trace) == found


def test_a_model_that_fails_in_a_recorded_run_says_that_and_no_more(tmp_path, capfd):
    class Fails(Adds):
        def forward(self, x):
            self.width += 1
            if self.width == 4:
                raise ValueError("the fourth run")
            return super().forward(x)

    with pytest.raises(ValueError, match="the fourth run"):
        views(Fails(0), tmp_path)
    assert capfd.readouterr().err == ""


class Ranges(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    @record_function("the whole forward")
    def forward(self, x):
        with record_function("outer"):
            for _ in range(2):
                with record_function("inner"):
                    x = self.layer(x)
            with ExitStack() as stack:
                stack.enter_context(record_function("outer"))
                return x.relu()


def test_a_programs_own_ranges_are_rows_and_torchs_are_not(tmp_path):
    found = {row["name"]: row for row in views(Ranges(), tmp_path, "training")["ranges"]}
    assert list(found) == ["the whole forward", "outer", "inner"]  # no ProfilerStep#, no Optimizer.step#SGD.step
    assert [row["calls"] for row in found.values()] == [STEPS, 2 * STEPS, 2 * STEPS]
    whole, outer, inner = (row["host_total_s"] for row in found.values())
    assert whole >= outer >= inner > 0
    for row in found.values():
        assert row["host_total_s"] > row["host_self_s"] > 0


def test_what_torch_marks_in_loaders_and_compilers_is_no_range_of_the_program(tmp_path):
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    compiled = torch.compile(torch.neg, backend="eager")

    def loop():
        torch.compiler.reset()
        for batch in DataLoader(torch.zeros(4, 2), batch_size=2):
            with record_function("step"):
                (compiled(batch) * weight).sum().backward()
                optimizer.step()
                optimizer.zero_grad()

    trace, found = profiled(Call(loop, Setup(mode="training")), tmp_path, "loop", 1)
    marked = {
        event["name"] for event in json.loads(trace.read_text())["traceEvents"] if event.get("cat") == "user_annotation"
    }
    assert {name.partition("#")[0] for name in marked} >= {"step", "Optimizer.step", "enumerate(DataLoader)"}
    assert any("compile_id" in name for name in marked)
    assert [(row["name"], row["calls"]) for row in found["ranges"]] == [("step", 2)]


def test_a_ranges_times_are_those_that_torch_sums(tmp_path):
    def work():
        with record_function("a"):
            x = torch.ones(8, 8) @ torch.ones(8, 8)
            with record_function("b"):
                x.exp().sum()
        with record_function("b"):
            x.sum()

    work()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    rows = {row["name"]: row for row in ranges(json.loads((tmp_path / "trace.json").read_text())["traceEvents"])}
    theirs = {row.key: row for row in profiler.key_averages() if row.key in "ab"}
    assert rows.keys() == theirs.keys() == {"a", "b"}
    for name, row in theirs.items():
        assert rows[name]["calls"] == row.count
        assert rows[name]["host_total_s"] == pytest.approx(row.cpu_time_total / 1e6, rel=1e-3)
        assert rows[name]["host_self_s"] == pytest.approx(row.self_cpu_time_total / 1e6, rel=1e-3)


def event(cat, name, start, end, tid=1, **args):
    return {"ph": "X", "cat": cat, "name": name, "ts": start, "dur": end - start, "pid": 1, "tid": tid, "args": args}


def test_nested_repeated_and_crossing_ranges_count_each_moment_once_and_kernels_by_their_launch():
    rows = ranges(
        [
            event("user_annotation", "ProfilerStep#1", 0, 1000),
            event("user_annotation", "a", 0, 100),
            event("user_annotation", "a", 20, 60),
            event("cpu_op", "aten::mm", 30, 50),
            event("cuda_runtime", "cudaLaunchKernel", 40, 45, correlation=7),
            event("kernel", "gemm", 500, 800, tid=9, correlation=7),
            event("user_annotation", "b", 90, 130),
            event("cuda_driver", "cuLaunchKernel", 110, 112, correlation=8),
            event("gpu_memcpy", "copy", 800, 850, tid=9, correlation=8),
            event("user_annotation", "a", 200, 210, tid=2),
        ]
    )
    us = {
        row["name"]: tuple(round(1e6 * row[f"{key}_s"]) for key in ("host_total", "host_self", "device_total"))
        for row in rows
    }
    # a: 0 to 100, and 10 in another thread; less the operator's 20 and b's 10 within it
    assert us == {"a": (110, 80, 300), "b": (40, 40, 50)}
    assert ranges([event("user_annotation", "a", 0, 9)])[0]["device_total_s"] is None
    assert {row["name"]: row["calls"] for row in rows} == {"a": 3, "b": 1}


@pytest.mark.parametrize(
    ("frames", "own"),
    [
        ((), True),  # a trace without stacks
        (("net.py(9): forward", "torch/autograd/profiler.py(918): __enter__"), True),
        (
            (
                "torch/nn/modules/module.py(1): _call_impl",
                "contextlib.py(78): inner",
                "torch/autograd/profiler.py(918): __enter__",
            ),
            True,
        ),
        (
            (
                "net.py(9): forward",
                "torch/optim/optimizer.py(509): wrapper",
                "torch/autograd/profiler.py(918): __enter__",
            ),
            False,
        ),
        (("net.py(9): forward",), False),  # by C++
    ],
)
def test_a_range_is_the_programs_unless_torch_called_for_it(frames, own):
    stack = [event("python_function", name, i, 100 - i) for i, name in enumerate(frames)]
    assert bool(ranges([*stack, event("user_annotation", "x", 50, 60)])) == own


def test_without_ranges_there_is_no_such_view(tmp_path):
    assert "ranges" not in views(nn.ReLU(), tmp_path)


def test_the_command_prints_ranges_and_writes_them(tmp_path, cli):
    (tmp_path / "net.py").write_text(
        "from torch import nn\nfrom torch.profiler import record_function\n"
        "INPUT = (3, 8, 8)\n"
        "class Net(nn.Module):\n"
        "    def forward(self, x):\n"
        "        with record_function('attention'):\n"
        "            return x.exp()\n"
    )
    words = ("profile", f"file:{tmp_path / 'net.py'}:Net", "--trace", str(tmp_path / "runs"), "--steps", "1")
    done = cli(*words)
    assert done.returncode == 0, done.stderr
    assert "Ranges" in done.stdout
    assert "attention" in done.stdout
    (row,) = json.loads(cli(*words, "-f", "json").stdout)["views"]["ranges"]
    assert (row["name"], row["calls"], set(row)) == (
        "attention",
        1,
        {"name", "calls", "host_self_s", "host_total_s", "device_total_s"},
    )
    assert cli(*words, "--view", "ranges", "-f", "csv").stdout.startswith("name,calls,host_self_s,host_total_s")
