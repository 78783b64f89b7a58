"""A search finds the front of what it looked at, goes on where it was, and says what it is worth beyond chance."""

import signal
import subprocess
import sys
import time

import pandas
import pytest
from commands import called
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import resbench
from resbench.errors import MeasureError, OptionError
from resbench.sweeps.searching.trials import Trials

SPACE = """
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 56, step = 6 }
width = { from = 1, to = 8, scale = "powers of two" }
norm = ["bn", "none"]
input = "3x8x8"

[[networks]]
model = "regnet"
slope = { from = 10, to = 40 }
group = { from = 8, to = 16, step = 8, scale = "log" }
input = "3x32x32"
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPACE)
    return str(path)


def networks(folder):
    rows = pandas.read_parquet(folder)
    return rows[rows["question"] == "cost"].set_index("network")


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "random"])
def test_the_front_is_that_of_all_that_was_looked_at(space, tmp_path, sampler):
    found = resbench.search(space, ["macs", "depth"], budget=25, folder=tmp_path / "out", sampler=sampler)
    rows = networks(tmp_path / "out")
    assert len(rows) == found.looked == 25
    best = {one.network: one.values for one in found.front}
    for name, row in rows.iterrows():
        beaten = any(
            (r.macs <= row.macs and r.depth < row.depth) or (r.macs < row.macs and r.depth <= row.depth)
            for r in rows.itertuples()
        )
        assert (name in best) == (not beaten)
    assert all(best[name] == (rows.macs[name], rows.depth[name]) for name in best)
    assert 0 < found.hypervolume <= 1
    assert len(found.random.volumes) == 10
    assert ("better than all of them" in found.verdict) == (found.hypervolume > max(found.random.volumes))


def test_it_goes_on_where_it_was_with_other_networks(space, tmp_path):
    first = resbench.search(space, ["macs"], budget=8, folder=tmp_path / "out", sampler="random")
    before = set(networks(tmp_path / "out").index)
    more = resbench.search(space, ["macs"], budget=16, folder=tmp_path / "out", sampler="random")
    assert (first.looked, more.earlier, more.looked) == (8, 8, 16)
    assert before < set(networks(tmp_path / "out").index)
    assert {one.name for one in tmp_path.iterdir()} == {"mine.toml", "out", ".out.search"} | (
        {".out.search.lock"} if (tmp_path / ".out.search.lock").exists() else set()
    )


def test_a_small_space_ends_early_and_says_so(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[networks]]\nmodel = "resnet{depth}"\ndepth = [8, 14]\ninput = "3x8x8"\n')
    done = called("search", str(path), "--minimize", "params", "--budget", "9", "--dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "the optimiser found no others" in done.stdout + done.stderr
    assert done.stdout.splitlines()[2].endswith("resnet8,input=3x8x8")


def test_limits_hold_and_what_needs_a_run_is_asked(space, tmp_path):
    found = resbench.search(
        space, ["gradient", "params"], budget=4, folder=tmp_path / "out", limits=["macs=:3M"], processes=2
    )
    assert (networks(tmp_path / "out").macs <= 3e6).all()
    rows = pandas.read_parquet(tmp_path / "out")
    assert (rows["question"] == "gradient").sum() == 4
    assert found.hypervolume is None
    assert "Random search was not asked" in found.verdict
    assert all(one.values[0] >= 0 for one in found.front)


def test_what_a_sweep_has_found_is_not_asked_again(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[networks]]\nmodel = "plain{depth}"\ndepth = [8, 14]\ninput = "3x8x8"\n')
    resbench.sweep(str(path), 2, metrics=["gradnorm"], folder=tmp_path / "out")
    before = pandas.read_parquet(tmp_path / "out")
    found = resbench.search(str(path), ["gradnorm", "params"], budget=2, folder=tmp_path / "out")
    after = pandas.read_parquet(tmp_path / "out")
    assert len(after) == len(before) == 4
    assert after["took_s"].dropna().tolist() == before["took_s"].dropna().tolist()
    norms = before.dropna(subset="gradnorm").set_index("network")["gradnorm"]
    assert {one.network: one.values[0] for one in found.front} == {
        name: norms[name] for name in (one.network for one in found.front)
    }


def test_a_journal_that_was_cut_off_in_a_line_goes_on(space, tmp_path):
    resbench.search(space, ["params"], budget=4, folder=tmp_path / "out")
    journal = tmp_path / ".out.search"
    journal.write_bytes(journal.read_bytes()[:-9])
    for budget in (6, 8):  # the second reads what the first wrote behind the cut
        assert resbench.search(space, ["params"], budget=budget, folder=tmp_path / "out").looked == budget


def test_a_damaged_journal_and_a_large_seed_and_the_real_reason(space, tmp_path):
    words = ["--minimize", "macs", "--budget", "3", "--dir", str(tmp_path / "out"), "--seed", "99999999999999"]
    assert called("search", space, *words).returncode == 0
    journal = tmp_path / ".out.search"
    journal.write_text("garbage\n")
    done = called("search", space, *words)
    assert done.returncode == 2
    assert "cannot read the journal of the search" in done.stderr.splitlines()[-1]
    path = tmp_path / "silu.toml"
    path.write_text('[[networks]]\nmodel = "efficientnet_b0"\ninput = "3x32x32"\n')
    done = called("search", str(path), "--minimize", "naswot", "--budget", "1", "--dir", str(tmp_path / "silu"))
    assert done.returncode == 2
    assert "the network has none" in done.stderr.splitlines()[-1]


def test_a_kill_leaves_no_trial_running(space, tmp_path):
    words = ["search", space, "--minimize", "error", "--epochs", "200", "--budget", "3", "--dir", tmp_path / "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "resbench", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    journal, deadline = tmp_path / ".out.search", time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and b"trial_id" in journal.read_bytes()):
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    storage = JournalStorage(JournalFileBackend(str(journal)))
    [study] = storage.get_all_studies()
    assert [trial.state.name for trial in storage.get_all_trials(study._study_id)][-1] == "RUNNING"
    trials = Trials(journal, study.study_name, 1, "nsga2", 0)
    assert not trials.looked
    assert {trial.state.name for trial in trials.study.get_trials()} <= {"FAIL", "PRUNED"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minimize", "errr"], "'errr' is no number of a network; did you mean"),
        (["--minimize", "verdict"], "'verdict' is no number of a network"),
        (["--minimize", ","], "takes words with commas between; received ','"),
        (["--minimize", "error:eager"], "latency alone takes a runtime"),
        (["--minimize", "macs", "--sampler", "nsga"], "--sampler takes nsga2, tpe, random"),
        (["--minimize", "macs", "--limit", "macs=:10"], "gave no network within the limits in 2,000 trials"),
        ([], "--minimize"),
    ],
)
def test_bad_input_is_one_line(words, said, space, tmp_path):
    done = called("search", space, *words, "--dir", str(tmp_path / "out"))
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["mine.toml"]


def test_a_journal_that_was_there_stays_where_nothing_is_found(space, tmp_path):
    resbench.search(space, ["macs"], budget=3, folder=tmp_path / "out")
    with pytest.raises(MeasureError, match="no network within the limits"):
        resbench.search(space, ["macs"], budget=3, limits=["macs=:10"], folder=tmp_path / "out")
    assert resbench.search(space, ["macs"], budget=3, folder=tmp_path / "out").earlier == 3


def test_a_folder_of_another_space_is_refused(space, tmp_path):
    resbench.sweep("residual", 3, folder=tmp_path / "out")
    with pytest.raises(resbench.ResbenchError, match="holds a sweep of the space residual"):
        resbench.search(space, ["macs"], budget=3, folder=tmp_path / "out")
    with pytest.raises(OptionError, match="budget"):
        resbench.search(space, ["macs"], budget=0, folder=tmp_path / "other")
    with pytest.raises(MeasureError):
        resbench.search(space, ["macs"], budget=1, folder=tmp_path / "other", limits=["macs=:10"])


def test_an_optimiser_that_asks_for_the_same_again_is_helped_on(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[networks]]\nmodel = "resnet{depth}"\ndepth = [8, 14, 20, 26, 32]\nwidth = [1, 2, 3, 4]\n')
    found = resbench.search(str(path), ["params"], budget=20, folder=tmp_path / "out", sampler="tpe")
    assert found.looked == 20, "all there are, though TPE would go on asking for the smallest"


def test_what_other_calls_have_in_the_folder_is_said(tmp_path, space):
    resbench.search(space, ["macs"], budget=3, folder=tmp_path / "out")
    found = resbench.search(space, ["depth", "macs"], budget=2, folder=tmp_path / "out", seed=5)
    assert found.others == len(set(pandas.read_parquet(tmp_path / "out")["network"])) - found.looked
    assert ("of other calls" in str(found)) == bool(found.others)
