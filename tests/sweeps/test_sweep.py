"""A sweep keeps a row of each network in one dataset, whoever reads it and whatever ends it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow.parquet
import pytest
from commands import called

import resbench
from resbench.arch.catalog import architecture
from resbench.errors import OptionError, OutputError, SourceError
from resbench.files import locked
from resbench.sweeps import dataset
from resbench.sweeps.cells import columns
from resbench.sweeps.measure import plan
from resbench.sweeps.space import Space
from resbench.workers.resident import resident_bytes

SPACE = """
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 110, step = 6 }
width = { from = 1, to = 8 }
shortcut = ["A", "B", "C"]
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPACE)
    return str(path)


def readings(folder):
    """The keys of the rows as four readers find them in the folder."""
    keys = [
        pandas.read_parquet(folder)["key"].tolist(),
        polars.read_parquet(folder)["key"].to_list(),
        [key for (key,) in duckdb.sql(f"select key from '{folder}/*.parquet'").fetchall()],
        pyarrow.parquet.read_table(folder)["key"].to_pylist(),
    ]
    assert keys[0] == keys[1] == keys[2] == keys[3]
    return keys[0]


def test_a_row_of_each_network_with_its_figures(space, tmp_path):
    found = resbench.sweep(space, 40, folder=tmp_path / "out")
    assert (found.networks, found.earlier, found.rows) == (40, 0, 40)
    rows = pandas.read_parquet(tmp_path / "out")
    assert len(set(rows["network"])) == 40
    for row in rows.head(5).itertuples():
        total = architecture(row.network).cost().total
        assert (row.params, row.macs, row.activations) == (total.params, total.macs, total.activations)
        assert row.model == "resnet{depth}"
        assert row.network.startswith(f"resnet{row.option_depth}")
    assert rows.dtypes["option_depth"] == rows.dtypes["option_width"] == "int64"
    assert set(rows["option_shortcut"]) == {"A", "B", "C"}, "defaults are values too"
    assert rows["option_width"].min() == 1
    [macs] = [one for one in found.spreads if one.figure == "macs"]
    assert (macs.least, macs.median, macs.most) == (rows.macs.min(), rows.macs.median(), rows.macs.max())


def test_a_larger_sweep_and_a_wider_space_keep_what_is_there(space, tmp_path):
    resbench.sweep(space, 20, folder=tmp_path / "out")
    first = readings(tmp_path / "out")
    more = resbench.sweep(space, 30, folder=tmp_path / "out")
    assert (more.networks, more.earlier, more.rows) == (30, 20, 30)
    assert readings(tmp_path / "out")[:20] == first
    (tmp_path / "mine.toml").write_text(SPACE + 'order = ["original", "full-preact"]\n')
    wider = resbench.sweep(space, 40, folder=tmp_path / "out")
    assert wider.earlier > 0
    rows = pandas.read_parquet(tmp_path / "out")
    assert rows["key"].tolist()[:30] == readings(tmp_path / "out")[:30]
    assert rows["option_order"].isna().sum() > 30 - 1
    narrow = (tmp_path / "mine.toml").write_text(SPACE) and resbench.sweep(space, 30, folder=tmp_path / "out")
    assert (narrow.earlier, narrow.rows) == (30, wider.rows), "columns that it has no longer are kept"


def test_another_machines_rows_are_taken_once(space, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    resbench.sweep(space, 10, folder=one)
    (tmp_path / "mine.toml").write_text(SPACE + 'order = ["original", "full-preact"]\n')
    theirs = resbench.sweep(space, 30, folder=other)
    assert theirs.rows == 30
    shared = len(set(readings(one)) & set(readings(other)))
    found = resbench.sweep(space, 30, folder=one, merge=[other, other])
    assert (found.merged, found.rows) == (30 - shared, 40 - shared)
    assert found.earlier == 30
    assert set(readings(one)) >= set(readings(other))
    assert readings(other) == pandas.read_parquet(other)["key"].tolist()
    with pytest.raises(SourceError, match="holds no sweep: expected files such as part-"):
        resbench.sweep(space, 30, folder=one, merge=[tmp_path])


def test_several_processes_find_the_same_rows(space, tmp_path):
    resbench.sweep(space, 300, folder=tmp_path / "one")
    resbench.sweep(space, 300, folder=tmp_path / "two", processes=2)
    assert readings(tmp_path / "one") == readings(tmp_path / "two")


def test_processes_that_share_a_sweep_end_with_it(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "resbench", "sweep", "residual", "-n", "100000", "--dir", tmp_path, "--processes", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 100
    while len(children(process.pid)) < 3 and time.monotonic() < deadline:  # theirs, and one that tracks resources
        time.sleep(0.01)
    theirs = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    while any(map(runs, theirs)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(theirs) == 3
    assert not [one for one in theirs if runs(one)]


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if path.exists() else []


def runs(pid):
    """It is there, and not a process that has ended and waits to be read."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_limits_are_kept_by_every_row_and_a_grid_is_all_of_them(space, tmp_path):
    within = resbench.sweep(space, 20, folder=tmp_path / "out", limits=["macs=50M:100M", "depth=:50"])
    rows = pandas.read_parquet(tmp_path / "out")
    assert len(rows) == within.networks == 12
    assert "Of 20 that were asked for" in within.tables()[0].warnings[0]
    assert rows.macs.between(50e6, 100e6).all()
    assert (rows.depth <= 50).all()
    assert "within macs=50000000:100000000, depth=:50" in within.tables()[0].notes[0]
    every = resbench.sweep(space, folder=tmp_path / "grid", grid=True)
    assert not every.tables()[0].warnings
    assert every.networks == 18 * 8 * 3
    assert len(set(readings(tmp_path / "grid"))) == every.networks


def test_readers_see_whole_rows_in_the_middle_and_after_a_kill(space, tmp_path):
    folder = tmp_path / "out"
    process = often(folder)
    deadline, seen = time.monotonic() + 60, []
    try:
        while len(seen) < 3 and time.monotonic() < deadline:
            if [*folder.glob("*.parquet")]:
                keys = readings_of_a_moment(folder)
                if keys and (not seen or len(keys) > len(seen[-1])):
                    seen.append(keys)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert len(seen) == 3
    left = readings(folder)
    assert all(left[: len(keys)] == keys for keys in seen)
    assert resbench.sweep("residual", len(left) + 600, folder=folder).earlier >= len(left)
    assert readings(folder)[: len(left)] == left
    assert len(set(readings(folder))) == len(left) + 600
    assert all(one.suffix == ".parquet" or one.name == ".lock" for one in folder.iterdir())
    assert {one.name for one in tmp_path.iterdir()} == {"mine.toml", "out"}


def often(folder):
    """A sweep that makes a part of each batch."""
    often = "from resbench.sweeps import dataset; dataset.LEAST_S = 0.0; dataset.SHARE = 0.0"
    code = f"{often}; from resbench.__main__ import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "sweep", "residual", "-n", "100000", "--dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_kill_loses_no_more_than_the_batch_that_ran(tmp_path):
    folder, waiting = tmp_path / "out", tmp_path / ".out.waiting"
    seldom = "from resbench.sweeps import dataset; dataset.LEAST_S = 1000.0; from resbench.__main__ import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", seldom, "sweep", "residual", "-n", "100000", "--dir", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not (waiting.exists() and waiting.stat().st_size > 700_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not [*folder.glob("*.parquet")]
    waiting.write_bytes(waiting.read_bytes()[:-1000])  # and the last batch is torn
    with pytest.raises(OutputError, match="holds a sweep of the space residual"):
        resbench.sweep("regnet", 5, folder=folder)
    found = resbench.sweep("residual", 2000, folder=folder)
    assert found.earlier >= 512
    assert found.earlier % 256 == 0
    assert len(set(readings(folder))) == found.rows == max(2000, found.earlier)
    assert not waiting.exists()


@pytest.mark.skipif(resident_bytes() is None, reason="nothing says how much memory a process has")
def test_rows_that_wait_for_their_part_take_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "LEAST_S", 1000.0)
    kinds, facts = columns(Space.of("residual")), {"space": "residual"}
    with dataset.opened(tmp_path / "one", kinds, facts) as held:
        held.add([{"key": "first", "synflow_log10": 0.5}])
        before = resident_bytes()
        for i in range(3000):
            held.add([{"key": f"{i:04}", "synflow_log10": i / 2}])
        assert resident_bytes() - before < 40 << 20
        shutil.copy(tmp_path / ".one.waiting", tmp_path / ".two.waiting")  # as a kill leaves it
    with dataset.opened(tmp_path / "two", kinds, facts):
        pass
    one, two = (pyarrow.parquet.read_table(tmp_path / name) for name in ("one", "two"))
    assert one["synflow_log10"].to_pylist() == [0.5, *(i / 2 for i in range(3000))]
    assert one.equals(two)


def test_many_parts_are_put_together_and_no_row_is_there_twice(space, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    for n in (5, 10, 15):
        resbench.sweep(space, n, folder=folder)
    assert len(list(folder.glob("*.parquet"))) == 3
    first = readings(folder)
    parts = sorted(folder.glob("*.parquet"))
    shutil.copy(parts[0], folder / "part-000004.parquet")  # as after a kill when parts had just been put together
    assert resbench.sweep(space, 15, folder=folder).rows == 15
    assert readings(folder) == first
    assert [one.name for one in folder.glob("*.parquet")] == ["part-000005.parquet"]
    monkeypatch.setattr("resbench.sweeps.dataset.MOST_PARTS", 1)
    resbench.sweep(space, 20, folder=folder)
    resbench.sweep(space, 25, folder=folder)
    assert len(list(folder.glob("*.parquet"))) == 2
    assert readings(folder)[:15] == first


def test_whole_and_real_numbers_share_a_column_and_words_do_not(tmp_path):
    path, folder = tmp_path / "mine.toml", tmp_path / "out"
    for slopes, kind in (("[20, 25]", "int64"), ("[20, 25, 27.5]", "float64"), ("[20]", "float64")):
        path.write_text(f'[[networks]]\nmodel = "regnet"\nslope = {slopes}\nse = ["no", "yes"]\n')
        found = resbench.sweep(str(path), 6, folder=folder)
        assert pandas.read_parquet(folder)["option_slope"].dtype == kind
    assert len(readings(folder)) == found.rows == 6
    path.write_text('[[networks]]\nmodel = "regnet"\nslope = ["20", "25"]\n')
    with pytest.raises(OutputError, match="has option_slope as float, and the space as str: expected another --dir"):
        resbench.sweep(str(path), 10, folder=folder)


def readings_of_a_moment(folder):
    """What four readers find one after the other, each no less than the one before."""
    counts = [
        len(pandas.read_parquet(folder)),
        len(polars.read_parquet(folder)),
        len(duckdb.sql(f"select key from '{folder}/*.parquet'").fetchall()),
        pyarrow.parquet.read_table(folder).num_rows,
    ]
    assert counts == sorted(counts)
    return pandas.read_parquet(folder)["key"].tolist()[: counts[0]]


def test_one_folder_is_of_one_space_and_one_sweep(space, tmp_path):
    resbench.sweep(space, 5, folder=tmp_path / "out")
    with pytest.raises(OutputError, match=r"holds a sweep of the space mine: expected that, .*; received residual"):
        resbench.sweep("residual", 5, folder=tmp_path / "out")
    with locked(tmp_path / "out"), pytest.raises(OutputError, match="another run works in"):
        resbench.sweep(space, 5, folder=tmp_path / "out")
    [part] = (tmp_path / "out").glob("*.parquet")
    part.write_bytes(b"PAR1 nothing")
    with pytest.raises(SourceError, match=r"cannot read .*part-000001\.parquet as a sweep"):
        resbench.sweep(space, 5, folder=tmp_path / "out")
    assert part.read_bytes() == b"PAR1 nothing"


def test_what_no_column_holds_is_a_row_with_its_reason(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[networks]]\nmodel = "resnet20"\n\n'
        '[[networks]]\nmodel = "resnet9998"\nwidth = 16384\ninput = "3x1048576x1048576"\n'
    )
    found = resbench.sweep(str(path), 2, folder=tmp_path / "out")
    assert found.rows == 2
    failed = pandas.read_parquet(tmp_path / "out").set_index("model")["failed"]
    assert failed["resnet9998"] == "its macs are 2**63 or more, which no column holds"
    assert pandas.isna(failed["resnet20"])


@pytest.mark.parametrize("name", ["~/x", "s3:x", "file:x"])
def test_a_folder_of_any_name_is_a_folder(name, space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    assert called("sweep", space, "-n", "3", "--dir", name).returncode == 0
    assert called("sweep", space, "-n", "5", "--dir", name).returncode == 0
    assert len(list((tmp_path / name).glob("*.parquet"))) == 2


def test_a_foreign_file_is_no_part_and_the_root_no_folder(space, tmp_path):
    import pyarrow

    (tmp_path / "out").mkdir()
    for facts in (b"[1]", b"{}", b"nonsense", None):
        table = pyarrow.table({"key": ["a"]}).replace_schema_metadata({b"resbench": facts} if facts else None)
        pyarrow.parquet.write_table(table, tmp_path / "out" / "x.parquet")
        with pytest.raises(SourceError, match="is no part of a sweep"):
            resbench.sweep(space, 3, folder=tmp_path / "out")
    with pytest.raises(OutputError, match="expected a folder with a name"):
        resbench.sweep(space, 3, folder="/")
    assert not Path("/.lock").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["residul"], "did you mean residual"),
        (["residual", "--limit", "macs=5G:1G"], "the range is upside down"),
        (["residual", "--limit", "macz=:1G"], "did you mean macs"),
        (["residual", "--limit", "macs=1G"], "--limit takes a range such as macs=50M:100M"),
        (["residual", "--limit", "macs=:1X"], "--limit takes numbers such as 50M"),
        (["residual", "--limit", "macs=:10"], "gave no network within the limits in 10,000 draws"),
        (["nasbench201", "--limit", "params=:1", "--grid"], "gave no network within the limits in all 15,625 combin"),
        (["residual", "-n", "0"], "-n"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = called("sweep", *arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not [*tmp_path.iterdir()]


def test_a_dry_run_says_cells_time_and_disk_and_writes_nothing(space, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = called("sweep", space, "-n", "1000", "--dry-run", "-f", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["cells"] == document["size"] == 18 * 8 * 3
    assert document["seconds"] > 0
    assert [one.name for one in tmp_path.iterdir()] == ["mine.toml"]
    with pytest.raises(OptionError):
        plan(space, 0)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.toml"]


def test_a_dry_run_of_a_grid_counts_the_networks_within_the_limits(space, tmp_path):
    limits = ["params=:3M", "depth=30:"]
    planned = plan(space, grid=True, limits=limits, metrics=["gradnorm"], seeds=2)
    found = resbench.sweep(space, folder=tmp_path / "out", grid=True, limits=limits)
    by_hand = [
        architecture(f"resnet{depth},width={width},shortcut={shortcut}").cost().total.params <= 3_000_000
        for depth in range(32, 111, 6)
        for width in range(1, 9)
        for shortcut in "ABC"
    ]
    assert planned.networks == found.networks == sum(by_hand) < planned.size == 18 * 8 * 3
    assert planned.cells == 3 * planned.networks
    assert not planned.at_most


def test_a_dry_run_that_does_not_count_says_at_most(space, monkeypatch):
    assert plan(space, 300, limits=["params=1:"]).at_most
    monkeypatch.setattr("resbench.sweeps.measure.COUNTED", 431)
    planned = plan(space, grid=True, limits=["depth=30:"])
    assert planned.at_most and planned.networks == planned.size
    assert "at most" in planned.tables()[0].notes[-1]
    assert not plan(space, 150).at_most
