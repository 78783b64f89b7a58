"""What commands store, read back: the same document again, and one line for what is no such thing."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from documents import COMMANDS
from resbench.pages.figures import figures
from resbench.stored import READERS, document, find, read

from resbench.errors import StoredError


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stored_result_gives_its_document_again(documents, name):
    stored = read(documents / name)
    written = json.loads((documents / name).read_text())
    assert stored.made_with == written.pop("made_with")
    assert stored.made_with == f"resbench {COMMANDS[name]} -o {name}"
    assert json.loads(json.dumps(document(stored.result))) == written


def test_every_command_that_stores_is_read():
    assert {command.split()[0] for command in READERS} == {command.split()[0] for command in COMMANDS.values()}


def test_a_folder_gives_the_oldest_first_and_passes_over_other_json(documents, tmp_path):
    for name in ("gradflow.json", "latency.json"):
        shutil.copy(documents / name, tmp_path / name)
    data = json.loads((tmp_path / "latency.json").read_text())
    data["environment"]["volatile"]["time_utc"] = "2031-01-01T00:00:00+00:00"
    (tmp_path / "latency.json").unlink()
    (tmp_path / "a-later.json.gz").write_bytes(gzip.compress(json.dumps(data).encode()))
    (tmp_path / "other.json").write_text('{"command": "something else"}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "task.json").write_text('{"command": ["npm", "start"]}')
    (tmp_path / "image.json").write_text('{"command": {}, "schema": 1}')
    assert [stored.path.name for stored in find([tmp_path])] == ["gradflow.json", "a-later.json.gz"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "is no JSON, or was cut off"),
        (lambda text: text.replace('"schema": 1', '"schema": 99'), "expected schema 1 of latency, received 99"),
        (lambda text: text.replace('"schema": 1,', ""), "expected schema 1 of latency, received None"),
        (lambda text: text.replace('"command": "latency"', '"command": "show"'), "is the JSON of resbench show"),
        (lambda text: text.replace('"command"', '"no"'), "is no JSON of resbench"),
        (lambda text: text.replace('"runs_s"', '"runs"'), "is not what resbench latency writes"),
        (lambda text: text.replace('"dtype": "fp32"', '"dtype": "fp7"'), "is not what resbench latency writes"),
        (
            lambda text: re.sub(r'"processes": \[.*\]', '"processes": []', text, flags=re.DOTALL),
            "latency writes|no JSON",
        ),
        (lambda text: re.sub(r'"volatile": {[^}]*}', '"volatile": null', text), "is not what resbench latency writes"),
        (lambda text: '{"command": ["latency"]}', "is no JSON of resbench"),
        (lambda text: "[]", "is no JSON of resbench"),
    ],
)
def test_what_is_no_result_is_one_line(documents, tmp_path, change, said):
    path = tmp_path / "latency.json"
    path.write_text(change((documents / "latency.json").read_text()))
    with pytest.raises(StoredError, match=said):
        read(path)


def test_a_folder_with_nothing_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StoredError, match="nothing stored in"):
        find([tmp_path])
    with pytest.raises(StoredError, match="cannot read"):
        find([tmp_path / "none.json"])


def test_results_of_a_gpu_are_read_where_there_is_none(documents, tmp_path):
    path = tmp_path / "latency.json"
    path.write_text((documents / "latency.json").read_text().replace('"device": "cpu"', '"device": "cuda"'))
    assert read(path).result.latencies[0].setup.device == "cuda"


def test_figures_are_the_numbers_of_the_documents(documents):
    known = {(f.model, f.metric): f for f in figures(stored.result for stored in find([documents]))}
    latency = json.loads((documents / "latency.json").read_text())["models"][0]
    flow = json.loads((documents / "gradflow.json").read_text())["models"][1]["steps"][0]
    ends = {one["model"]: one for one in json.loads((documents / "degradation.json").read_text())["models"]}
    assert known["resnet20", "params"].value == 269_722
    assert known["resnet20", "latency"].value == latency["median_s"]
    assert known["resnet20", "latency"].spread == pytest.approx(latency["half_width"] * latency["median_s"])
    assert known["resnet20", "throughput"].value == latency["throughput"]
    assert known["resnet20", "gradient"].value == pytest.approx(flow["first_to_last"])
    assert known["resnet20", "error"].value == ends["resnet20"]["test_error"]
    assert known["resnet20", "train_error"].spread == ends["resnet20"]["train_spread"]
    assert "digits at 3x8x8" in known["plain20", "error"].where


def trained(documents, change):
    """The figures of a changed degradation."""
    result = read(documents / "degradation.json").result
    runs = tuple(change(one) for one in result.outcome.results)
    return list(figures([result._replace(outcome=replace(result.outcome, results=runs))]))


def test_a_network_without_one_epoch_has_no_figures(documents):
    found = trained(documents, lambda one: replace(one, history=()) if one.cell.model == "plain20" else one)
    assert {figure.model for figure in found} == {"resnet20"}


@pytest.mark.parametrize(
    ("field", "values"), [("lr", [0.01]), ("dtype", ["fp32", "bf16"]), ("augment", [True]), ("batch", [64])]
)
def test_trainings_of_another_recipe_are_from_elsewhere(documents, field, values):
    def another(one):
        recipe = one.cell.recipe
        value = next(value for value in values if value != getattr(recipe, field))  # the default goes by the machine
        return replace(one, cell=one.cell._replace(recipe=replace(recipe, **{field: value})))

    here, there = ({figure.where for figure in trained(documents, make)} for make in (lambda one: one, another))
    assert here.isdisjoint(there)


def test_paths_are_files_or_folders():
    with pytest.raises(StoredError, match="cannot read nowhere"):
        find([Path("nowhere")])
