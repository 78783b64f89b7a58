"""What a sweep asks of a network is what the other commands find of it, cell by cell, and every answer is a row."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product
from math import log

import pandas
import pytest
import torch
from commands import called
from torch import nn

import resbench
from resbench.data import load_images
from resbench.errors import MeasureError, OptionError
from resbench.networks.load import load
from resbench.sweeps import proxies
from resbench.sweeps.answers import answered
from resbench.sweeps.pool import Crew
from resbench.sweeps.questions import QUESTIONS, Cell, How, Place, chosen

SPACE = """
[[networks]]
model = "resnet8"
order = ["original", "full-preact"]
input = "3x8x8"

[[networks]]
model = "plain8"
input = "3x8x8"
"""
NAME = "resnet8,input=3x8x8"


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPACE)
    return str(path)


def cell(question, seed=0, name=NAME, **how):
    return Cell(name, chosen([question])[0], seed, How(**how))


def rows(folder, question):
    found = pandas.read_parquet(folder)
    return found[found["question"] == question].dropna(axis=1, how="all")


def test_the_gradient_is_that_of_gradflow():
    [flow] = resbench.gradflow(NAME, steps=(0,), seeds=2, threads=1).flows
    cells = [answered(cell("gradient", seed)).figures for seed in (0, 1)]
    for name in ("first_to_last", "c1", "effective_rank", "effective_depth", "growth", "loss"):
        assert sum(one[name] for one in cells) / 2 == pytest.approx(flow.record(0)[name], rel=1e-6)
    assert cells[0]["verdict"].split(", ")[0] in ("healthy", "marginal")


def test_the_error_is_that_of_degradation():
    [trained] = resbench.degradation(NAME, "3x8x8", epochs=1, threads=1, dtype="fp32").trainings
    found = answered(cell("error", epochs=1.0)).figures
    assert trained.last
    assert found["test_error"] == trained.last.test_error
    assert found["train_error"] == trained.last.train_error
    assert found["broken"] is None
    assert answered(cell("error", seed=1, epochs=1.0)).figures != found


def test_a_training_that_breaks_is_an_answer():
    found = answered(cell("error", epochs=1.0, lr=1e9))
    assert found.failed == ""
    assert "the loss is" in found.figures["broken"] or "not finite" in found.figures["broken"]
    assert found.figures["test_error"] is None


def test_the_field_is_that_of_its_command():
    [one] = resbench.field(NAME).fields
    assert answered(cell("field")).figures["field"] == max(one.size)


def test_synflow_is_the_output_of_absolute_weights_once_for_each_layer():
    """Without biases every layer has as much of it as the output: no gradient is needed."""
    net = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 4, bias=False)
    )
    net[0].bias = None
    ones = torch.ones(1, 3, 8, 8, dtype=torch.float64)
    maps = nn.functional.conv2d(ones, net[0].weight.detach().double().abs())
    out = maps.flatten(1) @ net[4].weight.detach().double().abs().T
    assert proxies.synflow_log10(net, (3, 8, 8)) == pytest.approx(log(2 * out.sum().item(), 10), rel=1e-12)


def test_naswot_counts_the_relus_that_images_switch_alike():
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3), nn.ReLU()),
        torch.randn(5, 3, 2, 2),
    )
    with torch.no_grad():
        first = net[:3](x)
        codes = torch.cat([first > 0, net(x) > 0], 1).tolist()
    alike = torch.tensor([[float(sum(a == b for a, b in zip(i, j, strict=True))) for j in codes] for i in codes])
    assert proxies.naswot(net, x) == pytest.approx(torch.logdet(alike.double()).item(), rel=1e-9)
    with pytest.raises(MeasureError, match="the network has none"):
        proxies.naswot(nn.Sequential(nn.Flatten(), nn.Linear(12, 7)), x)
    with pytest.raises(MeasureError, match="on and off for several images alike"):
        proxies.naswot(net, torch.cat([x, x[:1]]))


def test_a_network_whose_answer_no_image_changes_has_rows_that_say_so(tmp_path):
    edges = "".join(f'{edge} = "none"\n' for edge in ("e01", "e02", "e12", "e03", "e13", "e23"))
    path = tmp_path / "dead.toml"
    path.write_text(f'[[networks]]\nmodel = "nasbench201"\ncells = 1\nwidth = 4\ninput = "3x8x8"\n{edges}')
    resbench.sweep(str(path), grid=True, metrics=["c1", "synflow", "naswot", "gradnorm"], folder=tmp_path / "out")
    assert rows(tmp_path / "out", "cost")["macs"].item() > 0
    assert rows(tmp_path / "out", "gradient")["verdict"].item() == "no-gradient"
    assert rows(tmp_path / "out", "gradnorm")["gradnorm"].item() == 0
    assert "SynFlow is 0" in rows(tmp_path / "out", "synflow")["failed"].item()
    assert "several images alike" in rows(tmp_path / "out", "naswot")["failed"].item()


def test_gradnorm_is_the_sum_over_layers():
    torch.manual_seed(0)
    net, x, labels = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.randn(4, 3, 2, 2), torch.tensor([0, 1, 2, 1])
    flat, p = x.flatten(1), torch.softmax(net(x), 1).detach()
    p[torch.arange(4), labels] -= 1
    assert proxies.gradnorm(net, x, labels, 3) == pytest.approx((p.T @ flat / 4).norm().item(), rel=1e-5)


def test_a_key_says_all_that_the_answer_depends_on_and_no_more():
    error, c1 = cell("error"), cell("c1")
    assert error.key == cell("test_error").key != cell("error", seed=1).key
    assert error.key != cell("error", epochs=9.0).key
    assert cell("synflow").question.name == cell("synflow_log10").question.name == "synflow"
    assert cell("synflow", device="cuda").device == "cpu", "it does not run there, and its row does not say so"
    assert c1.key == cell("c1", epochs=9.0).key == cell("effective_rank").key == cell("rank").key
    assert c1.key != cell("c1", name="plain8").key
    here, there = Place("cpu", 2, "torch 2", "a"), Place("cpu", 2, "torch 2", "b")
    timed = [replace(cell("latency:onnxruntime", None), place=place).key for place in (here, there)]
    assert timed[0] != timed[1]
    assert error.recipe == "8 epochs of batches of 128, lr 0.1, on digits, fp32"
    assert cell("field").recipe == ""


def test_what_is_asked_again_is_not_done_again_and_more_seeds_are_more_rows(space, tmp_path):
    folder = tmp_path / "out"
    first = resbench.sweep(space, 3, metrics=["c1", "naswot"], folder=folder)
    assert [(one.question, one.cells, one.done) for one in first.questions] == [("gradient", 3, 3), ("naswot", 3, 3)]
    more = resbench.sweep(space, 3, metrics=["gradient", "synflow"], seeds=2, folder=folder)
    asked = {one.question: (one.cells, one.earlier, one.done) for one in more.questions}
    assert asked == {"gradient": (6, 3, 3), "synflow": (6, 0, 6)}
    found = rows(folder, "gradient")
    assert len(found) == 6
    assert set(found["seed"]) == {0, 1}
    assert set(found["threads"]) == {1}
    assert found["versions"].str.startswith("torch ").all()
    assert set(found["option_order"].dropna()) == {"original", "full-preact"}
    assert more.rows == 3 + 6 + 3 + 6
    [c1] = [one for one in more.spreads if one.figure == "c1"]
    assert (c1.least, c1.most) == (found["c1"].min(), found["c1"].max())


def test_several_processes_give_the_same_answers_by_one_thread_each(space, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    resbench.sweep(space, 3, metrics=["c1", "gradnorm"], folder=one)
    resbench.sweep(space, 3, metrics=["c1", "gradnorm"], folder=two, processes=2)
    for question, figure in (("gradient", "c1"), ("gradnorm", "gradnorm")):
        a, b = (rows(folder, question).set_index("key") for folder in (one, two))
        assert a[figure].to_dict() == b[figure].to_dict()
        assert set(b["threads"]) == {1}


def test_a_cell_that_fails_is_a_row_with_its_reason(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[networks]]\nmodel = ["x"]\n'.replace('["x"]', '"efficientnet_b0"') + 'input = ["3x32x32"]\n')
    done = called("sweep", str(path), "-n", "1", "--dir", str(tmp_path / "out"), "--metrics", "naswot,gradnorm")
    assert done.returncode == 0, done.stderr
    assert "naswot: 1 of 1 cell failed, the last one thus: NASWOT counts the ReLUs" in done.stdout + done.stderr
    [reason] = rows(tmp_path / "out", "naswot")["failed"]
    assert reason.endswith("the network has none")
    assert rows(tmp_path / "out", "gradnorm")["gradnorm"].iloc[0] > 0


def dies(number):
    if number == 3:
        os._exit(9)
    return 10 * number


def test_a_process_that_dies_takes_nothing_but_its_own_cell_along():
    with Crew(2) as crew:
        found = dict(crew.each(dies, range(8), lambda one: -1))
        again = dict(crew.each(dies, range(8, 10), lambda one: -1))
    assert found == {**{one: 10 * one for one in range(8)}, 3: -1}
    assert again == {8: 80, 9: 90}, "and others take its place"


def test_ctrl_c_in_the_middle_of_a_cell_ends_at_once_and_keeps_what_is_done(space, tmp_path):
    folder = tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "resbench", "sweep", space, "-n", "3", "--metrics", "naswot,error"),
            *("--epochs", "1000", "--dir", folder, "--processes", "2"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline, waiting = time.monotonic() + 100, tmp_path / ".out.waiting"
    while time.monotonic() < deadline and len(seen(folder, waiting)) < 6:
        time.sleep(0.2)
    time.sleep(1)
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert time.monotonic() - begun < 30
    assert err.decode().splitlines()[-1].startswith("resbench: interrupted after ")
    assert b"Traceback" not in err
    assert len(rows(folder, "naswot")) == 3
    assert not waiting.exists()


def seen(folder, waiting):
    import pyarrow

    parts = [*folder.glob("*.parquet")]
    done = sum(len(pandas.read_parquet(part)) for part in parts)
    if not waiting.exists():
        return [None] * done
    try:
        with pyarrow.ipc.open_stream(waiting.read_bytes()) as stream:
            return [None] * (done + sum(batch.num_rows for batch in stream))
    except (pyarrow.ArrowInvalid, OSError):
        return [None] * done


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("errr", "did you mean error"),
        ("latency:onyx", "no runtime is called 'onyx'"),
        ("error:eager", "latency alone takes a runtime"),
        ("c1,", "--metrics takes words with commas between"),
        ("", "--metrics takes words with commas between"),
    ],
)
def test_a_metric_that_no_command_gives_is_one_line(words, said, space, tmp_path):
    done = called("sweep", space, "-n", "1", "--dir", str(tmp_path / "out"), "--metrics", words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("epochs", ["0", "-1", "nan", "inf", "0.01"])
def test_epochs_are_checked_before_anything_is_drawn(epochs, space, tmp_path):
    for more in ([], ["--dry-run"]):
        words = ["--metrics", "error", "--epochs", epochs, *more]
        done = called("sweep", space, "-n", "1", "--dir", str(tmp_path / "out"), *words)
        assert done.returncode == 2
        assert "--epochs takes a number from 0.1 to 1,000,000" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_wrong_folder_of_images_leaves_nothing_and_another_one_is_asked_anew(space, tmp_path):
    from PIL import Image

    for name, colour in (("one", (255, 0, 0)), ("two", (0, 255, 0))):
        for part, label, count in product(("train", "test"), "ab", range(40)):
            place = tmp_path / name / part / label
            place.mkdir(parents=True, exist_ok=True)
            shade = tuple(max(0, value - 5 * count - 20 * (label == "b")) for value in colour)
            Image.new("RGB", (8, 8), shade).save(place / f"{count}.png")
    found, out = [], tmp_path / "out"
    with pytest.raises(resbench.ResbenchError):
        resbench.sweep(space, 1, metrics=["gradnorm"], folder=out, data="folder", root=tmp_path / "none")
    assert not out.exists()
    for name in ("one", "two", "one"):
        asked = resbench.sweep(space, 1, metrics=["gradnorm"], folder=out, data="folder", root=tmp_path / name)
        found.append((asked.questions[0].earlier, asked.questions[0].done))
    assert found == [(0, 1), (0, 1), (1, 0)]


def test_a_file_that_changes_makes_other_networks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "import resbench\ndef net(): return resbench.arch('resnet8').body\n"
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "mine.toml").write_text('[[networks]]\nmodel = "file:mine.py:net"\ninput = "3x8x8"\n')
    assert called("sweep", "mine.toml", "-n", "1", "--dir", "out").returncode == 0
    (tmp_path / "mine.py").write_text(code.replace("resnet8", "resnet14"))
    assert called("sweep", "mine.toml", "-n", "1", "--dir", "out").returncode == 0
    assert sorted(pandas.read_parquet("out")["depth"]) == [8, 14]


def test_data_and_device_are_checked_before_anything_is_drawn(space, tmp_path):
    with pytest.raises(OptionError, match="--data takes"):
        resbench.sweep(space, 1, metrics=["error"], folder=tmp_path / "out", data="digit")
    with pytest.raises(MeasureError, match=r"no CUDA here|no cuda:99"):
        resbench.sweep(space, 1, metrics=["error"], folder=tmp_path / "out", device="cuda:99")
    assert not (tmp_path / "out").exists()


def test_a_latency_is_of_this_machine_and_alone(space, tmp_path, quick):
    found = resbench.sweep(space, 1, metrics=["latency:onnxruntime"], folder=tmp_path / "out", processes=2)
    [row] = rows(tmp_path / "out", "latency:onnxruntime").to_dict("records")
    assert row["latency_s"] > 0
    assert "onnxruntime " in row["versions"]
    assert row["machine"]
    assert found.questions[0].done == 1


def test_images_are_the_first_batch_of_the_seed():
    x, labels = load_images("digits").batch(64, 0, 1, (3, 8, 8))
    net = load(NAME, seed=1).module
    assert answered(cell("gradnorm", 1)).figures["gradnorm"] == pytest.approx(
        proxies.gradnorm(net, x, labels, 10), rel=1e-4
    )
    assert {*QUESTIONS} >= {"cost", "field", "gradient", "error", "latency"}


def test_what_wrote_over_the_output_of_a_bn_writes_over_nothing_without_it():
    name = "resnet14,shortcut=exclusive-gate,order=full-preact,se=16,input=3x8x8"
    assert answered(cell("synflow", name=name)).failed == ""


INTERRUPTED = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 10)

    def forward(self, x):
        if x.device.type != "meta":
            raise KeyboardInterrupt
        return self.fc(torch.relu(self.first(x)).mean((2, 3)))
"""


def test_a_gradient_that_was_interrupted_is_no_answer(tmp_path):
    (tmp_path / "net.py").write_text(INTERRUPTED)
    cell = Cell(f"file:{tmp_path / 'net.py'}:Net,input=3x16x16", chosen(["gradient"])[0], 0, How())
    with pytest.raises(KeyboardInterrupt):
        answered(cell)
