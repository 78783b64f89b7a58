"""The page leads with sentences and one picture, chosen by what differs."""

import json
from pathlib import Path

import pytest

import resbench
from resbench.pages.answer import places
from resbench.pages.lead import ratios
from resbench.pages.report import report
from resbench.result import Figure
from resbench.results import find, read

GALLERY = Path(__file__).parents[2] / "results/gallery"
STORED = Path(__file__).parents[1] / "golden/stored"


def lead(stored, *models):
    first = report(models, results=stored).sections[0]
    assert first.key == "answer"
    return list(first.verdicts), [picture.name for picture in first.pictures]


def test_networks_of_equal_macs_are_shown_by_their_errors_and_not_as_bubbles():
    lines, pictures = lead(find([GALLERY]), "plain56", "resnet56")
    assert lines[0] == "resnet56 takes the MACs of plain56 (125.5 M), and as many parameters (853,018)."
    assert lines[1].startswith("Time: no difference that these runs can show")
    assert pictures == ["error by iteration"]


def test_equal_macs_without_trainings_are_shown_by_the_gradient():
    assert lead([read(GALLERY / "gradflow.json.gz")], "plain56", "resnet56")[1] == ["gradient by depth"]


def test_families_are_shown_as_bubbles_and_two_networks_by_their_ratios(tmp_path):
    resbench.flops(["plain34", "googlenet", "vgg16"]).save(tmp_path / "costs.json")
    lines, pictures = lead(find([tmp_path]))
    assert lines[0] == "Of 3 networks googlenet takes the fewest MACs (1.583 G), vgg16 the most (15.47 G)."
    assert pictures == ["networks"]
    assert lead(find([tmp_path]), "plain34", "vgg16")[1] == ["relative to the first network"]


def test_one_network_says_where_it_costs_and_what_bounds_it():
    lines, pictures = lead(find([GALLERY]), "resnet56")
    assert "most of the MACs are in layer1 (34 %), layer2 (33 %), layer3 (33 %)" in lines[0]
    assert any(line.startswith("A run takes 4.61 ms") and "compute bound" in line for line in lines)
    assert pictures == ["where resnet56 costs"]


@pytest.fixture
def slower(tmp_path):
    """Two runs of which the later one took longer by this factor."""

    def runs(factor):
        document = json.loads(json.dumps(read(GALLERY / "latency.json.gz").document))
        for name, times in (("a", 1), ("b", factor)):
            document["environment"]["volatile"]["time_utc"] = f"2026-01-0{1 if name == 'a' else 2}T10:00:00"
            for model in document.get("latencies", document.get("models")):
                for process in model.get("readings", model.get("processes")):
                    process["runs_s"] = [[times * seconds for seconds in run] for run in process["runs_s"]]
            (tmp_path / f"{name}.json").write_text(json.dumps(document))
        return find([tmp_path])

    return runs


def test_of_two_runs_the_slower_one_is_named(slower):
    lines, pictures = lead(slower(1.8), "resnet56")
    assert lines[0].startswith("resnet56, 2026-01-02 10:00 takes 80 % more time than resnet56, 2026-01-01 10:00")
    assert pictures == ["time of each run"]


def test_two_runs_within_their_intervals_are_not_told_apart(slower):
    lines, _ = lead(slower(1.01), "resnet56")
    assert lines[0].startswith("Time: no difference that these runs can show")


def test_a_failed_training_stands_first_and_its_error_in_no_sentence():
    lines, _ = lead([read(STORED / "degradation-broken-6e6bac7.json")])
    assert lines[0] == "Failed: plain8, seed 0: the loss is nan at step 1, first in the output of layer1.0.conv1."
    assert not any("test error" in line for line in lines)


@pytest.mark.parametrize("base", ["a", "b"])
def test_a_figure_of_which_nothing_can_be_said_has_no_ratio_in_the_picture(base):
    busy = [Figure("a", "latency", 0.04, 0.001), Figure("b", "latency", 0.0002, 0.07)]
    counts = [Figure("a", "macs", 10), Figure("b", "macs", 40)]
    (picture,) = ratios(places([*busy, *counts], ["a", "b"]), base)
    assert [(row["metric"], row["ratio"]) for row in picture.rows] == [("MACs", 4 if base == "a" else 0.25)]
    calm = places([busy[0], busy[1]._replace(spread=0.0001)], ["a", "b"])
    assert [row["ratio"] for row in ratios(calm, "a")[0].rows] == [pytest.approx(0.005)]
