"""docs/adding-a-question.md adds a kind of result in one folder and one line, and everything reads it."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest

import resbench
from resbench.pages.compare import compare
from resbench.pages.comparison import View
from resbench.pages.report import report
from resbench.results import KINDS, Entry, load

PAGE = Path(__file__).parents[1] / "docs/adding-a-question.md"
FILES = re.findall(r"^```py\n# (\S+)[^\n]*\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def balance(tmp_path, monkeypatch):
    """The step of the page, its files in a folder that belongs to the package, its line in the registry."""
    for name, code in FILES:
        if name.startswith("resbench/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
    monkeypatch.setattr(resbench, "__path__", [*resbench.__path__, str(tmp_path / "resbench")])
    (line,) = [code for name, code in FILES if name == "one"]
    words = ast.parse(f"{{{line}}}", mode="eval").body
    monkeypatch.setitem(KINDS, words.keys[0].value, Entry(*(one.value for one in words.values[0].args)))
    from resbench.balance.measure import balance

    yield balance
    for name in [name for name in sys.modules if name.startswith("resbench.balance")]:
        del sys.modules[name]


def test_a_folder_and_a_line_are_a_question(balance, tmp_path):
    found = balance(["resnet50", "vgg16"])
    assert [one.stage for one in found.stages] == ["layer3", "features"]
    assert found.models() == ["resnet50", "vgg16"]
    assert found.to_pandas()["share"].round(3).tolist() == [0.358, 0.992]
    assert "heaviest stage" in str(found)
    path = tmp_path / "balance.json"
    found.save(path)
    assert json.loads(path.read_text())["kind"] == "balance"
    assert load(path) == found
    table = compare(results=[found], view=View(["macs", "heaviest"])).tables()[0]
    assert table.to_pandas()["heaviest_share_ratio"].round(2).tolist() == [1.0, 2.77]
    page = report(results=[found])
    assert "The share of the multiply-accumulates in the heaviest stage." in page.html
