"""The notebook of the Python interface: it shows every public function, was run to its end, and runs again."""

import json
import re
from pathlib import Path

import pytest

import resbench

NOTEBOOK = json.loads((Path(__file__).parents[1] / "docs/tour.ipynb").read_text())
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
MEASURED = re.compile(
    r"latency|layers\(|memory\(|profile|gradflow|flow\.|degradation|landscape|placements|claims|gate\(|times"
)


def source(cell):
    return "".join(cell["source"])


def test_it_shows_every_public_function():
    text = "".join(source(cell) for cell in NOTEBOOK["cells"])
    deprecated = {"cost", "cost_table", "ResbenchError"}
    assert not [name for name in resbench.__all__ if f"resbench.{name}" not in text and name not in deprecated]


def test_it_was_run_to_its_end():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    outputs = [output for cell in CELLS for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert "/home/" not in json.dumps(NOTEBOOK)


def test_what_only_counts_runs_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope = {}
    ran = [cell for cell in CELLS if not MEASURED.search(source(cell))]
    assert len(ran) >= 7
    for cell in ran:
        exec(compile(source(cell), "tour.ipynb", "exec"), scope)
    assert scope["costs"].to_pandas()["macs"].tolist() == [3_644_493_824, 3_663_761_408, 4_089_184_256]


@pytest.mark.parametrize("name", [name for name in resbench.__all__ if name not in ("cost", "cost_table")])
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert getattr(resbench, name).__doc__
