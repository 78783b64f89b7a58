"""Expressions and architectures out of a user's file: they get what a name of the catalog gets."""

import json
import subprocess
import sys

import pytest
import torch

from resbench.cli.main import main
from resbench.costs.measure import cost, verified
from resbench.errors import SourceError
from resbench.networks import modules
from resbench.networks.load import load

NETS = """
from resbench.arch import *

def block(c):
    branch = Seq(conv1=Conv2d(c, c, 3, padding=1), bn1=BatchNorm2d(c), relu=ReLU(), conv2=Conv2d(c, c, 3, padding=1))
    return Add(branch, Identity())

def net(width=8):
    stages = stack(block(width), block(width))
    return Seq(conv=Conv2d(3, width, 3), stage=stages, pool=GlobalAvgPool(), flat=Flatten(), fc=Linear(width, 10))

def small(): return architecture("resnet8")
whole = net()
def table(): return {"conv": 1}
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    (tmp_path / "resbench_test_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    return f"file:{tmp_path}/resbench_test_nets.py"


def output(capsys, *words):
    with pytest.raises(SystemExit) as caught, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["resbench", *map(str, words)])
        main()
    done = capsys.readouterr()
    return caught.value.code, done.out, done.err


def test_a_factory_may_give_an_expression_or_an_architecture(nets):
    assert cost(f"{nets}:net").input == (1, 3, 224, 224)
    assert cost(f"{nets}:net,width=16,input=3x10x10").params == cost(f"{nets}:net,width=16").params
    assert cost(f"{nets}:whole", "3x10x10").macs == cost("resbench_test_nets:net", "3x10x10").macs
    small, catalogued = cost(f"{nets}:small"), cost("resnet8")
    assert (small.layers, small.input) == (catalogued.layers, catalogued.input)
    assert cost(f"{nets}:small,input=3x64x64").macs == cost("resnet8", "3x64x64").macs
    assert small.model == f"{nets}:small"


def test_its_module_is_built_from_the_seed(nets):
    first, again, other = (load(f"{nets}:net", seed=seed).module.conv.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_counters_hold_it_together(nets):
    for name in (f"{nets}:net,input=3x12x12", f"{nets}:small"):
        check = verified(name)
        assert check.agrees
        assert all(line.verdict == "equal" and line.fold is not None for line in check.lines)


def test_show_tells_its_structure_and_draws_it(nets, tmp_path, capsys):
    code, out, _ = output(capsys, "show", f"{nets}:net", "--input", "3x12x12", "-f", "json")
    shown = json.loads(out)
    assert code == 0
    assert shown["input"] == [1, 3, 12, 12]
    assert {key: shown["blocks"][1][key] for key in ("name", "repeat")} == {"name": "stage.0-1", "repeat": 2}
    assert shown["blocks"][1]["structure"] == "[3x3, 8; BN; ReLU; 3x3, 8] + x"
    assert output(capsys, "show", f"{nets}:net", "--expression")[1].startswith(f"{nets}:net = Seq(")
    assert output(capsys, "show", f"{nets}:small", "--svg", tmp_path / "small.svg")[0] == 0
    assert output(capsys, "show", "resnet8", "--svg", tmp_path / "resnet8.svg")[0] == 0
    drawn = (tmp_path / "small.svg").read_text().replace(f"{nets}:small", "resnet8")
    assert drawn.count("<rect") == (tmp_path / "resnet8.svg").read_text().count("<rect")


def test_its_gradient_flow_sees_the_sums(nets):
    from resbench import gradflow

    net = load(f"{nets}:net").module
    assert any(isinstance(module, modules.Add) for module in net.modules())
    options = {"input": "3x8x8", "steps": (0,), "seeds": 1, "batch": 8}
    flow, bare = (gradflow(f"{nets}:net", norm=norm, **options) for norm in ("bn", "none"))
    statistics = {row.statistic for row in flow.rows}
    assert "strength" in statistics
    assert bare.model == f"{nets}:net,input=3x8x8 without BN"
    small, catalogued = (gradflow(name, **options) for name in (f"{nets}:small", "resnet8"))
    assert [row.value for row in small.rows] == [row.value for row in catalogued.rows]


def test_it_trains(nets, tmp_path):
    from resbench.training.degradation import Plan, study
    from resbench.training.train import Options

    ours, catalogs = study([f"{nets}:small", "resnet8"], Plan(epochs=0.2), Options()).trainings
    assert ours.finished
    assert [epoch.train_error for epoch in ours.history] == [epoch.train_error for epoch in catalogs.history]


def test_what_is_neither_is_one_line(nets, capsys):
    code, _, err = output(capsys, "flops", f"{nets}:table")
    assert code == 2
    assert err.count("\n") == 1
    assert "expected a torch.nn.Module, an Architecture or an expression, received dict; make the factory" in err
    with pytest.raises(SourceError, match="whole is an expression, not a factory: it takes no width"):
        load(f"{nets}:whole,width=3")


def test_folding_a_file_needs_no_torch(nets):
    code = (
        "import sys; from resbench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'pandas', 'numpy'} & set(sys.modules)"
    )
    for command in (["flops"], ["show"], ["show", "--expression"]):
        done = subprocess.run([sys.executable, "-c", code, *command, f"{nets}:net"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
