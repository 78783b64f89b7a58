"""The command trains, looks, keeps what it has seen, and goes on; it says what it shows and what it cannot."""

import json
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import pandas
import pytest
from browser import Opened
from commands import called, made_once

import resbench
from resbench.drawing.charts import whole
from resbench.landscapes.grid import convex_share, coordinates, every, spline, strides

SMALL = ("plain8,width=1", "resnet8")
ASKED = ("landscape", *SMALL, "--epochs", "1", "--images", "64")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with the two trainings, and a plane of 5 x 5 points of each."""
    return made_once(
        tmp_path_factory, "landscapes", lambda folder: called(*ASKED, "--points", "5", "--dir", folder).returncode
    )


@pytest.fixture
def runs(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "runs")


def look(runs, *more):
    found = called(*ASKED, "--dir", runs, "-o", runs / "found.json", *more)
    assert found.returncode == 0, found.stderr
    return resbench.load(runs / "found.json"), found


def test_a_finer_plane_begins_with_the_points_of_a_coarser_one(runs):
    coarse, said = look(runs, "--points", "5")
    assert "50 points were evaluated by an earlier call" in said.stderr
    fine, said = look(runs, "--points", "9")
    assert "50 points were evaluated by an earlier call" in said.stderr
    for one, other in zip(coarse.surfaces, fine.surfaces, strict=True):
        assert (other.evaluated, other.earlier) == (81, 25)
        assert np.array_equal(one.plane, other.plane[::2, ::2])
        assert one.centre == other.centre
    whole, said = look(runs, "--points", "9", "--dir", runs / "fresh")
    assert "earlier" not in said.stderr
    assert [one.loss for one in whole.surfaces] == [one.loss for one in fine.surfaces]
    other, _ = look(runs, "--points", "5", "--bn", "eval")
    assert other.surfaces[0].earlier == 0, "another treatment of BN is another plane"
    assert other.surfaces[0].loss != coarse.surfaces[0].loss


def test_eigenvalues_over_the_plane_go_on_where_they_were_stopped(runs):
    def ask(folder, **more):
        words = {"epochs": 1, "images": 64, "points": 3, "convexity": 3, "directions": "none", "folder": folder}
        return resbench.landscape("resnet8", **words, **more)

    def stop(step, share):
        if "eigenvalues at point 5" in step:
            raise KeyboardInterrupt

    half = ask(runs, progress=stop)
    assert half.interrupted
    assert sum(np.isfinite(half.surfaces[0].ratios).ravel()) == 4
    assert "orange: not known" in half.pictures()[2].chart.to_dict()["title"]
    whole = ask(runs)
    assert whole.surfaces[0].earlier == 9 + 4
    again = ask(runs / "fresh")
    assert again.surfaces[0].bends == whole.surfaces[0].bends
    assert again.surfaces[0].earlier == 0
    whole.save(runs / "found.json")
    assert resbench.load(runs / "found.json") == whole


def test_a_killed_run_goes_on_with_every_whole_line(runs):
    command = [sys.executable, "-m", "resbench", *ASKED, "--points", "25", "--dir", str(runs)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    planes, until = runs / "planes", time.monotonic() + 100
    while sum(len(one.read_bytes().splitlines()) for one in planes.iterdir()) < 90 and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    process.wait()
    for path in planes.iterdir():
        with path.open("ab") as file:
            file.write(b'[0, 0]\nnull\n[0.0, 0.0, "x", 0.5]\n\xff\n[0.5, 0.25, 1.')
    kept = sum(path.read_bytes().count(b"\n") - 4 for path in planes.iterdir())
    assert kept >= 90
    found, said = look(runs, "--points", "25")
    assert f"{kept:,} points were evaluated by an earlier call" in said.stderr
    again, _ = look(runs, "--points", "25", "--dir", runs / "fresh")
    assert [one.loss for one in found.surfaces] == [one.loss for one in again.surfaces]


def test_ctrl_c_gives_what_there_is(runs):
    command = [sys.executable, "-m", "resbench", *ASKED, "--points", "49", "--dir", str(runs)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    planes, until = runs / "planes", time.monotonic() + 100
    while sum(len(one.read_bytes().splitlines()) for one in planes.iterdir()) < 120 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "what was not evaluated is interpolated" in out + err
    assert "Traceback" not in err


def test_it_is_read_everywhere(runs, tmp_path):
    found, _ = look(runs, "--points", "5", "--vtk", tmp_path / "vtk", "--plot", tmp_path / "a.svg")
    assert "BN's running statistics are taken anew at every point, over batches of 64" in str(found)
    points = pandas.read_csv(tmp_path / "a.data.csv")
    first = points[points["chart"] == "loss over the plane"]
    assert len(first) == 50
    assert first["loss"].astype(float).tolist()[:25] == list(np.ravel(found.surfaces[0].loss))
    frame = found.to_pandas()
    assert frame["first"].tolist()[:5] == coordinates(1, 5)
    assert frame["evaluated"].all()
    assert "3x16x16" in str(found)
    svg = (tmp_path / "a.svg").read_text()
    assert "taken anew at" in svg
    assert "64 images of digits at 3x16x16" in svg
    assert frame["loss"].tolist()[:5] == list(found.surfaces[0].loss[0])
    paths = sorted((tmp_path / "vtk").iterdir())
    assert len(paths) == 2
    lines = paths[0].read_text().splitlines()
    assert lines[3:8] == [
        *("DATASET STRUCTURED_POINTS", "DIMENSIONS 5 5 1", "ORIGIN -1.0 -1.0 0"),
        *("SPACING 0.5 0.5 1", "POINT_DATA 25"),
    ]
    rows = [tuple(map(float, line.split())) for line in lines[10:15]]
    assert tuple(rows) == found.surfaces[0].loss
    told = called("compare", "--from", runs / "found.json", "--metrics", "params,basin")
    assert told.returncode == 0, told.stderr
    assert "better than guessing" in told.stdout
    whole = called("compare", "--from", runs / "found.json")
    assert "better than guessing" in whole.stdout, "what is stored is shown where no metrics are asked for"
    assert "counted at" in whole.stdout, "the counts are of 3x32x32, and the losses are not"
    assert "64 images of digits at 3x16x16" in whole.stdout
    page = called("report", "--from", runs / "found.json", "-o", tmp_path / "page.html")
    assert page.returncode == 0, page.stderr
    assert "The loss around the weights that training found." in (tmp_path / "page.html").read_text()


def test_points_that_a_spline_stands_for_are_marked_and_near(runs):
    words = ("--points", "25", "--bn", "eval", "--span", "0.3")
    exact, _ = look(runs, *words)
    short, _ = look(runs, *words, "--tolerance", "3%", "--dir", runs / "two")
    assert "A spline of log10 of the loss stands for" in str(short)
    one, two = exact.surfaces[1], short.surfaces[1]
    assert two.evaluated < 300 < one.evaluated == 625
    marked = np.array(two.exact)
    assert np.array_equal(two.plane[marked], one.plane[marked])
    heights = np.log10(one.plane), np.log10(two.plane)
    assert np.abs(heights[0] - heights[1]).max() <= 0.06 * np.ptp(heights[0])
    assert 0 < max(two.off) <= 0.03
    assert len(two.off) == 40


@pytest.mark.parametrize(
    "words, expected",
    [
        (("--points", "1"), "--points takes an odd number from 3"),
        (("--span", "0"), "--span takes a number above 0"),
        (("--points", "100001"), "--points takes an odd number from 3 to 1001"),
        (("--epochs", "-1"), "--epochs takes a number above 0"),
        (("--epochs", "1", "--directions", "trajectory"), "expected --epochs 2 or more, or a smaller --every"),
        (("--vtk", "/etc/passwd"), "--vtk takes a folder"),
        (("--curvature", "99999999"), "as many steps as there are weights at most, 75,290"),
        (("--convexity", "4"), "--convexity takes an odd number from 3 to 1001"),
        (("--bn", "frozen"), "--bn takes recompute, eval, train; received 'frozen'"),
        (("--directions", "up"), "--directions takes filter, layer, none, top"),
        (("--tolerance", "much"), "--tolerance takes a share such as 1% or 0.01; received 'much'"),
        (("--images", "9999"), "--images takes a number up to 1,437"),
        (("--seeds", "0"), "--seeds"),
        (("--plot", "a.txt"), "--plot takes a file that ends in"),
        (("--data", "cifar10"), "--data-root"),
        (("--data-root", "."), "digits come with scikit-learn: expected other --data with --data-root"),
        (("--lr", "0.3"), "--lr is of trainings: expected a network that is trained here, received none"),
        (("--dtype", "fp32"), "--dtype is of trainings"),
        (("--every", "2"), "--every is of --directions trajectory: expected both, received --every 2 with filter"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = called("landscape", "resnet8", "--epochs", "0", *words)
    assert found.returncode == 2
    assert expected in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert not [*tmp_path.rglob("*.points")]


@pytest.mark.parametrize(
    "words, expected",
    [
        (("--images", "100000"), "--images takes a number up to 1,437, all of digits; received 100000"),
        (("--curvature", "100000000"), "as many steps as there are weights at most, 75,290; received 100,000,000"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_trained(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = called("landscape", "resnet8", "--epochs", "1", *words)
    assert found.returncode == 2
    assert expected in found.stderr
    assert found.stderr.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def test_too_many_steps_are_said_of_each_network(tmp_path):
    words = ("--epochs", "1", "--points", "3", "--curvature", "1000000", "--dir", tmp_path / "runs")
    found = called("landscape", "plain8,width=1", "plain8,width=2", *words)
    assert found.returncode == 2
    assert found.stderr.count("as many steps as there are weights at most") == 2
    assert not [*tmp_path.iterdir()]


def test_weights_of_a_file_are_looked_at_as_they_are(runs, tmp_path):
    [file] = runs.glob("resnet8*.pt")
    trained, _ = look(runs, "--points", "3")
    name = f"resnet8,classes=10,weights={file}"
    found = called("landscape", name, "--images", "64", "--points", "3", "--dir", tmp_path, "-o", tmp_path / "a.json")
    assert found.returncode == 0, found.stderr
    assert resbench.load(tmp_path / "a.json").surfaces[0].loss == trained.surfaces[1].loss
    none = called("landscape", "resnet8,weights=none.pt", "--dir", tmp_path)
    assert none.returncode == 2
    assert len(none.stderr.strip().splitlines()) == 1
    unread = called("landscape", name, "--epochs", "3", "--dir", tmp_path)
    assert (unread.returncode, unread.stderr.count("\n")) == (2, 1)
    assert "--epochs is of trainings" in unread.stderr
    wrong = called("landscape", f"resnet14,input=3x16x16,weights={file}", "--images", "64", "--dir", tmp_path)
    assert wrong.returncode == 2
    assert len(wrong.stderr.strip().splitlines()) == 1


def test_seeds_are_planes_of_their_own(runs):
    found, _ = look(runs, "--points", "3", "--epochs", "0", "--seeds", "2")
    assert [(one.model.partition(",")[0], one.seed) for one in found.surfaces] == [
        *(("plain8", 0), ("plain8", 1), ("resnet8", 0), ("resnet8", 1)),
    ]
    assert len({one.loss for one in found.surfaces}) == 4
    means = found.tables()[1].to_pandas().set_index("model")
    shares = [one.convex for one in found.surfaces[2:]]
    assert means["convex_share"].iloc[1] == pytest.approx(np.mean(shares))
    assert means["convex_share_half"].iloc[1] == pytest.approx(12.706 * np.std(shares, ddof=1) / 2**0.5, rel=1e-3)
    document = json.loads((runs / "found.json").read_text())
    assert document["kind"] == "landscape"
    assert "seed 1" in next(line for line in found.verdicts() if line.startswith("resnet8,") and "seed 1" in line)


def test_grids_meet():
    assert coordinates(1.0, 13)[6] == 0.0
    assert set(coordinates(0.7, 25)) <= set(coordinates(0.7, 49))
    assert set(coordinates(0.3, 7)) <= set(coordinates(0.3, 13))
    for points in (3, 5, 7, 25, 49, 51):
        assert {*every(points, strides(points)[-1])} == {(i, j) for i in range(points) for j in range(points)}
        assert all(big % small == 0 for big, small in zip(strides(points), strides(points)[1:], strict=False))


def test_a_spline_meets_its_points_and_a_cubic_between_them():
    def surface(i, j):
        return 1 + 0.1 * i - 0.02 * j**2 + 0.001 * i**3

    known = {(i, j): surface(i, j) for i in range(0, 13, 3) for j in range(0, 13, 3)}
    found = spline(known, 13, 3)
    exact = np.array([[surface(i, j) for i in range(13)] for j in range(13)])
    assert np.allclose(found, exact, rtol=1e-12)
    known[3, 3] = float("inf")
    assert np.isinf(spline(known, 13, 3)).sum() == 9, "nearest, where a spline would be nothing"


def test_convex_is_what_eigenvalues_say():
    axis = np.linspace(-1, 1, 9)
    a, b = np.meshgrid(axis, axis)
    assert convex_share(a**2 + 3 * b**2) == 1
    assert convex_share(a**2 - 0.1 * b**2) == 0
    draw = np.random.default_rng(0)
    plane = draw.normal(size=(9, 9))
    naive = []
    for j in range(1, 8):
        for i in range(1, 8):
            matrix = np.empty((2, 2))
            matrix[0, 0] = plane[j, i + 1] - 2 * plane[j, i] + plane[j, i - 1]
            matrix[1, 1] = plane[j + 1, i] - 2 * plane[j, i] + plane[j - 1, i]
            matrix[0, 1] = matrix[1, 0] = (
                plane[j + 1, i + 1] - plane[j + 1, i - 1] - plane[j - 1, i + 1] + plane[j - 1, i - 1]
            ) / 4
            naive.append(np.linalg.eigvalsh(matrix)[0] >= 0)
    assert convex_share(plane) == pytest.approx(np.mean(naive))
    plane[4, 4] = np.nan
    assert convex_share(plane) <= np.mean(naive)


def test_the_line_between_two_trainings_is_the_naive_one(runs):
    found, _ = look(runs, "--points", "3", "--epochs", "0", "--seeds", "3", "--between", "--bn", "train")
    assert [(one.model.partition(",")[0], one.seeds) for one in found.lines] == [
        *(("plain8", (0, 1)), ("plain8", (1, 2)), ("resnet8", (0, 1)), ("resnet8", (1, 2))),
    ]
    line = found.lines[3]
    ends = [one.centre[0] for one in found.surfaces if one.model == line.model]
    assert (line.loss[0], line.loss[-1]) == pytest.approx((ends[1], ends[2]), rel=1e-6)
    straight = [line.loss[0] + i / 10 * (line.loss[-1] - line.loss[0]) for i in range(11)]
    assert line.barrier == pytest.approx(max(a - b for a, b in zip(line.loss, straight, strict=True)))
    assert "Between trainings" in str(found)
    assert "matched" in found.tables()[-1].to_pandas().columns[-1]
    assert all(one.matched[0] == one.loss[0] and len(one.matched) == 11 for one in found.lines)
    assert [one.matched[-1] for one in found.lines] == pytest.approx([one.loss[-1] for one in found.lines], rel=1e-5)
    refused = called(*ASKED, "--between", "--dir", runs)
    assert refused.returncode == 2
    assert "--seeds 2 or more" in refused.stderr


def test_a_barrier_is_seen_and_its_legend_stands_at_its_chart(runs):
    found, _ = look(runs, "--points", "3", "--epochs", "0", "--seeds", "2", "--between")
    rows = [value for one in found.lines for value in one.loss]
    assert max(rows) < 20 * min(rows), "or the axis would be logarithmic"
    spec = whole(found.pictures()).to_dict()
    last = spec["vconcat"][-1]
    assert all(layer["encoding"]["y"]["scale"] == {"zero": False} for layer in last["layer"])
    assert spec["resolve"]["scale"] == {"color": "independent", "strokeDash": "independent"}


def test_lines_below_a_title_are_full_where_the_page_is_narrow(runs, chromium, tmp_path):
    look(runs, "--points", "3")
    page = tmp_path / "page.html"
    assert called("report", "--from", runs / "found.json", "-o", page).returncode == 0
    opened = Opened(chromium, page, 390)
    opened.all_drawn()
    spans = opened.page.query_selector_all(".chart svg .role-title-subtitle tspan")
    below = [span.text_content().strip() for span in spans]
    assert " ".join(below).startswith("Loss over 64 images of digits")
    assert len(below) > 4
    for line, after in pairwise(below):
        assert line.endswith(".") or len(f"{line} {after.split()[0]}") > 46, "another word had room"
