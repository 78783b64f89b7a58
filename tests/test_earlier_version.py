"""Folders that version 0.1.0 kept are gone on from: nothing that is there is measured, trained or asked again."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from commands import called

from resbench import load as load_result
from resbench.data import load_split
from resbench.networks.load import load
from resbench.networks.weights import load_weights
from resbench.training.feed import Feed

KEPT = Path(__file__).parent / "golden/kept"
TIMED = ("seconds", "earlier", "environment", "made_with")
NET = "file:net.py:small,input=3x16x16"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    def there(commit):
        shutil.copytree(KEPT / commit, tmp_path / commit)
        (tmp_path / commit / "net.py.txt").rename(tmp_path / commit / "net.py")
        monkeypatch.chdir(tmp_path / commit)
        return tmp_path / commit

    return there


def ended(*words):
    done = called(*words, "-o", "now.json")
    assert done.returncode == 0, done.stderr
    return json.loads(Path("now.json").read_text())


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}


def untimed(value):
    if isinstance(value, dict):
        return {key: untimed(one) for key, one in value.items() if key not in TIMED}
    return [*map(untimed, value)] if isinstance(value, list) else value


def test_a_training_is_not_made_again(kept):
    folder = kept("b55e83e")
    before = files(folder / "trained")
    now = ended("degradation", NET, "--epochs", "1", "--threads", "1", "--dir", "trained")
    assert files(folder / "trained") == before
    assert untimed(now) == untimed(json.loads((folder / "trained.json").read_text()))


def test_the_points_of_a_plane_are_there(kept):
    folder = kept("b55e83e")
    words = ("--epochs", "1", "--threads", "1", "--dir", "trained", "--points", "3", "--images", "32")
    [now] = ended("landscape", NET, *words)["surfaces"]
    [then] = json.loads((folder / "plane.json").read_text())["surfaces"]
    assert now["earlier"] == 9
    assert untimed(now) == untimed(then)


def test_a_sweep_and_a_search_ask_only_what_is_new(kept):
    kept("b55e83e")
    words = ("-n", "8", "--limit", "macs=:5M", "--metrics", "synflow", "--dir", "swept")
    swept = ended("sweep", "residual", *words)
    assert (swept["earlier"], swept["networks"], swept["rows"]) == (6, 8, 16)
    assert [(one["question"], one["earlier"]) for one in swept["questions"]] == [("synflow", 6)]
    searched = ended("search", "residual", "--minimize", "macs,params", "--budget", "6", "--dir", "searched")
    assert (searched["earlier"], searched["looked"]) == (4, 6)


def test_weights_and_history_of_the_first_version_open(kept):
    folder = kept("e460e53")
    [checkpoint] = (folder / "trained").glob("*.pt")
    net = load_weights(load(NET).module, checkpoint).eval()
    train, test = (part.resized((3, 16, 16)) for part in load_split("digits"))
    batches = [*Feed(train, test, 128, False, "cpu").testing()]
    wrong = sum((net(x).argmax(1) != labels).sum().item() for x, labels in batches)
    [then] = load_result("trained.json").ends
    assert wrong / sum(len(labels) for _, labels in batches) == then["test_error"]
    assert not net[0].weight.equal(load(NET).module[0].weight), "trained"
    [packed] = (folder / "past").glob("*.gz")
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    done = called("history", "--dir", "past")
    assert done.returncode == 0
    assert "71a001d" in done.stdout
