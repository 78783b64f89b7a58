"""`--input` in every command that runs a model: several, by name, and what is wrong with them, a line each."""

import pytest

NETS = """
import torch
from torch import nn

class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.fc = nn.Embedding(100, 8), nn.Linear(8, 5)

    def forward(self, ids, mask):
        return self.fc(self.emb(ids)) * mask[..., None]

class Keyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 10)

    def forward(self, *, pixel_values):
        return self.fc(self.conv2(self.conv1(pixel_values).relu()).mean((2, 3)))
"""
INPUT = ("--input", "ids=4:int64", "--input", "mask=4:bool")


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return "file:nets.py:Tokens"


@pytest.mark.parametrize(
    "command",
    [
        ["flops", "--strict"],
        ["flops", "--mode", "training"],
        ["show"],
        ["show", "--svg", "net.svg"],
        ["latency", "--processes", "1"],
        ["latency", "--processes", "1", "--tensorboard", "board"],
        ["latency", "--layers"],
        ["latency", "--memory"],
        ["latency", "--memory", "--fits", "1MB"],
        ["profile", "--trace", "runs", "--steps", "1"],
        ["compare", "file:nets.py:Tokens,input=ids=8:int64,input=mask=8:bool"],
        ["report", "--parts", "cost,layers", "-o", "page.html"],
    ],
    ids=" ".join,
)
def test_every_command_that_runs_a_model_takes_several_inputs(cli, nets, quick, command):
    inputs = () if command[0] == "compare" else INPUT
    name = nets if inputs else f"{nets},input=ids=4:int64,input=mask=4:bool"
    done = cli(command[0], name, *command[1:], *inputs)
    assert done.returncode == 0, done.stderr
    assert "no graph" not in done.stderr


def test_an_image_by_name_is_trained_on(cli, nets):
    done = cli("gradflow", "file:nets.py:Keyword", "--input", "pixel_values=3x16x16", "--seeds", "1", "--steps", "0")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--input", "ids=4:int6"], "there is no type 'int6' in 'ids=4:int6'; did you mean int64?"),
        (["--input", "ids=4", "--input", "ids=4"], "two inputs are called 'ids'; keep one"),
        (["--input", "4", "--input", "ids=4"], "expected all inputs with their names or none"),
    ],
)
@pytest.mark.parametrize("command", [["flops"], ["show"], ["latency"], ["gradflow"], ["profile", "--trace", "runs"]])
def test_an_input_that_is_none_is_refused_once(cli, nets, command, wrong, says):
    done = cli(*command, nets, *wrong)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert says in done.stderr


def test_what_one_model_does_not_take_leaves_the_lines_of_the_others(cli, nets):
    done = cli("flops", f"{nets},input=words=4:int64", "resnet20", f"{nets},input=ids=4:int66", f"{nets},input=3x8x8")
    assert done.returncode == 2
    assert "40,551,040" in done.stdout
    first, second, third = sorted(done.stderr.splitlines(), key=lambda line: ("3x8x8" in line, "int66" in line))
    assert "its forward has no input 'words'; expected one of ids, mask" in first
    assert "there is no type 'int66'" in second
    assert "given 1x3x8x8; say what forward(ids, mask) takes as --input ids=" in third


def test_an_input_in_the_name_is_not_overruled_without_a_word(cli, nets):
    done = cli("flops", "resnet20,input=3x64x64", "resnet20", "--input", "3x32x32")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "resnet20,input=3x64x64 says its input, and --input says 3x32x32: keep one of them" in done.stderr
    assert cli("flops", "resnet20,input=3x64x64", "--input", "3x64x64").returncode == 0
