"""A trace that TensorBoard and Perfetto open, and the plugin's tables of it."""

import json
from functools import partial

import pytest
from torch import nn

from resbench.costs.measure import cost
from resbench.errors import MeasureError, OutputError
from resbench.networks.load import load
from resbench.timing.profile import measure
from resbench.timing.profile.measure import read, record
from resbench.workers.workload import Setup, Workload

STEPS = 2


@pytest.fixture(scope="module")
def profiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    loaded = load("resnet20")
    work = Workload(loaded.module, (2, 3, 32, 32), Setup(batch=2, mode="training"))
    return folder, *measure.profiled(work, folder, "resnet20,shortcut=A", steps=STEPS)


def test_the_trace_is_where_tensorboard_looks_and_in_chromes_format(profiled):
    from torch_tb_profiler.consts import WORKER_PATTERN

    folder, path, _ = profiled
    assert path.parent == folder / "resnet20_shortcut=A"
    assert WORKER_PATTERN.match(path.name)
    events = json.loads(path.read_text())["traceEvents"]
    names = [event["name"] for event in events]
    assert sum(name.startswith("ProfilerStep#") for name in names) == STEPS
    assert any(name.startswith("nn.Module: Conv2d_") for name in names)
    assert any("Input Dims" in event.get("args", {}) for event in events)
    assert "[memory]" in names


def test_every_convolution_is_an_operator_call_in_each_step(profiled):
    rows = {row["name"]: row for row in profiled[2]["operators"]}
    convolutions = sum(row.type == "Conv2d" for row in cost("resnet20").layers)
    assert rows["aten::conv2d"]["calls"] == STEPS * convolutions
    assert rows["aten::conv2d"]["host_total_s"] >= rows["aten::conv2d"]["host_self_s"] > 0


def test_the_parts_of_a_step_are_the_step(profiled):
    *parts, step = profiled[2]["overview"]
    assert step["part"] == "average step"
    assert sum(part["seconds"] for part in parts) == pytest.approx(step["seconds"], rel=0.01)
    own = sum(row["host_self_s"] for row in profiled[2]["operators"])
    assert own <= 1.05 * STEPS * step["seconds"]


def test_modules_carry_the_models_own_names(profiled):
    rows = {row["name"]: row for row in profiled[2]["modules"]}
    layers = {row.name: row.type for row in cost("resnet20").layers}
    for name, kind in layers.items():
        assert rows[name]["type"] == kind
        assert rows[name]["calls"] == STEPS
    # a block takes at least as long as its layers
    assert rows["layer1.0"]["host_total_s"] >= rows["layer1.0.conv1"]["host_total_s"]


def test_memory_is_what_operators_allocate(profiled):
    rows = {row["name"]: row for row in profiled[2]["memory"]}
    assert sum(row["allocated_bytes"] for row in rows.values()) >= STEPS * cost("resnet20", batch=2).activations


def modules_of(model, folder):
    work = Workload(model, (1, 3, 8, 8), Setup())
    _, views = measure.profiled(work, folder, "net", steps=STEPS)
    return [(row["name"], row["calls"]) for row in views["modules"]]


def test_a_module_that_is_called_from_several_places_has_one_row_with_all_its_calls(tmp_path):
    shared = nn.Conv2d(3, 3, 1)
    rows = modules_of(nn.Sequential(nn.Sequential(shared, nn.ReLU()), nn.Sequential(nn.ReLU(), shared)), tmp_path)
    assert ("0.0", 2 * STEPS) in rows
    assert len(rows) == len({name for name, _ in rows}) == 6


def test_modules_of_two_classes_of_one_name_are_told_apart(tmp_path):
    other = type("Conv2d", (nn.Conv2d,), {})
    rows = modules_of(nn.Sequential(nn.Conv2d(3, 3, 1), other(3, 3, 1), nn.ReLU()), tmp_path)
    assert rows == [("Sequential", STEPS), ("0", STEPS), ("1", STEPS), ("2", STEPS)]


def test_a_gpus_trace_is_read_as_one_step_with_its_kernels(tmp_path):
    def event(cat, name, ts, dur, pid=1, tid=1, **args):
        return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "pid": pid, "tid": tid, "args": args}

    kernel = {"External id": 2, "correlation": 7, "device": 0, "stream": 7, "grid": [1, 1, 1], "block": [32, 1, 1]}
    trace = {
        "deviceProperties": [{"id": 0, "name": "NVIDIA H200", "totalGlobalMem": 2**37, "numSms": 132}],
        "traceEvents": [
            event("user_annotation", "ProfilerStep#1", 100.0, 80.0, **{"External id": 1}),
            event("cpu_op", "aten::mm", 110.0, 20.0, **{"External id": 2}),
            event("cuda_runtime", "cudaLaunchKernel", 115.0, 5.0, **{"External id": 2}, correlation=7),
            event("gpu_user_annotation", "ProfilerStep#1", 125.0, 30.0, pid=0, tid=7, **{"External id": 1}),
            event("kernel", "gemm", 125.0, 30.0, pid=0, tid=7, **kernel),
        ],
    }
    path = tmp_path / "resbench.1.pt.trace.json"
    path.write_text(json.dumps(trace))
    views = read(path)
    parts = {row["part"]: row["seconds"] for row in views["overview"]}
    assert parts["average step"] == pytest.approx(80e-6)
    assert parts["kernel"] == pytest.approx(30e-6)
    assert parts["runtime"] == pytest.approx(5e-6)
    (row,) = views["kernels"]
    assert (row["name"], row["calls"], row["total_s"]) == ("gemm", 1, pytest.approx(30e-6))
    (row,) = views["operators"]
    assert row["device_total_s"] == pytest.approx(30e-6)


@pytest.fixture
def run(cli):
    return partial(cli, "profile")


def test_the_command_prints_its_tables_and_says_where_the_trace_is(run, tmp_path):
    done = run("resnet20", "--trace", str(tmp_path), "--steps", "1")
    assert done.returncode == 0, done.stderr
    for words in ("Overview", "Operators", "Modules", "Memory", "aten::conv2d", "layer1.0.conv1"):
        assert words in done.stdout
    assert done.stderr.startswith("trace: ")
    assert done.stderr.count("\n") == 1
    done = run("resnet20", "--trace", str(tmp_path), "--steps", "1", "--view", "modules", "-f", "csv")
    assert done.stdout.startswith("name,type,calls,operators,host_self_s,")
    assert "layer3.2.conv2,Conv2d,1,1," in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--view", "pies"), "--view takes overview, operators"),
        (("--view", "kernels"), "has no kernels; it has overview"),
        (("-f", "csv"), "csv holds one table"),
        (("--device", "tpu"), "--device takes cpu"),
        (("--batch", "1000000"), "take a smaller --batch"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(run, tmp_path, arguments, says):
    done = run("resnet20", "--trace", str(tmp_path), "--steps", "1", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert says in done.stderr


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    work = Workload(load("resnet20").module, (1, 3, 32, 32), Setup())
    with pytest.raises(OutputError, match="name a folder with --trace"):
        record(work, tmp_path / "file", "x")


def test_a_trace_that_the_plugin_cannot_read_stays_and_is_named(tmp_path):
    path = tmp_path / "resbench.1.pt.trace.json"
    path.write_text('{"traceEvents": [')
    with pytest.raises(MeasureError, match=r"cannot read .*the trace is there"):
        read(path)
    assert path.exists()
