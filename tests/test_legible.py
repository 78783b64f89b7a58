"""Names that somebody else chose: what a terminal would obey is a question mark, in every format and chart."""

import json
import re

import pytest
from commands import called

from resbench.pages.page import _vega
from resbench.units import legible

NETWORK = """
from torch import nn

def net():
    made = nn.Sequential()
    made.add_module("c\\x0b\\x1b[31mv\\nx\\u202e<b>", nn.Conv2d(3, 8, 3))
    made.add_module("second\\x1b[2J", nn.Conv2d(8, 8, 3))
    made.add_module("relu", nn.ReLU())
    return made
"""
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.py").write_text(NETWORK)
    return f"file:{tmp_path / 'net.py'}:net"


@pytest.mark.parametrize("format", ["table", "markdown", "csv", "latex", "html"])
def test_names_of_layers_are_legible_in(format, net):
    done = called("flops", net, "--input", "3x8x8", "--per", "layer", "-f", format)
    assert done.returncode == 0, done.stderr
    assert not OBEYED.search(done.stdout)
    assert "second?" in done.stdout


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_names_of_layers_are_legible_in_charts(suffix, net, tmp_path):
    done = called("flops", net, "--input", "3x8x8", "--per", "layer", "--plot", tmp_path / f"net{suffix}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "net.data.csv").exists()
    if suffix != ".png":
        assert not OBEYED.search((tmp_path / f"net{suffix}").read_text())


@pytest.mark.parametrize("name", ["\x1b[31m<img src=x onerror=alert(1)>\n../../x", "\ud800x"])
def test_names_in_stored_results_are_legible(name, tmp_path):
    written = called("flops", "resnet8", "plain8", "-f", "json").stdout
    (tmp_path / "stored.json").write_text(written.replace('"resnet8"', json.dumps(name)))
    compared = called("compare", "--from", tmp_path / "stored.json", "--plot", tmp_path / "compared.svg")
    assert compared.returncode == 0, compared.stderr
    page = tmp_path / "page.html"
    assert called("report", "--from", tmp_path / "stored.json", "-o", page).returncode == 0
    for text in (compared.stdout, page.read_text(), (tmp_path / "compared.svg").read_text()):
        assert not OBEYED.search(text)
    assert "<img src=x" not in page.read_text()


def test_the_scripts_of_a_page_hold_nothing_that_is_not_legible():
    assert legible(_vega()) == _vega()  # else it would be changed in a page


def test_a_model_is_not_named_by_what_a_terminal_obeys():
    done = called("flops", "onnx:e\x1b[31m.onnx")
    assert done.returncode == 2
    assert done.stderr == (
        "resbench: expected a model's name of characters that can be printed, received 'onnx:e\\x1b[31m.onnx'\n"
    )
