"""Event files read back by TensorBoard's own reader, against the JSON that the same command wrote."""

import json
import re
import resource
from collections import Counter
from datetime import datetime
from math import inf, isfinite, isnan, log10, nan
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace

import numpy as np
import pytest
from commands import called as command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from resbench.codec import decoded, encoded
from resbench.errors import OutputError
from resbench.gradients.result import Flow, FlowRecipe, Flows
from resbench.gradients.statistics import STATISTICS, StatisticRow
from resbench.pages.tensorboard import Board
from resbench.timing.latency.result import Latencies, Reading
from resbench.training.result import Cell, Degradation, Epoch, Training, TrainingRecipe
from resbench.workers.environment import environment

SMALL = ("--input", "3x8x8")


def only(folder):
    """The one thing in a folder."""
    (found,) = folder.iterdir()
    return found


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    return found.Reload()


def points(folder, tag):
    return {event.step: event.value for event in events(folder).Scalars(tag)}


def near(value):
    """As TensorBoard keeps it."""
    return float(np.float32(value))


def hparams(folder):
    content = events(folder).SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(content).hparams
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in found.items()}


def scalars(folder):
    """Every scalar of a run: (tag, step) to value."""
    found = events(folder)
    return {(tag, event.step): event.value for tag in found.Tags()["scalars"] for event in found.Scalars(tag)}


def tree(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# -- gradflow ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flowed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flow")
    options = ("--steps", "0,2", "--seeds", "2", "--batch", "8", "--tensorboard", folder / "board", "-f", "json")
    done = command("gradflow", "resnet8", "plain8", *SMALL, *options)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(done=done, models=json.loads(done.stdout)["flows"], top=only(folder / "board" / "gradflow"))


def means(model, statistic, step):
    """Name to depth and mean over the seeds, from the rows of the document."""
    rows = [row for row in model["rows"] if (row["statistic"], row["step"]) == (statistic, step)]
    return {
        name: (
            next(r["depth"] for r in rows if r["name"] == name),
            fmean(r["value"] for r in rows if r["name"] == name),
        )
        for name in dict.fromkeys(row["name"] for row in rows)
    }


def test_the_command_says_where_the_files_are_and_nothing_else(flowed):
    assert flowed.done.stderr == f"event files: {flowed.top}  (tensorboard --logdir {flowed.top.parents[1]})\n"


def test_a_network_has_its_numbers_by_step(flowed):
    for model in flowed.models:
        found = {key: v for key, v in scalars(flowed.top / model["model"]).items() if key[0].startswith("Network/")}
        steps = [(record, record["step"]) for record in model["records"]]
        expected = {
            (f"Network/{key}", step): near(value)
            for record, step in steps
            for key, value in record.items()
            if key not in ("model", "step") and value is not None
        }
        assert found == expected
        assert {step for _, step in found} == {0, 2}
        assert ("Network/first_to_last", 0) in found


def test_a_place_has_the_mean_over_the_seeds_by_step(flowed):
    for model in flowed.models:
        found = {key: v for key, v in scalars(flowed.top / model["model"]).items() if not key[0].startswith("Network/")}
        expected = {
            (f"{key}/{name}", step): near(value)
            for key in STATISTICS
            if STATISTICS[key].place != "network"
            for step in (0, 2)
            for name, (_, value) in means(model, key, step).items()
        }
        assert found == expected
        assert ("update/conv1", 2) in found


def test_a_statistic_stands_by_depth_with_a_run_for_each_step(flowed):
    for model in flowed.models:
        for step in (0, 2):
            found = events(flowed.top / model["model"] / f"step{step}")
            for key in {row["statistic"] for row in model["rows"] if row["place"] != "network"}:
                places = sorted(means(model, key, step).values(), key=lambda place: place[0])
                line = found.Scalars(f"Depth/{key}")
                assert [event.value for event in line] == [near(value) for _, value in places]
                at = [event.step for event in line]
                assert at == sorted(set(at)), "TensorBoard keeps one value for each point"
                assert max(abs(x - 1000 * depth) for x, (depth, _) in zip(at, places, strict=True)) <= 2


def test_a_histogram_holds_every_place_and_seed(flowed):
    for model in flowed.models:
        found = events(flowed.top / model["model"])
        values = [row["value"] for row in model["rows"] if (row["statistic"], row["step"]) == ("gradient", 2)]
        _, last = found.Histograms("Places/log10 gradient")
        assert last.step == 2
        held = last.histogram_value
        assert held.num == sum(held.bucket) == len(values) >= 8
        assert (held.min, held.max) == (log10(min(values)), log10(max(values)))
    tags = events(flowed.top / "resnet8,input=3x8x8").Tags()["histograms"]
    assert {"Places/cosine", "Places/log10 update"} <= set(tags)


def test_hyperparameters_stand_beside_what_came_out(flowed):
    for model in flowed.models:
        run = flowed.top / model["model"] / "end"
        found = hparams(run)
        assert (found["model"], found["input"], found["steps"]) == (model["model"], "3x8x8", "0,2")
        assert (found["seeds"], found["lr"], found["weight_decay"], found["deep"]) == (2, 0.1, 1e-4, "False")
        last = model["records"][-1]
        keys = ("c1", "early_update", "first_to_last", "growth", "loss")
        expected = {(f"gradflow/{key}", 2): near(last[key]) for key in keys if last[key] is not None}
        assert scalars(run) == expected
        assert len(expected) >= 4


def test_the_graph_has_the_layers_of_the_network(flowed):
    for model in flowed.models:
        nodes = events(flowed.top / model["model"]).Graph().node
        drawn = {".".join(re.findall(r"\[(\w+)\]", node.name)) for node in nodes}
        assert {row["name"] for row in model["rows"] if row["place"] == "layer"} <= drawn


def test_a_model_that_prints_and_cannot_be_traced_costs_one_line(tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Shy(nn.Sequential):\n"
        "    def forward(self, x):\n"
        "        print('traced' if torch.jit.is_tracing() else 'forward')\n"
        "        if torch.jit.is_tracing(): raise ValueError('not while I am watched')\n"
        "        return super().forward(x)\n"
        "def net(): return Shy(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(),\n"
        "    nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))\n"
    )
    name = f"file:{tmp_path}/nets.py:net"
    options = ("--steps", "0", "--seeds", "1", "--batch", "8", "--norm", "none", "-f", "json")
    done = command("gradflow", name, *SMALL, *options, "--tensorboard", tmp_path / "board")
    assert done.returncode == 0, done.stderr
    (model,) = json.loads(done.stdout)["flows"]
    said = [line for line in done.stderr.splitlines() if line != "forward"]
    assert (
        said[0]
        == f"resbench: {name},input=3x8x8 without BN: no graph for TensorBoard (ValueError: not while I am watched)"
    )
    assert len(said) == 2
    top = only(only(tmp_path / "board" / "gradflow"))
    assert points(top, "Network/loss") == {0: near(model["records"][0]["loss"])}
    assert not events(top).Tags()["graph"]
    assert hparams(top / "end")["norm"] == "none"


def test_the_graph_is_that_of_the_network_without_bn(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))\n"
    )
    drawn = {}
    for title in (f"file:{tmp_path}/nets.py:net", f"file:{tmp_path}/nets.py:net without BN"):
        one = board(tmp_path / title[-3:], "gradflow")
        one.flows(flows(Flow(title, (3, 8, 8), (row(0),))))
        drawn[title[-3:]] = {node.op for node in events(only(one.folder)).Graph().node}
    assert drawn["net"] - drawn[" BN"] == {"aten::batch_norm"}
    assert "aten::_convolution" in drawn[" BN"]


def test_places_of_one_depth_have_points_of_their_own(tmp_path):
    one = board(tmp_path, "gradflow")
    rows = row(0, 1, name="a"), row(0, 2, name="b")
    one.flows(flows(Flow("resnet8", (3, 8, 8), rows)))
    assert points(only(one.folder) / "step0", "Depth/gradient") == {500: 1, 501: 2}


def test_what_ctrl_c_leaves_is_written(tmp_path, monkeypatch):
    from dataclasses import replace

    from resbench.gradients import measure

    whole = measure.flow
    monkeypatch.setattr(measure, "flow", lambda *a, **k: replace(whole(*a, **k), interrupted=True))
    options = ("--steps", "0", "--seeds", "1", "--batch", "8", "-f", "json")
    done = command("gradflow", "resnet8", "plain8", *SMALL, *options, "--tensorboard", tmp_path)
    assert done.returncode == 130
    (model,) = json.loads(done.stdout)["flows"]
    run = only(only(tmp_path / "gradflow"))
    assert points(run, "Network/loss") == {0: near(model["records"][0]["loss"])}


# -- degradation ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    recipe = ("--epochs", "2", "--seeds", "2", "--batch", "512", "--dtype", "fp32", "--probe", "1")
    where = ("--dir", folder / "runs", "--tensorboard", folder / "board", "-f", "json")
    call = ("degradation", "resnet8", "plain8", *SMALL, *recipe, *where)
    done = command(*call)
    assert done.returncode == 0, done.stderr
    top = only(folder / "board" / "degradation")
    runs = [{**one, **one["cell"]} for one in json.loads(done.stdout)["trainings"]]
    return SimpleNamespace(done=done, call=call, runs=runs, top=top)


def curves(run):
    keys = ("lr", "loss", "train_error", "test_error", "epoch", "seconds")
    return {(f"Training/{key}", e["iteration"]): near(e[key]) for e in run["history"] for key in keys}


def gradients(run):
    return {(f"{r['statistic']}/{r['name']}", r["step"]): near(r["value"]) for r in run["rows"] if r["name"]}


def test_a_training_has_its_history_and_gradients(trained):
    for run in trained.runs:
        found = scalars(trained.top / run["model"] / f"seed{run['seed']}")
        network = {key: value for key, value in found.items() if key[0].startswith("Network/")}
        assert {key: v for key, v in found.items() if key not in network} == curves(run) | gradients(run)
        whole = {r["step"]: near(r["value"]) for r in run["rows"] if r["statistic"] == "first_to_last"}
        assert {step: v for (tag, step), v in network.items() if tag == "Network/first_to_last"} == whole
        assert list(whole) == [0, 1, 2, 3]


def test_a_training_ends_with_hyperparameters_and_errors(trained):
    for run in trained.runs:
        end = trained.top / run["model"] / f"seed{run['seed']}" / "end"
        found = hparams(end)
        assert {key: found[key] for key in ("model", "seed", "data")} == {
            "model": run["model"],
            "seed": run["seed"],
            "data": "digits",
        }
        assert {key: found[key] for key in run["recipe"]} == {
            key: str(value) if isinstance(value, bool) else value for key, value in run["recipe"].items()
        }
        last = run["history"][-1]
        keys = ("loss", "test_error", "train_error")
        assert scalars(end) == {(f"degradation/{key}", last["iteration"]): near(last[key]) for key in keys}


def test_the_graph_is_there_once_for_each_network(trained):
    runs = {path.parent.relative_to(trained.top) for path in trained.top.rglob("events*")}
    drawn = {str(run) for run in runs if events(trained.top / run).Tags()["graph"]}
    assert drawn == {"resnet8", "plain8"}


def test_the_same_command_again_writes_the_same_curves_beside_the_first(trained):
    before = tree(trained.top)
    done = command(*trained.call)
    assert done.returncode == 0, done.stderr
    assert "4 of 4 trainings were finished by an earlier call" in done.stderr
    assert tree(trained.top) == before
    (again,) = set(trained.top.parent.iterdir()) - {trained.top}
    for run in trained.runs:
        place = Path(run["model"]) / f"seed{run['seed']}"
        assert scalars(again / place) == scalars(trained.top / place)


RECIPE = TrainingRecipe(20, 8)


def epoch(number):
    return Epoch(number, 10 * number, 0.1, 1 / number, 0.5 / number, 0.6 / number, 2.0 * number)


def row(step, value=1.0, statistic="gradient", name="layer1"):
    return StatisticRow("net", 0, step, STATISTICS[statistic].place, name, 0.5, statistic, value)


def flows(*found):
    return Flows(found, FlowRecipe(), "digits", environment())


def trainings(*found):
    return Degradation(found, "digits", 1, 1, environment(), {})


def board(folder, command="degradation", **options):
    return Board(folder, command, {"data": "digits"}, lambda: datetime(2026, 1, 2, 3, 4, 5), **options)


def test_a_training_can_be_watched_while_it_goes_on_and_nothing_is_written_twice(tmp_path):
    cell = Cell("net", (3, 8, 8), 0, RECIPE)
    one = Training(cell, (epoch(1),), (row(0), row(8)), finished=False)
    two = Training(cell, (epoch(1), epoch(2)), (row(0), row(8), row(16)))
    watched = board(tmp_path)
    watched.training(one)
    run = tmp_path / "degradation" / "20260102-030405" / "net" / "seed0"
    assert points(run, "Training/loss") == {10: 1.0}
    assert points(run, "gradient/layer1") == {0: 1.0, 8: 1.0}
    for _ in range(2):
        watched.training(two)
    watched.trainings(trainings(two))
    assert [event.step for event in events(run).Scalars("Training/loss")] == [10, 20]
    assert [event.step for event in events(run).Scalars("gradient/layer1")] == [0, 8, 16]
    assert points(run / "end", "degradation/loss") == {20: 0.5}
    assert watched.failure == ""
    assert watched.remarks[0].startswith("net: no graph for TensorBoard (")


def test_a_watcher_sees_every_epoch_when_it_ends():
    from resbench.data import load_split
    from resbench.training.feed import Feed
    from resbench.training.train import Options, train

    feed = Feed(*(part.resized((3, 8, 8)) for part in load_split("digits")), 512, False, "cpu")
    cells = [Cell(name, (3, 8, 8), 0, TrainingRecipe(4, 512)) for name in ("plain8", "resnet8")]
    seen = []
    results = train(cells, feed, Options(watch=seen.append))
    assert [(r.cell.model, len(r.history), r.finished) for r in seen] == [
        ("plain8", 1, False),
        ("resnet8", 1, False),
        ("plain8", 2, True),
        ("resnet8", 2, True),
    ]
    assert seen[2:] == results


def test_a_training_that_was_interrupted_ends_where_it_was(tmp_path):
    begun = Training(Cell("resnet8", (3, 8, 8), 0, RECIPE), (epoch(1),), finished=False)
    waiting = Training(Cell("resnet8", (3, 8, 8), 1, RECIPE), (), finished=False)
    watched = board(tmp_path)
    watched.training(begun)
    watched.trainings(trainings(begun, waiting))
    top = only(tmp_path / "degradation") / "resnet8"
    assert points(top / "seed0" / "end", "degradation/test_error") == {10: near(0.6)}
    assert not (top / "seed1").exists()
    assert events(top).Graph().node


# -- latency -------------------------------------------------------------------------------------------


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """The command with a clock of the test's own."""
    from resbench.timing.latency import measure
    from resbench.timing.roofline import Roof

    asked = Counter()

    def ask(self, case, turn):
        if case.model == "plain8":
            return {"error": "plain8: no more"}
        if asked[case] == 2:
            raise KeyboardInterrupt
        took, p = 0.001 * case.setup.batch, asked[case]
        asked[case] += 1
        runs = tuple((took * (1 + i / 100 + p / 1000),) for i in range(40))
        reading = Reading(("forward",), runs, "settled", True, 0, 10**6, 10**5, 10**4)
        size = [case.setup.batch, 3, 32, 32]
        return {"model": case.model, "input": size, "batched": True, "reading": encoded(reading), "pace_s": 0.01}

    roof = Roof("cpu", "fp32", 1, "0" * 12, 1e12, ((10**6, 1e10),))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measure.Processes, "answer", ask)
    monkeypatch.setattr(measure, "roof", lambda device, dtype: roof)
    options = ("--batch", "4,1", "--processes", "3", "--dtype", "fp32", "-f", "json")
    done = command("latency", "resnet8", "plain8", *options, "--tensorboard", tmp_path)
    document = json.loads(done.stdout)
    assert document["interrupted"]
    records = decoded(Latencies, document).flat().records()
    return SimpleNamespace(done=done, models=document["latencies"], records=records, top=only(tmp_path / "latency"))


def test_latency_stands_by_batch(timed):
    expected = {
        (f"Batch/{key}", record["batch"]): near(value)
        for record in timed.records
        for key, value in record.items()
        if isinstance(value, int | float) and key != "batch"
    }
    assert scalars(timed.top / "resnet8") == expected
    assert {("Batch/median_s", 1), ("Batch/throughput", 4), ("Batch/peak_bytes", 1), ("Batch/of_roof", 4)} <= set(
        expected
    )


def test_every_sample_is_in_a_histogram_and_each_process_has_its_own(timed):
    for model in timed.models:
        found = events(timed.top / "resnet8" / f"batch{model['setup']['batch']}")
        (whole,) = found.Histograms("Samples/total_s")
        processes = [[run[0] for run in process["runs_s"]] for process in model["readings"]]
        assert whole.histogram_value.num == sum(whole.histogram_value.bucket) == 80
        assert whole.histogram_value.max == max(map(max, processes))
        parts = found.Histograms("Samples/total_s by process")
        assert [part.step for part in parts] == [1, 2]
        assert [(part.histogram_value.min, part.histogram_value.sum) for part in parts] == [
            (min(values), pytest.approx(sum(values))) for values in processes
        ]
        assert set(found.Tags()["histograms"]) == {"Samples/total_s", "Samples/total_s by process"}


def test_the_setup_stands_beside_the_latency_and_the_graph_is_there(timed):
    for model, record in zip(timed.models, timed.records, strict=True):
        run = timed.top / "resnet8" / f"batch{record['batch']}"
        found = hparams(run)
        wanted = {key: str(v) if isinstance(v, bool) else v for key, v in model["setup"].items() if v is not None}
        assert {key: found[key] for key in wanted} == wanted
        assert (found["model"], found["input"], found["processes"]) == ("resnet8", f"{record['batch']}x3x32x32", 2)
        keys = ("median_s", "p10_s", "p90_s", "peak_bytes", "throughput")
        assert scalars(run) == {(f"latency/{key}", record["batch"]): near(record[key]) for key in keys}
    assert events(timed.top / "resnet8").Graph().node


def test_an_interrupted_measurement_writes_what_there_is_and_says_the_rest(timed):
    assert timed.done.returncode == 130
    where, failure, ended = timed.done.stderr.splitlines()
    assert where.startswith("event files: ")
    assert failure == "resbench: plain8: no more"
    assert ended == "resbench: interrupted after latency of 1 network"


def test_layers_and_memory_are_not_for_tensorboard(tmp_path):
    done = command("latency", "resnet8", "--layers", "--tensorboard", tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "`resbench profile`" in done.stderr


# -- all of them ---------------------------------------------------------------------------------------


def test_the_table_of_hyperparameters_has_the_columns_of_every_command(flowed, trained):
    """TensorBoard's own answer: it takes all of them from one run where that run says which there are."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams.backend_context import Context

    runs = EventMultiplexer()
    for one in (flowed, trained):
        runs.AddRunsFromDirectory(str(one.top), one.top.parent.name)
    runs.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(runs, "")))
    asked = RequestContext()
    experiment = context.experiment_from_metadata(asked, "", True, context.hparams_metadata(asked, ""), [])
    metrics = {(info.name.tag, info.name.group) for info in experiment.metric_infos}
    ends = ("loss", "test_error", "train_error")
    assert {(f"degradation/{key}", "") for key in ends} | {("gradflow/first_to_last", "")} <= metrics
    assert len(metrics) <= 8, "no curve is a column"
    assert {"model", "lr", "seed", "steps", "dtype"} <= {info.name for info in experiment.hparam_infos}


CALLS = {
    "gradflow": ("resnet8", "--steps", "0", "--seeds", "1"),
    "degradation": ("resnet8", "--epochs", "1"),
    "placements": ("--depth", "8", "--epochs", "1"),
    "latency": ("resnet8",),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("place", ["file", "file/board", "link", "taken"])
def test_a_folder_that_cannot_be_written_is_said_before_anything_is_measured(tmp_path, monkeypatch, name, place):
    from resbench import data
    from resbench.timing.latency import measure

    def refuse(*arguments, **options):
        raise AssertionError("it was begun")

    monkeypatch.setattr(data, "load_images", refuse)
    monkeypatch.setattr(data, "load_split", refuse)
    monkeypatch.setattr(measure.Processes, "answer", refuse)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    folder = ("--dir", tmp_path / "runs") if name in ("degradation", "placements") else ()
    done = command(name, *CALLS[name], *folder, "--tensorboard", tmp_path / place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("resbench: cannot make folders in ")
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == (tmp_path / "taken" / name).read_text() == "mine"


def test_a_call_that_measures_nothing_leaves_no_folder(tmp_path):
    done = command("gradflow", "resnet9", "--tensorboard", tmp_path / "board")
    assert done.returncode == 2
    assert not (tmp_path / "board").exists()


def test_calls_of_the_same_second_have_folders_of_their_own(tmp_path):
    flow = Flow("resnet8", (3, 8, 8), (row(0),))
    for _ in range(2):
        board(tmp_path, "gradflow").flows(flows(flow))
    assert sorted(path.name for path in (tmp_path / "gradflow").iterdir()) == ["20260102-030405", "20260102-030405-2"]


def test_names_that_look_alike_as_folders_stay_apart(tmp_path):
    one = board(tmp_path, "gradflow")
    one.flows(flows(*(Flow(name, (3, 8, 8), (row(0),)) for name in ("file:a/b:net", "file:a:b:net", "x" * 300))))
    assert one.failure == ""
    assert sorted(path.name for path in one.folder.iterdir()) == ["file_a_b_net", "file_a_b_net-2", "x" * 120]


def test_numbers_that_are_not_finite_stay_scalars_and_are_left_out_of_histograms(tmp_path):
    values = {"a": nan, "b": inf, "c": 0.0, "d": 100.0, "e": 10.0}
    rows = [row(0, value, name=name) for name, value in values.items()]
    rows += [row(0, nan, "cosine"), row(0, -inf, "first_to_last", "")]
    one = board(tmp_path, "gradflow")
    one.flows(flows(Flow("resnet8", (3, 8, 8), tuple(rows), broken="resnet8, seed 0: loss is nan")))
    run = only(one.folder)
    found = events(run)
    assert isnan(points(run, "gradient/a")[0])
    assert points(run, "gradient/b") == {0: inf}
    assert points(run, "Network/first_to_last") == {0: -inf}
    (held,) = found.Histograms("Places/log10 gradient")
    assert (held.histogram_value.num, held.histogram_value.min, held.histogram_value.max) == (2, 1, 2)
    assert found.Tags()["histograms"] == ["Places/log10 gradient"]
    assert not [tag for tag in events(run / "end").Tags()["scalars"] if not isfinite(points(run / "end", tag)[0])]


@pytest.mark.parametrize("limit", [0, 2000], ids=["from the start", "later"])
def test_a_disk_that_is_full_is_said_at_the_end_in_one_line(tmp_path, capfd, limit):
    from resbench.cli.output import say_where

    one = board(tmp_path, "gradflow")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        one.flows(flows(Flow("resnet8", (3, 8, 8), tuple(row(0, name=f"layer{i}") for i in range(100)))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(OutputError, match=r"cannot write .*gradflow/20260102-030405: File too large"):
        say_where(one)
    assert capfd.readouterr().err == ""
