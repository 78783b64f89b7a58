"""What commands store, read back: the same document again, and one line for what is no such thing."""

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from documents import COMMANDS, changed

from resbench.costs.measure import flops
from resbench.errors import StoredError
from resbench.files import MOST_BYTES
from resbench.results import KINDS, find, load, measured_by, metric_names, metric_of, read


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stored_result_gives_its_document_again(documents, name):
    stored = read(documents / name)
    written = json.loads((documents / name).read_text())
    assert stored.made_with == written.pop("made_with")
    assert stored.made_with == f"resbench {COMMANDS[name]} -o {name}"
    assert json.loads(stored.result.to_json()) == {**written, "made_with": None}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_result_that_was_saved_from_python_is_loaded_again(documents, tmp_path, name):
    result = load(documents / name)
    for ending in (".json", ".json.gz"):
        result.save(tmp_path / f"again{ending}")
        assert load(tmp_path / f"again{ending}") == result
        assert read(tmp_path / f"again{ending}").made_with == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_of_a_result_the_named_networks_alone_are_given(documents, name):
    result = load(documents / name)
    everyone = result.models()
    if not everyone:
        assert result.only(["resnet20"]) == result
        return
    assert result.only(everyone).models() == everyone
    assert result.only([everyone[-1], "vgg16"]).models() == [everyone[-1]]
    assert result.only(["vgg16"]) is None


def test_a_folder_is_loaded_as_a_list_and_a_file_of_today_without_a_warning(documents):
    assert sorted(result.kind for result in load(documents)) == sorted(load(documents / name).kind for name in COMMANDS)


def test_every_kind_is_registered_under_its_name_and_its_metrics():
    assert {kind: entry.load().kind for kind, entry in KINDS.items()} == {kind: kind for kind in KINDS}
    for kind, entry in KINDS.items():
        made = entry.load()
        assert {name for name in made.metrics if measured_by(name) == kind} == set(entry.metrics.split())
    assert len({metric_of(name).key for name in metric_names()}) == len(metric_names())


def test_a_folder_gives_the_oldest_first_and_passes_over_other_json(documents, tmp_path):
    for name in ("gradflow.json", "latency.json"):
        shutil.copy(documents / name, tmp_path / name)
    later = {"time_utc": "2031-01-01T00:00:00+00:00"}
    text = changed(tmp_path / "latency.json", lambda data: data["environment"]["volatile"].update(later))
    (tmp_path / "latency.json").unlink()
    (tmp_path / "a-later.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "other.json").write_text('{"command": "something else"}')
    (tmp_path / "kind.json").write_text('{"kind": "of another program"}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "task.json").write_text('{"command": ["npm", "start"]}')
    (tmp_path / "image.json").write_text('{"command": {}, "schema": 1}')
    assert [stored.path.name for stored in find([tmp_path])] == ["gradflow.json", "a-later.json.gz"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "is no JSON, or was cut off"),
        (lambda text: text.replace('"schema": 2', '"schema": 99'), "expected schema 2 of latency, received 99"),
        (lambda text: text.replace('"schema": 2,', ""), "expected schema 2 of latency, received None"),
        (lambda text: text.replace('"schema": 2', '"schema": "2"'), "expected schema 2 of latency, received '2'"),
        (lambda text: text.replace('"kind": "latency"', '"kind": "horoscope"'), "is the JSON of resbench horoscope"),
        (lambda text: text.replace('"kind"', '"no"'), "is no JSON of resbench"),
        (lambda text: text.replace('"runs_s"', '"runs"'), "is not what resbench latency writes"),
        (lambda text: text.replace('"dtype": "fp32"', '"dtype": "fp7"'), "writes .expected fp32 or tf32"),
        (
            lambda text: re.sub(r'"readings": \[.*\]', '"readings": []', text, flags=re.DOTALL),
            "latency writes|no JSON",
        ),
        (lambda text: re.sub(r'"volatile": {[^}]*}', '"volatile": null', text), "is not what resbench latency writes"),
        (lambda text: '{"kind": ["latency"]}', "is no JSON of resbench"),
        (lambda text: '{"command": ["latency"]}', "is no JSON of resbench"),
        (lambda text: "[]", "is no JSON of resbench"),
        (lambda text: "", "is no JSON, or was cut off"),
        (lambda text: "[" * 100_000, "is no JSON, or was cut off"),
    ],
)
def test_what_is_no_result_is_one_line(documents, tmp_path, change, said):
    path = tmp_path / "latency.json"
    path.write_text(change((documents / "latency.json").read_text()))
    with pytest.raises(StoredError, match=said) as refused:
        read(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("pack", "said"),
    [
        (lambda data: gzip.compress(gzip.compress(data)), "it is gzipped twice: expected once"),
        (lambda data: gzip.compress(bytes(MOST_BYTES + 1), 1), "it holds more than 128 MiB"),
        (lambda data: data + b" " * MOST_BYTES, "it holds more than 128 MiB"),
        (lambda data: gzip.compress(data)[:-200], "is no JSON, or was cut off"),
        (lambda data: gzip.compress(data)[:3], "is no JSON, or was cut off"),
        (lambda data: gzip.compress(data) + b"more", "cannot read .*: Not a gzipped file"),
    ],
    ids=["twice", "a bomb", "too large", "truncated", "next to nothing", "something behind it"],
)
def test_what_cannot_be_unpacked_is_one_line(documents, tmp_path, pack, said):
    path = tmp_path / "latency.json.gz"
    path.write_bytes(pack((documents / "latency.json").read_bytes()))
    for reading in (read, load, lambda path: find([path.parent])):
        with pytest.raises(StoredError, match=said) as refused:
            reading(path)
        assert "\n" not in str(refused.value)


def test_a_file_of_every_kind_is_refused_where_its_schema_is_of_the_future(documents, tmp_path):
    for kind in KINDS:
        path = tmp_path / "future.json"
        path.write_text(json.dumps({"kind": kind, "schema": 3}))
        with pytest.raises(StoredError, match=f"expected schema 2 of {kind}, received 3; a later resbench wrote it"):
            read(path)


@pytest.mark.parametrize("content", ["", '{"kind": "latency", "schema": 3}', '{"kind": "landscape", "schema": 2}', "{"])
@pytest.mark.parametrize("arguments", [("compare",), ("report", "-o", "kept.html")], ids=" ".join)
def test_the_commands_say_it_in_one_line_and_overwrite_nothing(cli, tmp_path, monkeypatch, arguments, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text(content)
    (tmp_path / "kept.html").write_text("precious")
    done = cli(*arguments, "--from", "bad.json")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("resbench: bad.json")
    assert (tmp_path / "kept.html").read_text() == "precious"


def test_a_folder_with_nothing_and_a_file_that_is_not_there(tmp_path):
    with pytest.raises(StoredError, match="nothing stored in"):
        find([tmp_path])
    with pytest.raises(StoredError, match="cannot read"):
        find([tmp_path / "none.json"])


def test_results_of_a_gpu_are_read_where_there_is_none(documents, tmp_path):
    path = tmp_path / "latency.json"
    path.write_text((documents / "latency.json").read_text().replace('"device": "cpu"', '"device": "cuda"'))
    assert read(path).result.latencies[0].setup.device == "cuda"


def figures_of(folder):
    return [figure for stored in find([folder]) for figure in stored.result.figures()]


def test_figures_are_the_numbers_of_the_documents(documents):
    known = {(f.model, f.metric): f for f in figures_of(documents)}
    latency = json.loads((documents / "latency.json").read_text())["latencies"][0]
    flow = json.loads((documents / "gradflow.json").read_text())["flows"][1]["records"][0]
    ends = {one["model"]: one for one in json.loads((documents / "degradation.json").read_text())["ends"]}
    assert known["resnet20", "params"].value == 269_722
    assert known["resnet20", "latency"].value == latency["median_s"]
    assert known["resnet20", "latency"].spread == latency["half_width_s"]
    assert known["resnet20", "throughput"].value == latency["throughput"]
    assert known["resnet20", "gradient"].value == pytest.approx(flow["first_to_last"])
    assert known["resnet20", "error"].value == ends["resnet20"]["test_error"]
    assert known["resnet20", "train_error"].spread == ends["resnet20"]["train_spread"]
    assert "digits at 3x8x8" in known["plain20", "error"].conditions


def trained(documents, change):
    """The figures of a changed degradation."""
    result = read(documents / "degradation.json").result
    return list(replace(result, trainings=tuple(map(change, result.trainings))).figures())


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

    here, there = ({figure.conditions for figure in trained(documents, make)} for make in (lambda one: one, another))
    assert here.isdisjoint(there)


def test_paths_are_files_or_folders():
    with pytest.raises(StoredError, match="cannot read nowhere"):
        find([Path("nowhere")])


@pytest.mark.parametrize("command", ["compare", "report"])
def test_what_a_file_of_an_earlier_version_left_out_is_said_once(cli, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(__file__).parent / "golden/stored/flops-catalog-e460e53.json.gz", "flops.json.gz")
    line = "flops.json.gz is of an earlier version, which did not say the MACs by kind of operator"
    with pytest.warns(UserWarning, match=f"^{line}$"):
        assert load("flops.json.gz").kind == "flops"
    done = cli(command, "--from", "flops.json.gz")
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"resbench: {line}\n"


def test_an_integer_beyond_all_numbers_is_refused_with_the_file(tmp_path):
    stored = flops("resnet8").document()
    stored["costs"][0]["layers"][0]["macs"] = 10**400
    (tmp_path / "huge.json").write_text(json.dumps(stored))
    with pytest.raises(StoredError, match=r"huge\.json is not .* received 1,329"):
        load(tmp_path / "huge.json")
