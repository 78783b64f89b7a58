"""A network of the caller's own code that hangs, raises or kills the process that it is in is a row, and no end."""

import sys
from pathlib import Path

import pandas
import pytest
from commands import called

import resbench
from resbench.errors import SourceError, foreign
from resbench.sweeps import answers, draws
from resbench.sweeps.pool import Crew, pool
from resbench.sweeps.questions import Cell, How, chosen

NETWORK = """
import os, sys, time
from multiprocessing import parent_process
from resbench.errors import ArchitectureError
from resbench.arch import Seq, Conv2d, ReLU, Linear, GlobalAvgPool, Flatten

def does(mode):
    if mode == "hangs": time.sleep(600)
    if mode == "raises": raise MemoryError("no room")
    if mode == "exits": raise SystemExit("out")
    if mode == "interrupts": raise KeyboardInterrupt
    if mode == "dies": os._exit(9)
    if mode == "cannot be": raise ArchitectureError("these do not go together")

def network(w=8, cell="", draw=""):
    if parent_process() is not None:
        does(cell if "resbench.sweeps.answers" in sys.modules else draw)
    return Seq(c=Conv2d(3, w, 3, padding=1), r=ReLU(), p=GlobalAvgPool(), f=Flatten(), fc=Linear(w, 10))

def fits(w=8, more=0):
    return Seq(c=Conv2d(3, w, 3), p=GlobalAvgPool(), f=Flatten(), fc=Linear(w + more, 10))
"""


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A space of a function of a file, written by its options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORK)

    def written(factory, options):
        (tmp_path / "mine.toml").write_text(
            f'[[networks]]\nmodel = "file:nets.py:{factory}"\n{options}\ninput = "3x8x8"\n'
        )
        return "mine.toml"

    return written


def soon(cell):
    """Answer a cell in a process that has no patience."""
    answers.PATIENCE_S = 1.0
    return answers.answered_in_time(cell)


def test_a_cell_that_hangs_while_its_network_is_loaded_is_ended(space):
    space("network", "")
    ok, hangs = (
        Cell(f"file:nets.py:network,cell={word},input=3x8x8", chosen(["naswot"])[0], 0, How())
        for word in ("ok", "hangs")
    )
    with Crew(2) as crew:
        found = dict(crew.each(soon, [hangs, ok], answers.died))
    assert found[ok].figures["naswot"] > 0
    assert found[hangs].failed == (
        "the process that ran it died twice: perhaps of too little memory, or it hung for 1.0 hours"
    )


def test_a_cell_whose_network_raises_or_dies_is_a_row_and_the_others_are_asked(space):
    name = space("network", 'cell = ["ok", "raises", "exits", "interrupts", "dies"]\nw = [4, 8]')
    done = called("sweep", name, "--grid", "--dir", "out", "--metrics", "naswot", "--processes", "2")
    assert done.returncode == 0, done.stderr
    assert "naswot: 8 of 10 cells failed, the last one thus: " in done.stdout + done.stderr
    rows = pandas.read_parquet("out")
    rows = rows[rows["question"] == "naswot"].set_index("option_cell")
    assert (rows.loc["ok", "naswot"] > 0).all()
    told = rows["failed"].dropna().groupby("option_cell").unique().map(list).to_dict()
    assert told == {
        "raises": ["nets:network: the factory raised MemoryError: no room"],
        "exits": ["nets:network: the factory raised SystemExit: out"],
        "interrupts": ["nets:network: the factory raised KeyboardInterrupt: KeyboardInterrupt"],
        "dies": ["the process that ran it died twice: perhaps of too little memory, or it hung for 1.0 hours"],
    }


def test_whatever_an_answer_raises_is_the_row_of_its_cell(monkeypatch):
    def stops(cell):
        raise KeyboardInterrupt("of an operator")

    monkeypatch.setattr(answers, "ANSWERS", {"naswot": stops})
    cell = Cell("resnet8", chosen(["naswot"])[0], 0, How())
    assert answers.answered_in_time(cell).failed == "KeyboardInterrupt: of an operator"
    with pytest.raises(KeyboardInterrupt):
        answers.answered(cell)


def test_one_cell_alone_runs_in_a_process_of_its_own_where_there_are_several(space):
    found = resbench.sweep(space("network", 'cell = "dies"'), 1, metrics=["naswot"], folder="out", processes=2)
    assert found.questions[0].failed == 1


def test_a_network_that_nobody_can_draw_is_a_row_and_the_others_are_drawn(space, monkeypatch):
    monkeypatch.setattr(draws, "PATIENCE_S", 2.0)
    name = space("network", 'draw = ["ok", "hangs", "dies", "raises", "interrupts", "cannot be"]\nw = [4, 8]')
    found = resbench.sweep(name, folder="out", grid=True, processes=2)
    rows = pandas.read_parquet("out").set_index("option_draw")
    assert found.networks == len(rows) == 10, "what cannot be is no network"
    assert (rows.loc["ok", "macs"] > 0).all()
    for word in ("hangs", "dies"):
        assert rows.loc[word, "failed"].str.startswith("the process that made it died twice").all()
    assert (rows.loc["raises", "failed"] == "nets:network: the factory raised MemoryError: no room").all()
    assert rows.loc["interrupts", "failed"].str.startswith("nets:network: the factory raised KeyboardInterrupt").all()
    assert found.failed.networks == 8
    first = "file:nets.py:network,draw=hangs,w=4,input=3x8x8: the process that made it died twice"
    assert found.tables()[-1].warnings[0].startswith(f"8 of 10 networks have no figures, the first one thus: {first}")


def test_draws_do_not_pass_over_what_a_function_fails_for(space):
    Path("nets.py").write_text(NETWORK.replace("def fits(w=8, more=0):", "def fits(w=8):\n    more = 0 // (w < 6)"))
    name = space("fits", "w = [4, 5, 6, 7]")
    told = "2 of 4 networks have no figures, the first one thus: file:nets.py:fits,w="
    for words in (["--dry-run", "-n", "4"], ["-n", "4", "--dir", "out"]):
        done = called("sweep", name, *words)
        assert done.returncode == 0
        assert told in done.stdout + done.stderr
    failed = pandas.read_parquet("out").set_index("option_w")["failed"].dropna()
    assert sorted(failed.index) == [6, 7]
    assert set(failed) == {"nets:fits: the factory raised ZeroDivisionError: integer division or modulo by zero"}
    looked = resbench.search(name, ["macs", "params"], budget=4, folder="search")
    assert looked.failed == 2
    assert "the factory raised ZeroDivisionError" in looked.tables()[0].warnings[0]


REASON = "file:nets.py:fits,w=4,more=1,input=3x8x8: fc 10 expects 5 features, received 4"


def test_where_no_network_has_figures_the_sweep_says_so_and_why(space):
    name = space("fits", "w = [4, 8]\nmore = 1")
    for words in (["--dry-run"], ["--dir", "out", "--metrics", "naswot"]):
        done = called("sweep", name, "--grid", *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"2 of 2 networks have no figures, the first one thus: {REASON}; " in done.stderr
        assert done.stderr.count("\n") == 1
    assert pandas.read_parquet("out")["failed"].tolist()[0] == REASON.partition(": ")[2]
    done = called("sweep", "mine", "--report", "--dir", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"out holds no network with figures, the first one thus: {REASON}" in done.stderr


def test_where_some_networks_have_none_their_count_and_the_first_reason_are_told(space):
    name = space("fits", "w = [4, 5, 6, 7, 8]\nmore = [0, 1]")
    told = f"5 of 10 networks have no figures, the first one thus: {REASON}"
    for words in (["--dry-run"], ["--dir", "out"]):
        done = called("sweep", name, "--grid", *words)
        assert done.returncode == 0
        assert told in done.stdout + done.stderr
    read = called("sweep", "mine", "--report", "--dir", "out")
    assert f"5 of 10 cells failed, and their networks lack those figures; the first one thus: {REASON}." in read.stdout
    looked = resbench.search(name, ["macs", "params"], budget=10, folder="search")
    assert looked.failed == 5
    assert "The first one failed thus: file:nets.py:fits,w=" in looked.tables()[0].warnings[0]


def of_itself():
    """What other people's code raises in this process, which does not heed Ctrl-C."""
    with foreign(SourceError, lambda error: f"raised {type(error).__name__}"):
        raise KeyboardInterrupt


def test_a_keyboard_interrupt_is_the_users_only_where_ctrl_c_is_heeded():
    with pytest.raises(KeyboardInterrupt):
        of_itself()
    with pool(1) as alone, pytest.raises(SourceError, match="raised KeyboardInterrupt"):
        alone.submit(of_itself).result()


def test_a_function_that_calls_for_a_network_that_is_not_there_is_a_row_too(space):
    code = "def net(d=8): return architecture(f'resnet{d}' + ',none=1' * (d == 9))"
    Path("nets.py").write_text(f"from resbench.arch.catalog import architecture\n{code}")
    found = resbench.sweep(space("net", "d = [8, 9, 14]"), grid=True, folder="out")
    assert (found.networks, found.failed.networks) == (3, 1)
    assert found.failed.reason.startswith("file:nets.py:net,d=9,input=3x8x8: ")


@pytest.mark.parametrize("words", [["sweep", "residual", "--report"], ["sweep", "residual", "-n", "5"]], ids=" ".join)
def test_without_pyarrow_its_extra_is_named(words, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = called(*words, "--dir", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr == "resbench: a sweep keeps its rows by pyarrow: pip install 'resbench[sweep]'\n"


def test_without_optuna_its_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = called("search", "residual", "--minimize", "macs", "--dir", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "pip install 'resbench[sweep]'" in done.stderr


def test_an_empty_place_and_a_broken_file_say_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = called("sweep", "residual", "--report")
    assert done.returncode == 2
    assert done.stderr.endswith("; run `resbench sweep` first, or name its folder by --dir\n")
    (tmp_path / "bad.toml").write_text("model = ")
    done = called("sweep", "bad.toml")
    assert done.returncode == 2
    assert done.stderr.endswith("; expected tables [[networks]] with a model and its options\n")
    with pytest.raises(SourceError, match="; name the folder of a sweep by --merge"):
        resbench.sweep("residual", 3, folder="out", merge=["none"])
