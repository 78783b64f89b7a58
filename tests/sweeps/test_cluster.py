"""A cluster of Ray answers the cells of a sweep as this process does, and what dies there is a row of its own."""

import builtins
import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
from commands import called, started

import resbench
from resbench.errors import MeasureError
from resbench.sweeps.answers import answered, died
from resbench.sweeps.questions import Cell, How, chosen

pytest.importorskip("ray")

SPACE = """
[[networks]]
model = "plain{depth}"
depth = [8, 14]
input = "3x8x8"
"""


@pytest.fixture(scope="module")
def cluster():
    """One of this machine alone."""
    from resbench.sweeps.cluster import connected

    before = builtins.print
    with connected("local", None):
        yield
    assert builtins.print is before


def each(cells, memory):
    """Answer on the cluster; a worker dies at a network of that name."""
    from resbench.sweeps.cluster import each

    def works(cell):  # which workers get by value: they do not know this module
        if cell.network == "dies":
            os._exit(7)
        return answered(cell)

    return dict(each(works, cells, died, memory))


def test_the_cluster_answers_as_this_process_does(cluster, tmp_path):
    cells = [
        Cell(f"plain{depth},input=3x8x8", one, seed, How())
        for depth in (8, 14)
        for seed in (0, 1)
        for one in chosen(["c1", "gradnorm"])
    ]
    found = each(cells, lambda cell: 2**20)
    assert found.keys() == set(cells)
    for cell, answer in found.items():
        own = answered(cell)
        assert (answer.figures, answer.failed) == (own.figures, "")
        assert (answer.place.threads, answer.place.machine) == (1, own.place.machine)


def test_what_dies_or_fits_nowhere_is_an_answer_and_the_others_are_there(cluster):
    good = Cell("plain8,input=3x8x8", chosen(["naswot"])[0], 0, How())
    bad, large = replace(good, network="dies"), replace(good, seed=1)
    on_gpu = replace(good, how=How(device="cuda"), seed=2)
    fails = replace(good, network="efficientnet_b0,input=3x32x32")
    found = each([bad, good, large, on_gpu, fails], lambda cell: 2**60 if cell is large else 2**20)
    assert found[good].figures["naswot"] > 0
    assert "WorkerCrashedError" in found[bad].failed
    assert "needs 1,073,741,824.0 GiB, and no node has more than" in found[large].failed.replace(
        "1073741824", "1,073,741,824"
    )
    assert found[on_gpu].failed == "no node of the cluster has a GPU"
    assert "the network has none" in found[fails].failed


def test_what_hung_is_not_handed_out_for_ever(cluster, tmp_path):
    from resbench.sweeps.cluster import each

    begun = tmp_path / "begun"

    def hangs(cell):  # and its process ends itself
        with begun.open("a") as file:
            file.write("once\n")
        time.sleep(0.6)
        os._exit(1)

    cell = Cell("hangs", chosen(["naswot"])[0], 0, How())
    [(_, answer)] = each(hangs, [cell], died, lambda _: 2**20, lambda _: 0.5)
    assert "WorkerCrashedError" in answer.failed
    assert len(begun.read_text().splitlines()) <= 3


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere.invalid:6379", "nonsense", "host:99999", ""])
def test_an_address_where_nobody_is_ends_with_one_line_and_nothing_is_written(address, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPACE)
    done = called("sweep", str(path), "--dir", str(tmp_path / "out"), "--metrics", "naswot", "--ray", address)
    assert done.returncode == 2
    said = (
        f"no Ray cluster at {address}" if address.endswith((":1", ":6379")) else "--ray takes auto, local, or HOST:PORT"
    )
    assert said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_sweep_on_a_cluster_has_the_rows_of_one_without(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPACE)
    words = ["sweep", str(path), "--metrics", "naswot", "--seeds", "2"]
    for more in (["--dir", str(tmp_path / "one")], ["--dir", str(tmp_path / "two"), "--ray", "local"]):
        done = called(*words, *more)
        assert done.returncode == 0, done.stderr
    one, two = (
        pandas.read_parquet(tmp_path / name).sort_values("key").drop(columns="took_s").reset_index(drop=True)
        for name in ("one", "two")
    )
    pandas.testing.assert_frame_equal(one, two)
    assert len(one) == 2 + 4


def marked(text):
    """The names of the processes that have a text in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (folder / "environ").read_bytes():
                found.append((folder / "comm").read_text().strip())
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_a_cluster_begins_leaves_none_of_its_processes(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    begun = started("print()")  # by a server of processes that stays
    begun.communicate()
    monkeypatch.setenv("MARK_OF_A_TEST", str(tmp_path))
    words = ("sweep", "residual", "-n", "4", "--metrics", "naswot", "--ray", "local")
    process = started("from resbench.__main__ import main; main()", *words)
    while process.poll() is None and not any(name.startswith("ray::") for name in marked(str(tmp_path))):
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "resbench: stopping when the cluster has begun; once more to stop at once" in said
    assert said.endswith("resbench: interrupted: nothing was finished, and nothing is written\n")
    until = time.monotonic() + 10
    while (left := marked(str(tmp_path))) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def test_without_ray_its_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("resbench.sweeps.cells.find_spec", lambda name: None)
    with pytest.raises(MeasureError, match=r"pip install 'resbench\[ray\]'"):
        resbench.sweep("residual", 1, folder=tmp_path / "out", ray="auto")
