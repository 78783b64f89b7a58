"""Charts of every command: files of each kind that open, with the same numbers beside them as CSV."""

import csv
import json
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from resbench.arch.rows import Cost, Row
from resbench.costs.chart import by_layer
from resbench.drawing.charts import save
from resbench.results import load
from resbench.timing.layers.chart import roofline

MAGIC = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}


@pytest.mark.parametrize("kind", MAGIC)
def test_each_kind_of_file_is_one(cli, tmp_path, kind):
    path = tmp_path / f"cost.{kind}"
    assert cli("flops", "resnet20", "--plot", str(path)).returncode == 0
    assert path.read_bytes().lstrip().startswith(MAGIC[kind])
    if kind == "html":
        assert len(re.findall(r"<(?:script|link)[^>]{0,200} (?:src|href)=(?!.data:)", path.read_text())) == 0
    if kind == "pdf" and shutil.which("pdftotext"):
        assert "resnet20" in subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_data_beside_a_chart_are_the_numbers_of_the_command(cli, tmp_path):
    plot = tmp_path / "cost.svg"
    done = cli("flops", "resnet20", "plain20", "--plot", str(plot), "--format", "json")
    held = rows(tmp_path / "cost.data.csv")
    models = {model["model"]: model for model in json.loads(done.stdout)["costs"]}
    for name, model in models.items():
        mine = [row for row in held if row["chart"] == f"cost by layer of {name}"]
        assert [(r["layer"], int(r["macs"])) for r in mine] == [(r["name"], r["macs"]) for r in model["layers"]]
    ElementTree.fromstring(plot.read_text())


def test_networks_as_bubbles(cli, tmp_path):
    names = ["resnet18", "resnet50", "vgg16", "googlenet"]
    plot = tmp_path / "networks.svg"
    done = cli("compare", *names, "--plot", str(plot), "--format", "json")
    held = {row["model"]: row for row in rows(tmp_path / "networks.data.csv")}
    for model in json.loads(done.stdout)["models_by_key"]:
        assert int(held[model["model"]]["macs"]) == model["macs"]
    text = plot.read_text()
    assert all(f">{name}<" in text for name in names)


def test_layers_under_the_roof(documents):
    layers = {layer["name"]: layer for layer in json.loads((documents / "layers.json").read_text())["layers"]}
    held = rows(documents / "roof.data.csv")
    assert (documents / "roof.svg").read_text().startswith("<svg")
    assert Counter(row["kind"] for row in held) == {"convolution": 19, "linear": 1}
    for row in held:
        assert float(row["flops_per_s"]) == pytest.approx(layers[row["layer"]]["flops_per_s"])
        assert float(row["intensity"]) == pytest.approx(layers[row["layer"]]["intensity"])


def test_stored_layers_keep_their_kinds(documents):
    """Those of an earlier version have none, and are known by their types."""
    measured = load(documents / "layers.json")
    types = {(row.type, row.kind) for row in measured.times.rows}
    assert {("Conv2d", "convolution"), ("Linear", "linear"), ("BatchNorm2d", "normalisation")} <= types
    assert {("ReLU", "activation"), ("AdaptiveAvgPool2d", "reduction")} <= types
    rows = tuple(row._replace(kind=None) for row in measured.times.rows)
    earlier = replace(measured, times=replace(measured.times, rows=rows))
    drawn = [roofline(result).rows for result in (measured, earlier)]
    assert [row["kind"] for row in drawn[0]] == [row["kind"] for row in drawn[1]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("flops", "resnet20", "--verify", "--plot", "x.svg"),
        ("latency", "resnet20", "--memory", "--plot", "x.svg"),
        ("flops", "resnet20", "--plot", "x.jpg"),
        ("compare", "resnet20", "plain20", "--metrics", "params,macs", "--plot", "x.svg"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_more_rows_than_altair_takes_by_default(tmp_path):
    layers = tuple(Row(f"layer{i}", "Conv2d", (1, 3, 4, 4), 12, 144, 48, 48) for i in range(5001))
    save([by_layer(Cost("deep", "test", (1, 3, 4, 4), layers))], tmp_path / "deep.svg")
    assert len(rows(tmp_path / "deep.data.csv")) == 5001
