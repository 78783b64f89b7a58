"""`resbench degradation`, `placements` and `claims`: what they print and keep, and how they survive."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import started

import resbench

SMALL = ("--input", "3x8x8", "--dtype", "fp32")


@pytest.fixture
def run(cli, tmp_path):
    def command(*arguments):
        return cli("degradation", *arguments, *SMALL, "--dir", str(tmp_path / "runs"))

    return command


def test_the_command_trains_compares_and_says_the_verdict(run):
    done = run("plain20", "plain32", "resnet20", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    for words in (
        "Training error by epoch",
        "Test error by epoch",
        "plain32 (%)",
        "plain32 - plain20",
        "8.8 to 9.6",
        "22 iterations",
    ):
        assert words in done.stdout
    assert "training error (%) by epoch" in done.stdout
    assert "\x1b" not in done.stdout


def test_what_cannot_run_says_so_with_and_without_the_compiler(run):
    written, compiled = run("squeezenet1_0"), run("squeezenet1_0", "--compile")
    assert written.returncode == compiled.returncode == 2
    assert "features.2 (MaxPool2d): RuntimeError" in written.stderr
    assert compiled.stderr == written.stderr


def test_the_same_command_again_prints_what_is_finished(run, tmp_path):
    first = run("resnet8", "--epochs", "1", "-f", "csv")
    files = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.pt")}
    again = run("resnet8", "--epochs", "1", "-f", "csv")
    assert again.stdout == first.stdout
    assert "1 of 1 trainings were finished by an earlier call" in again.stderr
    assert "earlier call" not in first.stderr
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*.pt")} == files
    more = run("resnet8", "--epochs", "1", "--seeds", "2", "-f", "csv")
    assert "1 of 2 trainings" in more.stderr
    assert more.stdout.startswith(first.stdout)


def test_every_format_has_the_numbers(run, tmp_path):
    options = ("resnet8", "--epochs", "2", "--seeds", "2", "--probe", "11")
    rows = list(csv.DictReader(io.StringIO(run(*options, "-f", "csv").stdout)))
    assert [(row["seed"], row["epoch"]) for row in rows] == [("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")]
    done = run(*options, "-o", str(tmp_path / "d.json"), "--plot", str(tmp_path / "d.svg"))
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "d.json").read_text())
    assert (document["schema"], document["kind"]) == (2, "degradation")
    assert document["trainings"][1]["history"][1]["test_error"] == float(rows[3]["test_error"])
    assert {row["statistic"] for row in document["trainings"][0]["rows"]} >= {"gradient", "strength"}
    assert document["trainings"][0]["cell"]["recipe"]["weight_decay"] == 1e-4
    (model,) = document["ends"]
    mean = sum(float(row["test_error"]) for row in rows if row["epoch"] == "2") / 2
    assert model["test_error"] == pytest.approx(mean)
    assert b"<svg" in (tmp_path / "d.svg").read_bytes()[:100]
    for kind in ("markdown", "latex", "html"):
        assert "resnet8" in run(*options, "-f", kind).stdout


def test_placements_are_ranked_beside_what_was_published(cli, tmp_path):
    options = ("--table", "orders", "--depth", "8", "--epochs", "0.3", "--dir", str(tmp_path), "--dtype", "fp32")
    done = cli("placements", *options, "-f", "json")
    assert done.returncode == 0, done.stderr
    published = {end["model"]: end["published"] for end in json.loads(done.stdout)["ends"]}
    assert published["preact_resnet8"] == "6.37"
    assert published["resnet8,order=bn-after-add"] == "8.17"
    table = cli("placements", *options).stdout
    ends = table[table.index("Placements at 8 layers") :].splitlines()[4:9]
    errors = [float(line.split()[2]) for line in ends]
    assert errors == sorted(errors)


def test_networks_of_ones_own_are_trained_with_the_classes_of_the_data(run, tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "def net(): return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))\n"
        "def few(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))\n"
    )
    done = run(f"file:{tmp_path}/nets.py:net", "--epochs", "1", "-f", "csv")
    assert done.returncode == 0, done.stderr
    done = run(f"file:{tmp_path}/nets.py:few", "--epochs", "1")
    assert done.returncode == 2
    assert "expected logits of at least 10 classes, received 128x3" in done.stderr


def test_a_loss_that_is_not_finite_is_named_and_exit_1(run):
    done = run("plain20,norm=none", "resnet20", "--epochs", "2", "--lr", "1e20")
    assert done.returncode == 1
    assert "plain20,norm=none, seed 0: the loss is" in done.stderr
    assert "first in the" in done.stderr
    assert "resnet20" in done.stdout


BAD = {
    ("resnet21",): "expected a depth of 6n + 2",
    ("resnet20", "--data", "imagenet"): "--data takes digits, cifar10",
    ("resnet20", "--data", "cifar10"): "--data cifar10 needs --data-root DIR",
    ("resnet20", "--epochs", "0"): "--epochs takes a number above 0",
    ("resnet20", "--epochs", "nan"): "--epochs takes a number",
    ("resnet20", "--epochs", "1e308"): "--epochs takes a number above 0, up to 1,000,000",
    ("resnet20", "--lr", "-1"): "--lr takes a number above 0",
    ("resnet20", "--lr", "nan"): "--lr takes a number above 0",
    ("resnet20", "--batch", "2000"): "digits has 1437 images: expected a --batch of at most 1437, received 2000",
    ("resnet20", "--dtype", "fp16"): "--dtype takes fp32, bf16",
    ("resnet20", "--device", "tpu"): "--device takes cpu",
    ("resnet20", "--plot", "x.gif"): "--plot takes a file that ends in .svg",
    ("resnet20", "-f", "xls"): "--format takes",
    ("resnet20", "--input", "3x1"): "expected CxHxW",
    ("resnet20", "--dir", "/dev/null/x"): "cannot write to /dev/null/x",
    ("resnet20,classes=3",): "at least 10 classes",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_wrong_input_is_one_line_and_exit_2(cli, tmp_path, arguments):
    folder = () if "--dir" in arguments else ("--dir", str(tmp_path))
    done = cli("degradation", *arguments, *folder)
    assert done.returncode == 2
    assert BAD[arguments] in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_claims_say_verdict_and_figure(cli, tmp_path):
    done = cli("claims", "9", "10", "15", "--dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for words in ("wrong as stated", "73,728", "120,422,400 to 12,443,648", "no network has 13", "resbench claims 10"):
        assert words in text
    (row,) = csv.DictReader(io.StringIO(cli("claims", "10", "--dir", str(tmp_path), "-f", "csv").stdout))
    assert (row["verdict"], row["expected"]) == ("holds", "holds")
    document = json.loads(cli("claims", "10", "--dir", str(tmp_path), "-f", "json").stdout)
    (claim,) = document["claims"]
    assert (claim["id"], claim["verdict"], document["unexpected"]) == (10, claim["expected"], [])


@pytest.mark.parametrize("width", [80, 120])
def test_claims_are_read_in_lines_that_a_terminal_has(width):
    found = resbench.load(Path(__file__).parents[2] / "results/gallery/claims.json.gz")
    lines = found.worded(width).splitlines()
    assert max(map(len, lines)) <= width
    assert found.worded(80) == found.text() == repr(found)
    for claim in found.claims:
        first = lines.index(next(line for line in lines if line.startswith(f"{claim.id:>2}. {claim.verdict}: ")))
        words = " ".join(" ".join(lines[first : lines.index("", first)]).split())
        seconds, again = words.removeprefix(f"{claim.id}. ").rsplit(" again: ", 1)
        assert seconds.startswith(f"{claim.verdict}: {claim.statement} {claim.figure} {claim.correct} ")
        assert again == claim.rerun


def test_a_claim_that_comes_out_otherwise_is_exit_1(cli, tmp_path, monkeypatch):
    from resbench.lessons import measure as claims

    changed = tuple(c._replace(expected="wrong as stated") if c.id == 10 else c for c in claims.CLAIMS)
    monkeypatch.setattr(claims, "CLAIMS", changed)
    done = cli("claims", "9", "10", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "Claim 10: expected 'wrong as stated', found 'holds'." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("19",), "from 1 to 18; received 19"),
        (("x",), "from 1 to 18; received x"),
        (("1", "--full"), "--full needs --data-root"),
    ],
)
def test_claims_that_are_not_there(cli, tmp_path, arguments, said):
    done = cli("claims", *arguments, "--dir", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr


# -- processes that are stopped ----------------------------------------------------------------------

CODE = """
import sys
from resbench.training import train
train.SAVE_S = 0.0
from resbench.cli.main import main
main()
"""


def process(folder, *more):
    options = ("degradation", "resnet8", "resnet8,shortcut=dropout", "--epochs", "2", *SMALL, "--dir", folder)
    return started(CODE, *options, "-f", "csv", *more)


def weights(folder):
    found = {path.name: torch.load(io.BytesIO(path.read_bytes()[:-4]))["state"] for path in folder.glob("*.pt")}
    assert len(found) == 2
    return {(name, key): value for name, state in found.items() for key, value in state["model"].items()}


def histories(text):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(io.StringIO(text))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same command, never interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    out, err = process(folder).communicate(timeout=300)
    assert "shortcut=dropout" in out, err
    return weights(folder), histories(out)


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def wait_for(folder, count, started):
    """Until some checkpoints have been written."""
    seen, deadline = set(), time.monotonic() + 120
    while len(seen) < count and time.monotonic() < deadline and started.poll() is None:
        seen |= {(path.name, path.stat().st_mtime_ns) for path in folder.glob("*.pt") if path.exists()}
        time.sleep(0.002)


def test_kill_9_at_any_moment_leaves_what_gives_the_same_weights(tmp_path, whole):
    draw = random.Random(0)
    for kill in range(4):
        started = process(tmp_path)
        wait_for(tmp_path, draw.randint(1, 6), started)
        time.sleep(draw.random() / 20)
        started.send_signal(signal.SIGKILL)
        started.communicate()
        assert started.returncode == -9 or kill, "it was over before it could be killed"
    out, err = process(tmp_path).communicate(timeout=300)
    assert same(weights(tmp_path), whole[0]), err
    assert histories(out) == whole[1]


def test_ctrl_c_keeps_everything_and_says_how_to_go_on(tmp_path, whole):
    started = process(tmp_path)
    wait_for(tmp_path, 15, started)
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "the same command goes on from here" in err
    assert "Traceback" not in err
    assert len(histories(out)) < len(whole[1])
    out, err = process(tmp_path).communicate(timeout=300)
    assert same(weights(tmp_path), whole[0]), err
    assert histories(out) == whole[1]


@pytest.mark.slow
def test_a_second_run_in_the_folder_is_refused_and_the_first_goes_on(tmp_path, whole):
    first = process(tmp_path)
    wait_for(tmp_path, 1, first)
    out, err = process(tmp_path).communicate(timeout=60)
    assert "another run works in" in err
    assert not out
    first.communicate(timeout=300)
    assert first.returncode == 0
    assert same(weights(tmp_path), whole[0])


@pytest.mark.slow
def test_two_processes_of_torchrun_train_as_one(tmp_path):
    """Without BN, whose statistics are of a part of the batch: the mean of the parts' gradients is the batch's."""
    options = ["degradation", "resnet8,norm=none", "--epochs", "2", "--lr", "0.001", *SMALL, "-f", "csv"]
    alone = subprocess.run(
        [sys.executable, "-m", "resbench", *options, "--dir", str(tmp_path / "one")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "resbench"]
    command = [*launch, *options, "--dir", str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    together = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    one, two = histories(alone.stdout), histories(together.stdout)
    assert len(one) == len(two) == 2
    for a, b in zip(one, two, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-3)
        assert float(a["train_error"]) == pytest.approx(float(b["train_error"]), abs=0.005)
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert again.stdout == together.stdout
    observed = subprocess.run([*command, "--probe", "4"], capture_output=True, text=True, check=True, env=environment)
    for a, b in zip(two, histories(observed.stdout), strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-3)


def test_a_world_without_torchrun_is_refused(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    done = run("resnet20", "--epochs", "1")
    assert done.returncode == 2
    assert "expected to be started by torchrun, received WORLD_SIZE=2 RANK=none" in done.stderr


def test_a_rank_that_some_other_program_set_silences_nothing(run, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    done = run("resnet20", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert "Training error by epoch" in done.stdout
