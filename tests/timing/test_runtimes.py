"""A network is timed in other runtimes than torch's own: what is asked of each, and what its rows say."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from math import inf
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import called
from documents import latencies
from pockets import RIGHT, pocket

import resbench
from resbench.errors import MeasureError, OptionError
from resbench.result import Figure
from resbench.timing.latency.orders import SAME, order_lines, turned
from resbench.timing.latency.processes import check_runtime
from resbench.timing.runtimes import aot
from resbench.timing.runtimes.contract import claims
from resbench.timing.runtimes.runtime import Conditions, agreement, difference, runtime
from resbench.workers.cores import chosen_cores
from resbench.workers.resident import peak_resident_bytes, resident_bytes
from resbench.workers.sampling import FLUSH_BYTES
from resbench.workers.workload import Setup


@pytest.fixture
def installed(quick, monkeypatch):
    """Install the runtime ``pocket``, whose answers are this expression, for this process and those that it starts."""
    site = Path(os.environ["PYTHONPATH"].partition(os.pathsep)[0])
    monkeypatch.syspath_prepend(site)

    def install(answer):
        pocket(site, answer)

    yield install
    sys.modules.pop("pocket", None)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_of_ours_keeps_the_contract(name):
    assert [one.line for one in claims(name) if one.broken] == []


BROKEN = {
    f"{RIGHT} + 1e-3 * model(*tensors).abs().max() * 2": "its answers are those of eager fp32, batch 1, first run",
    f"{RIGHT} if len(tensors[0]) == 1 else model(tensors[0].flip(0))": "batch 3",
    "first.setdefault(len(tensors[0]), model(*tensors))": "it reads its inputs where they lie",
}


def test_a_package_brings_a_runtime_that_is_held_to_the_same(installed):
    installed(RIGHT)
    assert [one.line for one in claims("pocket") if one.broken] == []


@pytest.mark.parametrize("answer", BROKEN)
def test_a_wrong_answer_breaks_the_contract(installed, answer):
    installed(answer)
    assert any(BROKEN[answer] in one.line for one in claims("pocket") if one.broken)


def test_an_answer_for_the_first_image_alone_is_no_answer_for_three(installed):
    installed("model(tensors[0][:1])")
    with pytest.raises(MeasureError, match=r"expected answers of the shapes 3x10, received 1x10"):
        list(claims("pocket"))


def test_networks_stand_side_by_side_in_several_runtimes(installed):
    installed(RIGHT)
    done = called(
        "latency", "conv5x5_reduced", "--runtime", "eager,pocket,onnxruntime", "--processes", "2", "-f", "json"
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["latencies"]
    assert [row["setup"]["runtime"] for row in rows] == ["eager", "pocket", "onnxruntime"]
    assert len({reading["macs"] for row in rows for reading in row["readings"]}) == 1
    versions = [row["readings"][0]["deployed"]["version"] for row in rows]
    assert re.fullmatch(r"torch \S+ pocket 0\.5 onnxruntime \S+", " ".join(versions))
    for row in rows[1:]:
        for reading in row["readings"]:
            assert reading["deployed"]["difference"] < 1e-5
            assert reading["deployed"]["load_s"] > 0
            assert reading["deployed"]["file_bytes"] > 4 * 15_872  # its parameters
    [products] = rows[2]["readings"][0]["ran"]["products"]
    assert products == ["fp32", 2]


def test_a_wrong_answer_is_a_row_that_failed_and_the_others_stay(installed):
    installed(f"{RIGHT} * 1.5")
    done = called("latency", "conv5x5_reduced", "--runtime", "pocket,eager", "--processes", "1", "-f", "csv")
    assert done.returncode == 2
    assert (
        "conv5x5_reduced, batch 1, inference, pocket: its answers differ from those of eager fp32 by 0.5" in done.stderr
    )
    assert "conv5x5_reduced" in done.stdout
    assert "pocket" not in done.stdout


def test_a_graph_of_onnx_runs_without_the_module_that_it_came_from(quick, tmp_path):
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), dtype=np.float32), "weight")
    node = helper.make_node("Conv", ["image", "weight"], ["answer"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 8, 8])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 4, 6, 6])
    graph = helper.make_graph([node], "net", [image], [answer], [weight])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx")
    name = f"onnx:{tmp_path / 'net.onnx'}"
    done = called("latency", name, "--runtime", "onnxruntime", "--batch", "2", "--processes", "1", "-f", "json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)["latencies"]
    assert row["input"] == [2, 3, 8, 8]
    assert row["readings"][0]["macs"] == 2 * 4 * 3 * 9 * 36
    refused = called("latency", name, "--processes", "1")
    assert refused.returncode == 2
    assert "latency --runtime onnxruntime" in refused.stderr


REFUSED = {
    ("--runtime", "onxruntime"): "no runtime is called 'onxruntime'; did you mean onnxruntime?",
    ("--runtime", ""): "--runtime takes words with commas between",
    ("--runtime", "eager,,compile"): "--runtime takes words with commas between",
    ("--runtime", "eager", "--compile"): "--compile is short for --runtime compile",
    ("--runtime", "openvino", "--mode", "training"): "openvino is measured with --mode inference; received training",
    ("--runtime", "onnxruntime", "--dtype", "bf16"): "onnxruntime is measured with --dtype fp32",
    ("--runtime", "onnxruntime", "--memory-format", "channels_last"): "--memory-format contiguous",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_what_a_runtime_cannot_do_is_one_line(arguments):
    done = called("latency", "resnet20", *arguments)
    assert done.returncode == 2
    assert REFUSED[arguments] in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_runtime_that_is_not_installed_names_what_brings_it(monkeypatch):
    monkeypatch.setattr("resbench.timing.runtimes.runtime.find_spec", lambda name: None)
    with pytest.raises(MeasureError, match=r"openvino is not installed: .*pip install 'resbench\[openvino\]'"):
        check_runtime(Setup(runtime="openvino"))


@pytest.mark.parametrize("missing", ["onnx", "onnxscript"])
def test_what_torch_writes_a_graph_by_is_named_where_it_is_not_installed(missing, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, missing, None)
    net, args = torch.nn.Linear(2, 2).eval(), (torch.zeros(1, 2),)
    with pytest.raises(MeasureError, match=f"by {missing}, not installed here: pip install onnx onnxscript"):
        runtime("openvino").export(net, args, {}, tmp_path / "net.onnx")


def broken(folder, change):
    """Let another package bring a runtime that is none."""
    pocket(folder)
    with (folder / "pocket.py").open("a") as file:
        file.write(f"{change}\n")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("raise RuntimeError('no licence')", "pocket cannot be imported: RuntimeError: no licence"),
        ("import pocket_core", "pocket cannot be imported: ModuleNotFoundError: No module named 'pocket_core'"),
        ("del DTYPES, load", "expected pocket to have the names of a runtime; it has no DTYPES, load"),
        ("MODULE = 'pocket_core.runtime'", "the runtime pocket is not installed: pocket brings it; pip install pocket"),
        ("MODULE = 'pocket.core.runtime'", "the runtime pocket: pocket cannot be imported: ModuleNotFoundError"),
    ],
)
def test_a_package_whose_runtime_is_none_is_named_with_what_is_missing(installed, change, line):
    broken(Path(sys.path[0]), change)
    done = called("latency", "conv5x5_reduced", "--runtime", "pocket")
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(find_spec("executorch") is not None, reason="it is installed")
def test_a_runtime_of_which_nothing_is_installed_names_what_brings_it():
    with pytest.raises(MeasureError, match=r"executorch is not installed: .*pip install 'resbench\[executorch\]'"):
        runtime("executorch")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch's own, where it exports
def test_ahead_of_time_none_is_no_answer(tmp_path, monkeypatch):
    monkeypatch.setenv(aot.CHECKED, "1")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))

    class Net(torch.nn.Module):
        def forward(self, image):
            return {"a": image * 2, "b": [image.mean(), (image + 1, None)]}

    image = torch.arange(4.0)
    aot.export(Net(), (image,), {}, tmp_path / "net.pt2")
    engine = aot.load(tmp_path / "net.pt2", [image.numpy()], Conditions(torch.get_num_threads(), "fp32", tmp_path))
    assert difference(engine.run(), [2 * image.numpy(), np.array(1.5), image.numpy() + 1]) == 0


def test_resident_memory_is_without_what_overwrites_the_caches(installed):
    installed(RIGHT)
    how = ("--runtime", "eager,pocket", "--cache", "cold", "--processes", "1", "-f", "json")
    done = called("latency", "conv5x5_reduced", *how)
    assert done.returncode == 0, done.stderr
    held = [row["readings"][0]["deployed"]["resident_bytes"] for row in json.loads(done.stdout)["latencies"]]
    assert all(one is None or one < FLUSH_BYTES for one in held)


def test_a_runtime_that_crashes_is_said_to_and_its_column_stays(installed):
    installed("__import__('os').abort()")
    done = called("latency", "conv5x5_reduced", "--runtime", "eager,pocket", "--processes", "1")
    assert done.returncode == 2
    assert "conv5x5_reduced, batch 1, inference, pocket: the process that measured it crashed (SIGABRT)" in done.stderr
    assert "memory" not in done.stderr
    assert re.search(r"^model +runtime +batch", done.stdout)
    assert "What each runtime needs besides" in done.stdout
    assert "Difference" not in done.stdout


def test_where_several_runtimes_were_asked_for_eager_is_named(quick):
    found = replace(latencies(), runtimes=("eager", "pocket"))
    reading = found.latencies[0].readings[0]
    busy = reading._replace(verdict="noisy", others=9.0, ran=replace(reading.ran, threads=(512,)))
    found = replace(found, latencies=(replace(found.latencies[0], readings=(busy,)),))
    [table, *_] = found.tables()
    assert any(line.startswith("resnet20, batch 1, eager: the machine was busy") for line in table.warnings)
    assert "runtime" in [column.key for column in table.columns]
    assert [*found.verdicts()] == ["Latency of resnet20, batch 1, eager: noisy"]
    assert [*replace(found, runtimes=("eager",)).verdicts()] == ["Latency of resnet20: noisy"]


@pytest.mark.parametrize("given", [{"runtime": []}, {"runtime": None}, {"runtime": 3}, {"runtime": ""}, {"export": 3}])
def test_from_python_a_runtime_is_a_name_and_an_export_a_path(given):
    [name] = given
    with pytest.raises(OptionError, match=f"latency: expected .*{name}.*; received"):
        resbench.latency("resnet20", **given)


def test_a_module_of_a_type_that_no_file_holds_is_one_line():
    module, x = torch.nn.Conv2d(3, 4, 3).bfloat16(), torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16)
    with pytest.raises(MeasureError, match=r"received torch.bfloat16; give model.float\(\)"):
        resbench.latency(module, x, runtime="onnxruntime", processes=1)


def test_torch_times_in_two_runtimes_itself():
    check_runtime(Setup(runtime="eager", mode="training"))
    check_runtime(Setup(runtime="compile", mode="training"))
    with pytest.raises(OptionError):
        runtime("eager")


def test_a_difference_is_relative_to_the_largest_answer():
    reference = [np.array([[1.0, -10.0]]), np.array([2.0])]
    assert difference([np.array([[1.5, -10.0]]), np.array([2.0])], reference) == pytest.approx(0.05)
    assert difference([np.array([[1.0, -10.0]]), np.array([2.5])], reference) == pytest.approx(0.25)
    assert difference([np.array([[np.nan, -10.0]]), np.array([2.0])], reference) == inf
    with pytest.raises(MeasureError, match="expected answers of the shapes 1x2, 1, received 1x2"):
        difference(reference[:1], reference)


def test_what_is_not_finite_has_to_stand_in_the_same_place():
    reference = [np.array([np.nan, inf, -inf, 4.0])]
    assert difference(reference, reference) == 0
    assert difference([np.array([np.nan, inf, -inf, 5.0])], reference) == 0.25
    for wrong in ([0.0, inf, -inf, 4.0], [np.nan, -inf, -inf, 4.0], [np.nan, inf, -1e30, 4.0], [0.0] * 4):
        assert difference([np.array(wrong)], reference) == inf
    assert difference([np.array([np.nan])], [np.array([np.nan])]) == 0
    with pytest.raises(MeasureError, match="differ from those of eager fp32 in what is NaN or infinite"):
        agreement([np.zeros(4)], reference, "fp32")


def latency(model, seconds, spread=0.001, sure=True):
    return Figure(model, "latency", seconds, spread, sure=sure)


def side_by_side(eager, onnx, **how):
    return {
        name: {model: latency(model, seconds, **how) for model, seconds in zip("abc", times, strict=False)}
        for name, times in (("eager", eager), ("onnxruntime", onnx))
    }


def test_an_order_that_turns_round_is_said_with_both_figures():
    [line] = turned(side_by_side((0.063, 0.091), (0.030, 0.025)))
    assert line == (
        "a is faster than b in eager (63.0 +- 1.0 against 91.0 +- 1.0 ms), and slower in onnxruntime "
        "(30.0 +- 1.0 against 25.0 +- 1.0 ms)."
    )
    assert len([*turned(side_by_side((1, 2, 3), (3, 2, 1)))]) == 3


@pytest.mark.parametrize("how", [{"spread": 0.01}, {"spread": None}, {"sure": False}])
def test_an_order_is_not_told_where_the_intervals_overlap_or_nothing_is_sure(how):
    latencies = side_by_side((0.063, 0.091), (0.030, 0.025), **how)
    assert [*turned(latencies)] == []
    assert order_lines(latencies) == [SAME]
    assert order_lines({"eager": latencies["eager"]}) == []


def test_threads_are_kept_to_cores_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    for processor, siblings in enumerate(["0,1", "0,1", "2,3", "2,3"]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{processor}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert chosen_cores(1, tmp_path) == (0,)
    assert chosen_cores(2, tmp_path) == (0, 2)
    assert chosen_cores(3, tmp_path) == (0, 1, 2)
    assert chosen_cores(5, tmp_path) == ()


def test_the_kernels_account_of_memory_is_read(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
    assert (resident_bytes(status), peak_resident_bytes(status)) == (2**20, 2**21)
    assert resident_bytes(tmp_path / "none") is None
    held = np.ones(2**24)
    here = peak_resident_bytes()
    assert here is None or here > held.nbytes


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_every_mac_is_in_one_kernel_and_the_rows_sum_to_the_run(quick, name):
    done = called("latency", "resnet20", "--layers", "--runtime", name, "-f", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["name"]: row for row in found["layers"]}
    assert sum(row["macs"] for row in rows.values()) == 40_551_040
    assert rows["layer1.0.conv2 + add + relu2"]["macs"] == 16 * 16 * 9 * 32 * 32
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert rows["between kernels"]["forward_s"] > 0
    assert not any("unmapped" in row["type"] for row in rows.values())


def test_a_runtime_that_does_not_tell_has_no_layers_and_exports_nothing(installed):
    installed(RIGHT)
    file = Path(os.environ["PYTHONPATH"].partition(os.pathsep)[0]) / "pocket.py"
    file.write_text(file.read_text().replace("torch.save(model, file)", "raise RuntimeError('it was exported')"))
    done = called("latency", "conv5x5_reduced", "--layers", "--runtime", "pocket")
    assert done.returncode == 2
    assert "pocket does not tell the times of its kernels; leave --layers out" in done.stderr


def test_the_kernels_of_compiled_code_are_mapped_too(quick):
    done = called("latency", "basic_block", "--layers", "--runtime", "compile", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)["layers"]}
    macs = {name: row["macs"] for name, row in rows.items() if row["macs"]}
    assert macs == {"conv1": 115_605_504, "conv2": 115_605_504}
    assert {"bn1 + relu1", "bn2 + add + relu2"} <= {*rows}
    assert sum(row["share"] for row in rows.values()) == pytest.approx(1)
    assert not any("unmapped" in row["type"] for row in rows.values())


def test_the_graph_that_was_timed_is_kept(quick, tmp_path):
    kept = tmp_path / "kept.onnx"
    done = called("latency", "conv5x5_reduced", "--runtime", "onnxruntime", "--processes", "1", "--export", kept)
    assert done.returncode == 0, done.stderr
    counted = called("flops", f"onnx:{kept}", "-f", "json")
    assert json.loads(counted.stdout)["costs"][0]["macs"] == 12_443_648


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--runtime", "eager"), "expected one model and batch, in runtimes that share a file"),
        (("--runtime", "onnxruntime,aot"), "expected one model and batch, in runtimes that share a file"),
        (("--runtime", "onnxruntime", "--batch", "1,2"), "expected one model and batch"),
        (("--runtime", "aot"), "expected a file that ends in .pt2"),
        (("--runtime", "onnxruntime", "--layers"), "--export is for networks timed whole"),
    ],
)
def test_what_cannot_be_kept_is_said_before_anything_is_measured(tmp_path, arguments, line):
    done = called("latency", "resnet20", *arguments, "--export", tmp_path / "kept.onnx")
    assert done.returncode == 2
    assert line in done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_comparison_has_a_column_for_each_runtime(installed):
    installed(RIGHT)
    networks = ("conv5x5_reduced", "conv5x5_direct")
    done = called("compare", *networks, "--metrics", "macs,latency", "--runtime", "eager,pocket", "-f", "json")
    assert done.returncode == 0, done.stderr
    columns = [column["title"] for column in json.loads(done.stdout)["table"]["columns"]]
    assert [title for title in columns if title.startswith("latency")] == ["latency a", "latency b"]
    assert "in pocket" in done.stdout


def test_a_page_shows_what_each_runtime_needs(installed, tmp_path):
    installed(RIGHT)
    page = tmp_path / "page.html"
    done = called("report", "conv5x5_reduced", "--parts", "latency", "--runtime", "eager,pocket", "-o", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text().replace("<wbr>", "")
    assert "What each runtime needs besides" in text
    assert "pocket 0.5" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "resnet20", "plain20", "--runtime", "onnxruntime"),
        ("report", "resnet20", "--parts", "cost", "--runtime", "onnxruntime"),
    ],
)
def test_a_runtime_without_a_latency_to_measure_is_refused(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = called(*arguments)
    assert done.returncode == 2
    assert "--runtime is for latency" in done.stderr
    assert not [*tmp_path.iterdir()]


def test_compiled_code_that_answers_otherwise_is_a_row_that_failed():
    from resbench.timing.latency.worker import Begun, read
    from resbench.workers.sampling import Rules
    from resbench.workers.workload import Workload

    work = Workload(torch.nn.Conv2d(1, 1, 1), (1, 1, 2, 2), Setup())
    work.setup = Setup(runtime="compile")
    work.call = lambda image: work.model(image) * 2
    rules = Rules(warmup_runs=5, warmup_s=0.0, least_runs=8, least_s=0.0, precision=1.0)
    with pytest.raises(MeasureError, match=r"its answers differ .* by 1 of the largest, more than 0\.001 for fp32"):
        read(work, rules, Begun(0, None, ()))


@pytest.mark.parametrize("module", ["onnxruntime", "exports"])
def test_onnx_runtime_leaves_no_identifier_and_no_file_behind(module, tmp_path):
    code = f"import resbench.timing.runtimes.{module}, onnxruntime"
    places = {"HOME": tmp_path / "home", "XDG_CACHE_HOME": tmp_path / "cache", "TMPDIR": tmp_path / "tmp"}
    for place in places.values():
        place.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {name: str(place) for name, place in places.items()} | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_module_of_the_callers_is_timed_in_another_runtime_and_stays_what_it_was(quick, tmp_path):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU()).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    file = tmp_path / "net.onnx"
    found = resbench.latency(net, torch.randn(2, 3, 12, 12), runtime="onnxruntime", processes=2, export=file, batch=2)
    [one] = found.latencies
    assert (one.model, one.setup.runtime, one.input, len(one.turns)) == ("Sequential", "onnxruntime", (2, 3, 12, 12), 2)
    assert one.readings[0].macs == 2 * 8 * 10 * 10 * 27 == resbench.flops(f"onnx:{file}", batch=2).costs[0].macs
    assert all(reading.deployed.difference < 1e-5 for reading in one.readings)
    assert net.training and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with pytest.raises(OptionError, match="expected a call for each; received eager,onnxruntime"):
        resbench.latency(net, (3, 12, 12), runtime=["eager", "onnxruntime"])
    with pytest.raises(MeasureError, match=r"Sequential, batch 1, inference: cannot be written as \.onnx"):
        resbench.latency(torch.nn.Sequential(Judging()), (3, 12, 12), runtime="onnxruntime")


class Judging(torch.nn.Module):
    """No exporter writes a branch that depends on values."""

    def forward(self, x):
        return x if x.sum().item() > 0 else -x
