"""`resbench latency` as a user runs it."""

import csv
import io
import json
from functools import partial
from statistics import median

import pytest


@pytest.fixture
def run(cli, quick):
    return partial(cli, "latency")


BAD = {
    (): "expected a model",
    ("resnet20", "--batch", "0"): "--batch takes whole numbers",
    ("resnet20", "--batch", "1,x"): "--batch takes whole numbers",
    ("resnet20", "--dtype", "fp8"): "dtype takes fp32, tf32, bf16, fp16",
    ("resnet20", "--dtype", "tf32"): "tf32 is a format of NVIDIA GPUs",
    ("resnet20", "--device", "tpu"): "--device takes cpu, cuda",
    ("resnet20", "--mode", "eval"): "mode takes inference, training",
    ("resnet20", "--layers", "--memory"): "they are two tables",
    ("resnet20", "--layers", "--runtime", "eager,compile"): "and one runtime",
    ("resnet20", "resnet32", "--layers"): "--layers takes one model",
    ("resnet20", "--layers", "--batch", "1,2"): "--layers takes one model, one batch and one runtime",
    ("resent20", "--processes", "1"): "did you mean",
    ("resnet20", "--input", "3x1x", "--processes", "1"): "expected [NAME=]SHAPE",
    ("resnet20", "--layers", "--batch", "1000000"): "take a smaller --batch",
    ("resnet20", "--processes", "0"): "--processes",
}


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_exit_2(run, arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert BAD[arguments] in done.stderr


def test_layers_in_csv_have_the_names_and_macs_of_the_cost_rows(run):
    from resbench.costs.measure import cost

    done = run("resnet20", "--layers", "--mode", "training", "--batch", "2", "-f", "csv")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    for row in cost("resnet20", batch=2).layers:
        if row.macs:
            times = 2 if row.name == "conv1" else 3
            assert int(rows[row.name]["macs"]) == times * row.macs
    assert float(rows["optimizer"]["backward_s"]) > 0
    assert sum(float(row["share"]) for row in rows.values()) == pytest.approx(1, abs=0.001)


def test_the_table_says_how_far_it_can_be_trusted(run):
    text = run("resnet20", "--layers").stdout
    for words in ("Instrumented against plain runs", "of the time around them", "Roof, fp32", "Environment"):
        assert words in text


def test_memory_is_predicted_beside_measured(run):
    done = run("resnet20", "--memory", "--mode", "training", "-f", "json")
    document = json.loads(done.stdout)
    model = document["reports"][0]
    assert model["predicted"]["weights"] == model["measured"]["weights"] == 4 * 269_722
    assert document["environment"]["volatile"]["threads"] >= 1


def test_json_has_every_sample_and_the_machine(run, enough):
    done = run("resnet20", "--processes", "2", "-f", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["kind"]) == (2, "latency")
    (model,) = document["latencies"]
    assert len(model["readings"]) == 2
    for process in model["readings"]:
        assert len(process["runs_s"]) >= 30 or process["verdict"] == "unstable"  # the machine was too busy for 30
    totals = [sum(run) for process in model["readings"] for run in process["runs_s"]]
    assert model["median_s"] == pytest.approx(median(totals))
    assert model["setup"]["dtype"] == "fp32"
    assert set(document["roofs"]) == {"fp32"}
    assert len(document["environment"]["id"]) == 12


CODE = """
import sys
import torch
from torch import nn

class Talks(nn.Conv2d):
    def forward(self, x):
        print("forward")
        return super().forward(x)

def talks():
    print("factory")
    return nn.Sequential(Talks(3, 4, 1))

class Leaves(nn.Conv2d):
    def forward(self, x):
        return super().forward(x) if x.is_meta else sys.exit(4)

def leaves():
    return nn.Sequential(Leaves(3, 4, 1))
"""


@pytest.mark.parametrize("option", ["--layers", "--memory"])
def test_what_a_users_model_prints_stays_out_of_the_result_and_its_exit_is_one_line(run, tmp_path, option):
    (tmp_path / "nets.py").write_text(CODE)
    done = run(f"file:{tmp_path}/nets.py:talks", "--input", "3x8x8", option, "-f", "json")
    assert json.loads(done.stdout)["kind"] == f"latency {option}"
    assert "factory" in done.stderr
    assert "forward" in done.stderr
    done = run(f"file:{tmp_path}/nets.py:leaves", "--input", "3x8x8", option)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("SystemExit: 4\n")


def test_processes_that_are_not_started_are_said(cli):
    done = cli("latency", "resnet8", "--memory", "--processes", "3")
    assert done.returncode == 0
    assert "--memory runs in this process: --processes 3 is passed over" in done.stderr
