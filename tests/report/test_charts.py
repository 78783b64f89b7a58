"""Charts of every command: files of each kind that open, with the same numbers beside them as CSV."""

import csv
import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

MAGIC = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}


@pytest.mark.parametrize("kind", MAGIC)
def test_each_kind_of_file_is_one(cli, tmp_path, kind):
    path = tmp_path / f"cost.{kind}"
    assert cli("flops", "resnet20", "--plot", str(path)).returncode == 0
    assert path.read_bytes().lstrip().startswith(MAGIC[kind])
    if kind == "html":
        assert len(re.findall(r"<(?:script|link)[^>]{0,200} (?:src|href)=", path.read_text())) == 0
    if kind == "pdf" and shutil.which("pdftotext"):
        assert "resnet20" in subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_data_beside_a_chart_are_the_numbers_of_the_command(cli, tmp_path):
    plot = tmp_path / "cost.svg"
    done = cli("flops", "resnet20", "plain20", "--plot", str(plot), "--format", "json")
    held = rows(tmp_path / "cost.data.csv")
    models = {model["model"]: model for model in json.loads(done.stdout)["models"]}
    for name, model in models.items():
        mine = [row for row in held if row["chart"] == f"cost by layer of {name}"]
        assert [(r["layer"], int(r["macs"])) for r in mine] == [(r["name"], r["macs"]) for r in model["layers"]]
    ElementTree.fromstring(plot.read_text())


def test_networks_as_bubbles(cli, tmp_path):
    names = ["resnet18", "resnet50", "vgg16", "googlenet"]
    plot = tmp_path / "networks.svg"
    done = cli("compare", *names, "--plot", str(plot), "--format", "json")
    held = {row["model"]: row for row in rows(tmp_path / "networks.data.csv")}
    for model in json.loads(done.stdout)["models"]:
        assert int(held[model["model"]]["macs"]) == model["macs"]
    text = plot.read_text()
    assert all(f">{name}<" in text for name in names)


def test_layers_under_the_roof(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = cli("latency", "resnet20", "--layers", "--plot", str(tmp_path / "roof.svg"), "--format", "json")
    layers = {layer["name"]: layer for layer in json.loads(done.stdout)["layers"]}
    held = rows(tmp_path / "roof.data.csv")
    assert len(held) == 20  # 19 convolutions and the linear layer
    for row in held:
        assert float(row["flops_per_s"]) == pytest.approx(layers[row["layer"]]["flops_per_s"])
        assert float(row["intensity"]) == pytest.approx(layers[row["layer"]]["intensity"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("flops", "resnet20", "--verify", "--plot", "x.svg"),
        ("latency", "resnet20", "--plot", "x.svg"),
        ("flops", "resnet20", "--plot", "x.jpg"),
        ("compare", "resnet20", "plain20", "--metrics", "params,macs", "--plot", "x.svg"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(cli, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = cli(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_more_rows_than_altair_takes_by_default(cli, tmp_path):
    (tmp_path / "deep.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(6000)])\n"
    )
    plot = tmp_path / "deep.svg"
    done = cli("flops", f"file:{tmp_path}/deep.py:net", "--input", "3x4x4", "--plot", str(plot))
    assert done.returncode == 0, done.stderr
    assert len(rows(tmp_path / "deep.data.csv")) == 6000
