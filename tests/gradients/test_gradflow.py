"""`resbench gradflow` and the numbers of residual learning that it must find again."""

import csv
import io
import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from resbench.data import load_images
from resbench.errors import MeasureError, OptionError
from resbench.gradients.measure import flow
from resbench.gradients.result import FlowRecipe
from resbench.gradients.statistics import STATISTICS
from resbench.gradients.verdicts import Thresholds, verdicts
from resbench.networks.build import build

STEP0 = FlowRecipe(steps=(0,), seeds=1)


@pytest.fixture
def run(cli):
    return partial(cli, "gradflow")


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def numbers(found, statistic, step=0):
    return [row.value for row in found.rows if row.statistic == statistic and row.step == step]


@pytest.fixture(scope="module")
def pair(digits):
    """The question that the command is named for."""
    return {name: flow(name, digits, STEP0) for name in ("plain56", "resnet56")}


def test_the_gradient_of_plain56_explodes_towards_the_input_and_that_of_resnet56_does_not(pair):
    plain, residual = (numbers(pair[name], "first_to_last")[0] for name in ("plain56", "resnet56"))
    assert 3e3 < plain < 1e5
    assert 20 < residual < 100
    words = {name: [v.word for v in verdicts(found, Thresholds())] for name, found in pair.items()}
    assert words == {"plain56": ["exploding", "over-stepping", "shattered"], "resnet56": ["healthy", "intact"]}


def test_the_two_paths_of_a_residual_sum_are_nearly_orthogonal_at_the_start(pair):
    cosines = numbers(pair["resnet56"], "cosine")
    assert len(cosines) == 27
    assert max(map(abs, cosines)) < 0.1
    assert not numbers(pair["plain56"], "cosine")


def test_plain_and_residual_stand_at_the_same_depths(pair):
    places = [[(row.name, row.depth) for row in found.rows if row.statistic == "gradient"] for found in pair.values()]
    assert places[0] == places[1]
    assert len(places[0]) == 28


def test_after_some_steps_the_norms_of_plain56_look_healthy_and_its_early_layers_are_frozen(digits):
    found = flow("plain56", digits, FlowRecipe(steps=(0, 5), seeds=1), input="3x16x16")
    by_step = {step: [v.word for v in verdicts(found, Thresholds()) if v.step == step] for step in (0, 5)}
    assert "exploding" in by_step[0]
    assert {"healthy", "frozen"} <= set(by_step[5])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain56", "resnet56"])
def test_the_verdicts_of_ten_seeds_agree(digits, name):
    found = flow(name, digits, FlowRecipe(steps=(0,), seeds=10))
    words = {
        tuple(
            v.word for v in verdicts(replace(found, rows=tuple(r for r in found.rows if r.seed == seed)), Thresholds())
        )
        for seed in range(10)
    }
    assert len(words) == 1, words


def test_without_bn_resnet_explodes(digits):
    (r,) = numbers(flow("resnet56", digits, STEP0, norm="none", input="3x16x16"), "first_to_last")
    assert r > 1e3


def test_any_networks_bn_can_be_taken_out(digits, tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    name, small = f"file:{tmp_path}/nets.py:normed", FlowRecipe(steps=(0,), seeds=1, batch=4)
    assert len(numbers(flow(name, digits, small, input="3x8x8"), "deviation")) == 2
    found = flow(name, digits, small, input="3x8x8", norm="none")
    assert found.model.endswith("without BN")
    assert not numbers(found, "deviation")
    assert numbers(found, "gradient")


def test_a_seed_gives_the_same_numbers_again_and_another_other_ones(digits):
    one, two = (flow("resnet8", digits, FlowRecipe(steps=(0, 2), seeds=2, batch=8)) for _ in range(2))
    assert one.rows == two.rows
    values = numbers(one, "first_to_last")
    assert values[0] != values[1]


def test_dropout_is_drawn_from_the_seed_and_from_nothing_else(digits):
    recipe = FlowRecipe(steps=(0, 1), seeds=1, batch=8)
    one = flow("resnet8,shortcut=dropout", digits, recipe)
    before = torch.get_rng_state()
    assert one.rows == flow("resnet8,shortcut=dropout", digits, recipe).rows
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("factory", ["mlp", "lazy", "double"])
def test_networks_without_convolutions_of_unknown_size_and_of_other_precision(digits, tmp_path, factory):
    (tmp_path / "nets.py").write_text(CODE)
    found = flow(f"file:{tmp_path}/nets.py:{factory}", digits, FlowRecipe(steps=(0,), seeds=1), input="3x8x8")
    assert len(numbers(found, "gradient")) == 2
    assert numbers(found, "first_to_last")[0] > 0


def test_deep_adds_the_jacobian_of_every_block(digits):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = flow("resnet8", digits, FlowRecipe(steps=(0,), seeds=1, batch=4, deep=True))
    assert len(numbers(found, "sigma_max")) == len(numbers(found, "energy")) == 3
    assert all(value >= 1 for value in numbers(found, "sigma_max"))


def test_what_is_not_finite_is_named_with_its_step_and_the_rows_so_far_stay(digits):
    found = flow("plain20,norm=none", digits, FlowRecipe(steps=(0, 1, 2, 3), seeds=1, batch=8, lr=1e20))
    assert "seed 0" in found.broken
    assert "step" in found.broken
    assert found.steps[0] == 0
    assert numbers(found, "gradient")


def test_the_command_prints_depth_networks_and_verdicts(run):
    done = run("plain20", "resnet20", "--steps", "0", "--seeds", "1", "--batch", "16")
    assert done.returncode == 0, done.stderr
    for words in ("plain20 @0", "resnet20 @0", "Activation gradient", "Update ratio", "plain20: healthy at step 0"):
        assert words in done.stdout
    assert "\x1b" not in done.stdout
    assert "||dL/dx|| by depth" in done.stdout


def test_csv_has_every_number_and_json_the_verdicts(run, tmp_path):
    options = ("resnet20", "--steps", "0", "--seeds", "2", "--batch", "4", "--input", "3x8x8")
    done = run(*options, "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["seed"] for row in rows} == {"0", "1"}
    assert {row["statistic"] for row in rows} <= set(STATISTICS)
    assert sum(row["statistic"] == "ratio" for row in rows) == 2 * 9
    done = run(*options, "-o", str(tmp_path / "flow.json"))
    document = json.loads((tmp_path / "flow.json").read_text())
    assert (document["schema"], document["kind"]) == (2, "gradflow")
    assert document["recipe"]["batch"] == 4
    (model,) = document["flows"]
    assert model["verdicts"][0]["step"] == 0
    assert len(model["rows"]) == len(rows)


def test_a_gate_fails_on_the_verdicts_that_it_names(run):
    options = ("plain20", "--steps", "0", "--seeds", "1", "--batch", "8", "--threshold", "exploding=2")
    assert run(*options).returncode == 0
    done = run(*options, "--fail-on", "exploding,frozen")
    assert done.returncode == 1
    assert "resbench: plain20: exploding at step 0" in done.stderr
    assert "plain20" in done.stdout


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("html", b"<")])
def test_charts_are_files_of_their_kind(run, tmp_path, suffix, start):
    path = tmp_path / f"flow.{suffix}"
    done = run("resnet8", "--steps", "0,1", "--seeds", "1", "--batch", "4", "--input", "3x8x8", "--plot", str(path))
    assert done.returncode == 0, done.stderr
    data = path.read_bytes()
    assert data.lstrip().startswith(start)
    if suffix == "html":
        assert b"<script src=" not in data  # nothing is loaded from elsewhere
    if suffix == "svg":
        assert b"Lengths of the paths" in data


CODE = """
import torch
from torch import nn

class Dead(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(64, 8), nn.Linear(8, 10)
        nn.init.zeros_(self.d.weight)
    def forward(self, x):
        return self.d(self.c(self.b(self.a(x).relu()).relu().flatten(1)))

class NoCopy(Dead):
    def __init__(self):
        super().__init__()
        nn.init.normal_(self.d.weight)
    def __deepcopy__(self, memo): raise TypeError("not me")

class Out(Dead):
    def __init__(self):
        super().__init__()
        nn.init.normal_(self.d.weight)
    def forward(self, x): return {"features": super().forward(-x), "logits": super().forward(x)}

class In(Out):
    def forward(self, x): return Dead.forward(self, x)

instance = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))
def cached(): return instance

def maps(): return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
def one(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
def none(): return nn.Sequential(nn.Flatten(), nn.ReLU())
def chain(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(),
                                  nn.Linear(64, 10))
def mlp(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
                                nn.Linear(32, 10))
def lazy(): return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(),
                                 nn.LazyLinear(10))
def double(): return chain().double()
def normed(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3),
                                   nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))
"""

BAD = {
    ("resnet20", "--steps", "x"): "--steps takes",
    ("resnet20", "--steps", "1,-1"): "--steps takes",
    ("resnet20", "--batch", "1798"): "digits has 1797 images",
    ("resnet20", "--lr", "0"): "--lr takes a number above 0",
    ("resnet20", "--lr", "nan"): "--lr takes a number above 0",
    ("resnet20", "--data", "imagenet"): "--data takes digits, cifar10",
    ("resnet20", "--data", "cifar10"): "needs --data-root",
    ("resnet20", "--norm", "ln"): "--norm takes bn, none",
    ("resnet20", "--stat", "gradeint"): "did you mean gradient",
    ("resnet20", "--fail-on", "boom"): "--fail-on takes",
    ("resnet20", "--threshold", "loud=3"): "--threshold takes",
    ("resnet20", "--plot", "x.gif"): "--plot takes a file",
    ("resnet20", "--device", "tpu"): "--device takes cpu",
    ("resent20",): "did you mean",
    ("basic_block", "--batch", "8", "--seeds", "1"): "expected logits",
    ("resnet20", "--steps", "²"): "--steps takes",
    ("resnet20", "--steps", "1" * 5000): "--steps takes",
    ("resnet20", "--stat", "growth"): "--stat takes",
    ("resnet20", "--fail-on", ","): "--fail-on takes",
    ("resnet20", "--threshold", "exploding=nan"): "--threshold",
    ("file:nets.py:maps", "--input", "3x8x8"): "expected logits",
    ("file:nets.py:one", "--input", "3x8x8"): "fewer than two boundaries",
    ("file:nets.py:none", "--input", "3x8x8"): "no parameter to train",
    (): "expected a model",
}


@pytest.mark.parametrize("arguments", BAD, ids=lambda words: " ".join(words)[:60])
def test_bad_input_is_one_line_and_exit_2(run, tmp_path, monkeypatch, arguments):
    (tmp_path / "nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert BAD[arguments] in done.stderr


def test_a_chain_without_sums_has_blank_paths_and_it_is_said(run, tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    done = run(f"file:{tmp_path}/nets.py:chain", "--input", "3x8x8", "--steps", "0", "--seeds", "2")
    assert done.returncode == 0, done.stderr
    assert "No residual sum that could be split" in done.stdout


def test_numbers_that_overflow_end_the_run_with_exit_1_and_the_rows_so_far(run, tmp_path):
    options = ("--norm", "none", "--seeds", "1", "--batch", "8", "--lr", "1000", "--steps", "0,1,2,3,4,5,6")
    done = run("resnet20", *options, "-o", str(tmp_path / "flow.json"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "step" in done.stderr
    text = (tmp_path / "flow.json").read_text()
    document = json.loads(text, parse_constant=pytest.fail)  # no NaN, no Infinity
    assert document["flows"][0]["broken"]
    assert document["flows"][0]["rows"]


def test_a_gate_does_not_pass_what_it_cannot_judge(run, tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    options = (f"file:{tmp_path}/nets.py:Dead", "--input", "3x8x8", "--steps", "0", "--seeds", "1")
    assert run(*options).returncode == 0
    done = run(*options, "--fail-on", "exploding")
    assert done.returncode == 1
    assert "no-gradient at step 0" in done.stderr


def test_a_network_that_cannot_be_copied_goes_without_what_needs_a_copy(digits, tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    found = flow(f"file:{tmp_path}/nets.py:NoCopy", digits, FlowRecipe(steps=(0,), seeds=2), input="3x8x8")
    assert numbers(found, "gradient")
    assert not numbers(found, "c1")
    assert "not me" in found.skipped[0]


def test_the_logits_of_a_dictionary_are_the_logits(digits, tmp_path):
    (tmp_path / "nets.py").write_text(CODE)
    out, plain = (flow(f"file:{tmp_path}/nets.py:{n}", digits, STEP0, input="3x8x8") for n in ("Out", "In"))
    # "features" has the logits' shape here, and counts as an auxiliary head: 0.3 of its own loss
    assert numbers(out, "loss")[0] > numbers(plain, "loss")[0]
    assert numbers(out, "c1") == pytest.approx(numbers(plain, "c1"))


def test_a_factory_that_gives_one_module_again_and_again_gives_every_seed_its_first_weights(
    digits, tmp_path, monkeypatch
):
    (tmp_path / "held_nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    found = flow("held_nets:cached", digits, FlowRecipe(steps=(0, 3), seeds=2), input="3x8x8")
    weights = [row.value for row in found.rows if row.statistic == "weight" and row.step == 0 and row.name == "0"]
    assert weights[0] == weights[1]


def test_one_network_that_fails_does_not_take_the_others_rows(run):
    done = run("resnet8", "basic_block", "--steps", "0", "--seeds", "1", "--batch", "8")
    assert done.returncode == 2
    assert "resnet8: healthy" in done.stdout
    assert "basic_block: expected logits" in done.stderr


def test_a_chart_of_nothing_is_one_line(run, tmp_path):
    options = ("--steps", "5", "--lr", "1e30", "--seeds", "1", "--batch", "8", "--plot", str(tmp_path / "x.png"))
    done = run("plain20,norm=none", *options)
    assert done.returncode in (1, 2)
    assert "nothing to draw" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_recipe_is_torchs_sgd(digits):
    found = flow("plain20", digits, FlowRecipe(steps=(0, 3), seeds=1, batch=16))
    model = build("plain20", seed=0).train()
    start = model.get_submodule("layer2.0.conv1").weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    for step in range(4):
        x, labels = digits.batch(16, step, 0, (3, 32, 32))
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        grown = model.get_submodule("layer2.0.conv1").weight.detach().norm() / start.norm()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert numbers(found, "loss", 3) == [pytest.approx(loss.item(), rel=1e-5)]
    (seen,) = (row.value for row in found.rows if row[2:7:2] == (3, "layer2.0.conv1", "weight_growth"))
    assert seen == pytest.approx(grown.item(), rel=1e-5)


def test_recipes_that_cannot_be_are_refused():
    for bad in ({"steps": ()}, {"steps": (-1,)}, {"seeds": 0}, {"batch": 1}, {"lr": float("inf")}):
        with pytest.raises(OptionError):
            FlowRecipe(**bad)
    if not torch.cuda.is_available():
        with pytest.raises(MeasureError, match="no CUDA here"):
            flow("resnet20", load_images("digits"), FlowRecipe(device="cuda"))


def test_a_step_is_observed_once():
    with pytest.raises(OptionError, match=r"--steps takes different whole numbers from 0, such as 0,1,5"):
        FlowRecipe(steps=(1, 1))
