"""What the public functions are given is checked before anything runs, and refused in one line."""

from pathlib import Path

import pytest
import torch

import resbench
from resbench.errors import ResbenchError

LONG = "x" * 5000
PAIR = ["resnet20", "plain20"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        *((lambda f=f: f([]), "expected the names of models, such as 'resnet50', or models; received none")
          for f in (resbench.flops, resbench.latency, resbench.gradflow, resbench.memory, resbench.degradation)),
        *((lambda f=f: f(None), "received NoneType")
          for f in (resbench.flops, resbench.show, resbench.latency, resbench.layers, resbench.gradflow)),
        (lambda: resbench.memory(["resnet20", 5]), "received int"),
        *((lambda f=f, b=b: f("resnet20", batch=b), f"expected batch of at least 1, a whole number; received {b}")
          for f in (resbench.flops, resbench.latency, resbench.memory, resbench.gradflow, resbench.degradation)
          for b in (None, 1.5, 0, True)),
        (lambda: resbench.latency("resnet20", batch=[]), "received none"),
        (lambda: resbench.latency("resnet20", batch=[1, 0]), "received 0"),
        (lambda: resbench.latency("resnet20", processes=0), "expected processes of at least 1"),
        (lambda: resbench.latency("resnet20", threads=1.5), "expected threads of at least 1"),
        (lambda: resbench.latency("resnet20", device=None), "--device takes cpu, cuda, cuda:INDEX or mps"),
        (lambda: resbench.gradflow("resnet20", seeds=0), "expected seeds of at least 1"),
        (lambda: resbench.gradflow("resnet20", steps=(0, 1.5)), "expected steps of at least 0"),
        (lambda: resbench.gradflow("resnet20", lr=None), "expected lr to be a number"),
        (lambda: resbench.gradflow("resnet20", data="cifar10", root="absent"), "no CIFAR-10 in absent"),
        (lambda: resbench.degradation("resnet20", seeds=0), "expected seeds of at least 1"),
        (lambda: resbench.degradation("resnet20", folder=5), "expected folder to be a path"),
        (lambda: resbench.degradation("resnet20", epochs="x"), "expected epochs to be a number"),
        (lambda: resbench.placements(None), "expected depth of at least 1"),
        (lambda: resbench.claims(5), "expected ids in a list"),
        (lambda: resbench.gate(suite=5), "expected suite to be a path"),
        (lambda: resbench.profile("resnet20", trace=5), "expected trace to be a path"),
        (lambda: resbench.compare(PAIR, device="gpu"), "--device takes cpu"),
        (lambda: resbench.report("resnet20", parts=["cost"], device="gpu"), "--device takes cpu"),
        (lambda: resbench.build(5), "expected a model's name"),
        (lambda: resbench.load(5), "expected path to be a path"),
        (lambda: resbench.load(LONG), "File name too long"),
        (lambda: resbench.flops(f"file:{LONG}.py:net"), "is there"),
        (lambda: resbench.flops(f"pt2:{LONG}"), "no file"),
        (lambda: resbench.flops(f"resnet20,weights={LONG}"), "no file"),
        (lambda: resbench.gradflow("resnet20", data="cifar10", root=LONG), "no CIFAR-10 in"),
        (lambda: resbench.flops("resnet20").save(f"{LONG}.json"), "cannot write"),
    ],
)  # fmt: skip
def test_what_does_not_go_is_refused_in_one_line(call, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResbenchError) as caught:
        call()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [*Path.cwd().iterdir()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_here_builds_nothing():
    with pytest.raises(ResbenchError, match="cannot build resnet20 on cuda: "):
        resbench.build("resnet20", device="cuda")


def test_a_device_of_torch_and_a_path_as_text_do():
    assert next(resbench.build("resnet20", device=torch.device("meta")).parameters()).is_meta
    found = resbench.gradflow("resnet8", seeds=1, steps=[0], batch=4, device=torch.device("cpu"))
    assert found.recipe.device == "cpu" and found.recipe.steps == (0,)


def test_spaces_around_options_are_none(cli):
    assert resbench.flops(" resnet20 , width = 2 ").costs[0].model == "resnet20,width=2"
    assert resbench.arch("resnet20, width=2").name == "resnet20,width=2"
    assert cli("flops", "resnet20, width=2").returncode == 0


@pytest.mark.parametrize("command", [["compare", "resnet20", "plain20"], ["report", "resnet20", "--parts", "cost"]])
def test_a_device_that_there_is_nowhere_is_refused_where_nothing_runs_on_it(cli, command):
    done = cli(*command, "--device", "gpu")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "--device takes cpu, cuda, cuda:INDEX or mps; received 'gpu'" in done.stderr
