"""Where several models are named and one fails: the others' results, a line that names the one, exit 2."""

import json

import pytest
from commands import BUSY, forked

MINE = """
import torch
from torch import nn


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        raise ValueError("not today")


def no_factory():
    raise ValueError("nothing to build")


broken = Broken
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return lambda name: f"file:{tmp_path}/mine.py:{name}"


def kept(done, failing, lines=1):
    """Exit 2, and so many lines on stderr that name the models that failed."""
    said = [line for line in done.stderr.splitlines() if line.startswith("resbench: ") and not BUSY.search(line)]
    assert done.returncode == 2, done.stderr
    assert len(said) == lines
    assert all(name in line for name, line in zip(failing, said, strict=True))
    assert "Traceback" not in done.stderr


def test_flops_keeps_the_others_in_a_table_and_in_a_file(cli, mine, tmp_path):
    done = cli("flops", "resnet20", mine("broken"), "resent20", "plain20")
    kept(done, [mine("broken"), "resent20"], lines=2)
    assert "resnet20" in done.stdout
    assert "plain20" in done.stdout
    target = tmp_path / "costs.json"
    kept(cli("flops", "resnet20", mine("broken"), "-o", str(target)), [mine("broken")])
    assert [model["model"] for model in json.loads(target.read_text())["costs"]] == ["resnet20"]


def test_flops_verify_keeps_the_others(cli, mine):
    done = cli("flops", mine("no_factory"), "plain20", "--verify", "--format", "json")
    kept(done, [mine("no_factory")])
    assert [(check["model"], check["agrees"]) for check in json.loads(done.stdout)["checks"]] == [("plain20", True)]


def test_flops_plot_draws_the_others(cli, mine, tmp_path):
    target = tmp_path / "layers.svg"
    kept(cli("flops", mine("broken"), "plain20", "--plot", str(target)), [mine("broken")])
    assert "plain20" in target.read_text()


def test_where_all_fail_each_has_its_line_and_nothing_is_written(cli, mine, tmp_path):
    target = tmp_path / "costs.json"
    done = cli("flops", mine("broken"), mine("no_factory"), "-o", str(target))
    kept(done, [mine("broken"), mine("no_factory")], lines=2)
    assert not target.exists()


def test_an_input_that_is_none_is_refused_once_for_all(cli):
    for command in ("flops", "compare", "gradflow", "report"):
        done = cli(command, "resnet20", "plain20", "--input", "3xbig")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "3xbig" in done.stderr


def test_an_input_that_only_one_model_takes_keeps_that_one(cli):
    done = cli("flops", "resnet18", "alexnet_that_is_not", "--input", "3x64x64")
    kept(done, ["alexnet_that_is_not"])
    assert "resnet18" in done.stdout


def test_compare_keeps_the_others(cli, mine):
    done = cli("compare", mine("broken"), "resnet20", "plain20", "--format", "json")
    kept(done, [mine("broken")])
    document = json.loads(done.stdout)
    assert document["baseline"] == "resnet20"
    assert [model["model"] for model in document["models_by_key"]] == ["resnet20", "plain20"]


def test_compare_with_a_baseline_that_fails_says_why(cli, mine):
    done = cli("compare", "resnet20", mine("broken"), "--baseline", mine("broken"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "not today" in done.stderr


def test_compare_that_has_too_little_to_draw_names_the_one_that_failed(cli, mine, tmp_path):
    target = tmp_path / "bubbles.svg"
    done = cli("compare", mine("broken"), "resnet20", "--plot", str(target))
    kept(done, [mine("broken")])
    assert "resnet20" in done.stdout


def test_compare_where_all_fail_says_it_of_each(cli, mine):
    done = cli("compare", mine("broken"), "resent20", "--baseline", mine("broken"))
    kept(done, ["resent20", mine("broken")], lines=2)
    assert done.stdout == ""


def test_latency_keeps_the_others(cli, mine, quick):
    done = cli("latency", "plain8,typo=1", "plain8", mine("broken"), "--processes", "1", "--format", "json")
    kept(done, ["plain8,typo=1", mine("broken")], lines=2)
    assert [row["model"] for row in json.loads(done.stdout)["latencies"]] == ["plain8"]


def test_latency_memory_keeps_the_others(cli, mine, quick):
    done = cli("latency", mine("broken"), "plain8", "--memory", "--format", "json")
    kept(done, [mine("broken")])
    assert [row["model"] for row in json.loads(done.stdout)["reports"]] == ["plain8"]


def test_gradflow_keeps_the_others_and_names_each_that_failed(cli, mine):
    arguments = ("--steps", "0", "--seeds", "1", "--batch", "4", "--input", "3x16x16")
    done = cli("gradflow", mine("broken"), "plain8", *arguments, "--format", "json")
    kept(done, [mine("broken")])
    assert [flow["model"] for flow in json.loads(done.stdout)["flows"]] == ["plain8,input=3x16x16"]
    kept(cli("gradflow", mine("broken"), mine("no_factory"), *arguments), [mine("broken"), mine("no_factory")], 2)


def test_degradation_keeps_the_others_and_their_other_seeds(cli, mine, tmp_path):
    arguments = ("--epochs", "0.1", "--seeds", "2", "--dir", str(tmp_path), "--format", "json")
    done = cli("degradation", "resent20", mine("broken"), "plain8", *arguments)
    kept(done, ["resent20", mine("broken")], lines=2)
    document = json.loads(done.stdout)
    assert [(one["cell"]["model"], one["cell"]["seed"], one["finished"]) for one in document["trainings"]] == [
        ("plain8", 0, True),
        ("plain8", 1, True),
    ]


def test_report_keeps_the_others(cli, mine, tmp_path):
    page = tmp_path / "page.html"
    done = cli("report", mine("broken"), "plain8", "--parts", "cost,gradient", "-o", str(page))
    kept(done, [mine("broken")])
    assert "plain8" in page.read_text()


def test_a_report_of_what_is_stored_keeps_the_others(cli, mine, tmp_path):
    page, stored = tmp_path / "page.html", tmp_path / "costs.json"
    cli("flops", "resnet20", "-o", str(stored))
    done = cli("report", "resnet20", mine("broken"), "resent20", "--from", str(stored), "-o", str(page))
    kept(done, [mine("broken"), "resent20"], lines=2)
    assert "resnet20" in page.read_text()


def test_a_report_of_nothing_is_not_written(cli, mine, tmp_path):
    page = tmp_path / "page.html"
    kept(cli("report", mine("broken"), "resent20", "--parts", "cost", "-o", str(page)), ["resent20", mine("broken")], 2)
    assert not page.exists()


def test_one_model_alone_fails_as_it_always_did(cli, mine):
    done = cli("flops", mine("broken"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "not today" in done.stderr


def test_a_folder_that_was_taken_away_is_one_line(tmp_path):
    (tmp_path / "gone").mkdir()
    code = (
        "import os, sys; os.chdir(sys.argv.pop(1)); os.rmdir(os.getcwd()); from resbench.cli.main import main; main()"
    )
    done = forked(code, tmp_path / "gone", "report", "resnet8")
    assert done.returncode == 2
    assert done.stderr == ("resbench: the folder that this was called in is gone; call it again from one that stays\n")
