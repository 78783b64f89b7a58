"""What is read of a population is what scipy and a naive count say, and holds for what a sweep has found."""

import json
import math
import shlex
from itertools import pairwise, product
from urllib.parse import quote

import moocore
import numpy as np
import pandas
import pytest
import scipy.stats
from browser import Opened
from commands import called
from hypothesis import given, settings
from hypothesis import strategies as st

import resbench
from resbench.errors import OptionError, SourceError
from resbench.sweeps.cells import columns, costs_of, row_of
from resbench.sweeps.dataset import opened
from resbench.sweeps.draws import draws
from resbench.sweeps.questions import COST, QUESTIONS, Cell, How
from resbench.sweeps.readings.statistics import (
    edf,
    effect,
    estimate,
    front,
    hypervolume,
    kendall,
    spearman,
    superiority,
)
from resbench.sweeps.space import Space

SPACE = b"""
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 56, step = 6 }
order = ["original", "full-preact"]
input = "3x8x8"

[[networks]]
model = "plain{depth}"
depth = { from = 8, to = 56, step = 6 }
input = "3x8x8"
"""
NUMBERS = st.lists(st.integers(0, 6), min_size=3, max_size=20)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=25))
@settings(max_examples=60, deadline=None)
def test_rank_correlations_are_scipys(pairs):
    x, y = np.array(pairs, float).T
    if len(set(x)) < 2 or len(set(y)) < 2:
        assert math.isnan(spearman(x, y))
        return
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    concordant = sum(np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in product(pairs, pairs)) / 2
    ties = [sum(a[i] != b[i] for a, b in product(pairs, pairs)) / 2 for i in (0, 1)]
    assert kendall(x, y) == pytest.approx(concordant / math.sqrt(ties[0] * ties[1]), abs=1e-12)


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_superiority_is_a_count_of_pairs(one, other):
    pairs = [1.0 if a < b else 0.5 if a == b else 0.0 for a in one for b in other]
    found = superiority(np.array(one, float), np.array(other, float))
    assert found == pytest.approx(sum(pairs) / len(pairs))
    u = scipy.stats.mannwhitneyu(other, one).statistic
    assert found == pytest.approx(u / len(pairs))


POINTS = st.integers(2, 3).flatmap(
    lambda k: st.lists(st.tuples(*[st.integers(0, 5)] * k), min_size=1, max_size=9).map(
        lambda rows: np.array(rows, float)
    )
)


@given(POINTS)
@settings(max_examples=80, deadline=None)
def test_a_front_is_what_no_other_beats_and_covers_the_cells_below_it(points):
    beaten = [any((b <= a).all() and (b < a).any() for b in points) for a in points]
    assert front(points) == [i for i, lost in enumerate(beaten) if not lost]
    cells = product(range(5), repeat=points.shape[1])  # unit cells below a reference of 5 on each axis
    covered = sum(any((p <= np.array(cell)).all() for p in points) for cell in cells)
    assert hypervolume(points, [5.0] * points.shape[1]) == pytest.approx(covered)


DEGENERATE = {
    "a line": [[i / 10, 1 - i / 10] for i in range(11)],
    "a plane": [[i / 10, j / 10, 1 - (i + j) / 20] for i in range(11) for j in range(11)],
    "one point many times": [[0.5, 0.5, 0.5]] * 7,
    "one coordinate is equal": [[i / 10, 0.3, 1 - i / 10] for i in range(10)],
    "some on the reference and beyond": [[0.2, 0.9], [0.5, 1.0], [1.0, 0.0], [1.5, -1.0], [0.4, 0.6]],
    "all beyond": [[2.0, 0.5], [0.5, 2.0]],
    "infinite": [[0.5, float("inf")], [0.7, 0.2]],
}


@pytest.mark.parametrize("points", [*(np.array(one) for one in DEGENERATE.values()), None], ids=[*DEGENERATE, "random"])
def test_front_and_hypervolume_are_those_of_moocore(points):
    random = np.random.default_rng(0)
    drawn = [random.random((size, k)).round(digits) for size in (1, 40, 300) for k in (2, 3) for digits in (1, 9)]
    for one in drawn if points is None else [points]:
        assert front(one) == np.flatnonzero(moocore.is_nondominated(one, keep_weakly=True)).tolist()
        reference = [1.0] * one.shape[1]
        assert hypervolume(one, reference) == pytest.approx(moocore.hypervolume(one, ref=reference), rel=1e-9)


def test_intervals_are_those_of_scipys_percentile_bootstrap():
    random = np.random.default_rng(1)
    x = random.normal(size=60)
    y = x + random.normal(size=60)
    own = estimate([x, y], spearman)
    other = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.spearmanr(a, b).statistic,
        paired=True,
        method="percentile",
        n_resamples=2000,
        vectorized=False,
        rng=2,
    ).confidence_interval
    assert (own.low, own.high) == pytest.approx((other.low, other.high), abs=0.05)
    assert own.low < own.value < own.high
    perfect = estimate([x, x], spearman)
    assert perfect == (1.0, 1.0, 1.0) or perfect.low == pytest.approx(1.0)
    told = effect(x, x + 10)
    assert told == (1.0, 1.0, 1.0)


def test_a_band_holds_the_truth_about_as_often_as_it_says():
    random, at, inside = np.random.default_rng(3), [], 0
    for i in range(200):
        band = edf(random.random(80), 11, seed=i)
        at.append(band.at[5])
        inside += band.low[5] <= band.at[5] <= band.high[5]
    assert inside > 170
    values = np.array([3.0, 1.0, 2.0, 2.0])
    ecdf = scipy.stats.ecdf(values).cdf
    band = edf(values)
    assert band.share == pytest.approx([float(ecdf.evaluate(x)) for x in band.at])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep whose answers are made up: the error rises with depth in plain networks alone, a little with the seed."""
    place = tmp_path_factory.mktemp("population") / "out"
    space = Space.read("mine", SPACE)
    error, c1 = QUESTIONS["error"], QUESTIONS["gradient"]
    with opened(place, columns(space), {"space": "mine"}) as held:
        for batch in draws(space, 100, 0, [], grid=True, processes=1):
            held.add([row_of(space, Cell(one.name, COST, None, How()), one, costs_of(one.found)) for one in batch])
            for one in batch:
                plain, depth = one.model.startswith("plain"), one.values["depth"]
                for seed in (0, 1):
                    wrong = (0.05 + depth / 80 if plain else 0.2 - depth / 1000) + seed / 1000
                    broke = {"broken": "the loss is nan"} if plain and depth == 56 else {"test_error": wrong}
                    held.add([row_of(space, Cell(one.name, error, seed, How()), one, broke)])
                    told = {"c1": -wrong, "verdict": "exploding, intact" if plain and depth > 20 else "healthy"}
                    held.add([row_of(space, Cell(one.name, c1, seed, How()), one, told)])
    return place


def test_readings_find_what_was_put_in(folder):
    found = resbench.readings(folder)
    assert (found.networks, found.target, found.against) == (27, "test_error", "macs")
    by_value = {(one.option, one.value): one for one in found.effects}
    assert by_value["line", "plain{depth}"].below.high < 0.5 < by_value["line", "resnet{depth}"].below.low
    assert by_value["order", "original"].below.value == pytest.approx(0.5)
    foretold = {one.figure: one for one in found.foretold}
    assert foretold["c1"].spearman.value < -0.99
    assert foretold["c1"].beyond.low > 0
    assert "train_error" not in foretold
    assert found.ceiling.value > 0.99
    assert found.trained == 18 + 4
    assert "22 of 27 train" in found.line
    assert not {"healthy", "intact"} & {one.verdict for one in found.warned}, "they warn of nothing"
    warned = {one.verdict: one for one in found.warned}
    table = pandas.read_parquet(folder)
    worst = table[table.question == "error"].groupby("network").test_error.mean()
    assert warned["exploding"].fails == 27 - found.trained
    assert warned["exploding"].recall == 1.0
    assert warned["exploding"].precision == pytest.approx(5 / 6)
    assert found.best[0].network == worst.idxmin()
    assert [one.rank for one in found.best][:10] == list(range(1, 11))
    assert any("2 trainings ended in a number that is not finite" in line for line in found.remarks)
    assert any(line.startswith("test_error is foretold better than by depth") for line in found.verdicts())


def test_the_front_is_no_worse_in_both(folder):
    found = resbench.readings(folder, "error", against="params")
    table = {one.network: (one.target, one.against) for one in found.best if one.front}
    assert table
    for a, b in product(table.values(), repeat=2):
        assert not (a[0] <= b[0] and a[1] <= b[1] and a != b)


def test_the_command_prints_draws_and_stores_them(folder, tmp_path):
    plot, stored = tmp_path / "p.svg", tmp_path / "r.json"
    done = called("sweep", "mine.toml", "--dir", str(folder), "--report", "--plot", str(plot), "-o", str(stored))
    assert done.returncode == 0, done.stderr
    assert plot.read_text().count("<svg") == 1
    assert "Warning" not in done.stderr
    assert json.loads(stored.read_text())["kind"] == "sweep --report"
    assert resbench.load(stored).trained == 22
    side = called("compare", "--from", str(stored), "--metrics", "error,macs", "-f", "json")
    assert side.returncode == 0, side.stderr
    assert "plain8" in side.stdout


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("population") / "p.html"
    assert called("sweep", "mine", "--dir", str(folder), "--report", "--plot", str(path)).returncode == 0
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_on_a_point_or_a_name_tells_what_the_network_is(chromium, page, folder, width):
    found = resbench.readings(folder)
    opened = Opened(chromium, page, width)
    opened.all_drawn()
    shown = opened.page
    assert shown.title() == "test_error of 27 networks of mine: sweep --report" == shown.inner_text("h1")
    assert not shown.is_visible("#network")
    shown.query_selector_all("#population-chart-0 svg .mark-symbol.role-mark path")[-1].click()
    shown.wait_for_selector("#network:not([hidden])")
    name = shown.inner_text("#network strong")
    place = found.drawn_names.index(name)
    assert f"test_error {found.points['test_error'][place]:.4g}," in shown.inner_text("#network p") + ","
    assert [code.inner_text() for code in shown.query_selector_all("#network code")] == [
        f"resbench show {name}",
        f"resbench report {name} -o page.html",
    ]
    best = found.best[1].network
    shown.click(f"td a:text-is('{best}')")
    shown.wait_for_selector(f"#network strong:text-is('{best}')")
    drawing = shown.query_selector(f"details[id='network={best}']")
    assert drawing.evaluate("one => one.open") and drawing.query_selector("svg").is_visible()
    assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown.click("#network [data-closes]")
    assert not shown.is_visible("#network")
    shown.reload()
    assert not shown.is_visible("#network")
    shown.goto(f"{opened.url}#network={quote(name)}")
    shown.wait_for_selector(f"#network strong:text-is('{name}')")
    assert opened.said == []
    assert {url.partition("#")[0] for url in opened.asked} == {opened.url}
    shown.close()


def test_an_address_that_cannot_be_decoded_opens_nothing(chromium, page):
    opened = Opened(chromium, page, 1280)
    opened.page.goto(f"{opened.url}#network=%E0%A4%A")
    opened.page.reload()
    assert not opened.page.is_visible("#network")
    assert opened.said == []
    opened.page.close()


def test_a_name_is_quoted_for_a_shell_and_never_markup(chromium, page):
    name = "file:a b.py:net<img src=x onerror=alert(1)>,x='1'"
    opened = Opened(chromium, page, 1280)
    opened.page.goto(f"{opened.url}#network={quote(name)}")
    opened.page.reload()
    assert not opened.page.is_visible("#network"), "the page holds no network of this name"
    opened.page.evaluate(
        "name => { document.querySelector('td a').hash = `network=${encodeURIComponent(name)}`; }", name
    )
    opened.page.click("td a")
    opened.page.evaluate("dispatchEvent(new Event('hashchange'))")  # the address is the same
    opened.page.wait_for_selector("#network:not([hidden])")
    assert shlex.split(opened.page.inner_text("#network code")) == ["resbench", "show", name]
    assert opened.said == []
    opened.page.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--target", "test_eror"],
            "--target: the sweep has no figure 'test_eror' that varies; did you mean test_error",
        ),
        (["--against", "field"], "--against: the sweep has no figure 'field'"),
    ],
)
def test_a_figure_that_is_not_there_is_one_line(folder, words, said):
    done = called("sweep", "mine", "--dir", str(folder), "--report", *words)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_another_space_no_sweep_and_too_few_networks(folder, tmp_path):
    with pytest.raises(OptionError, match="holds a sweep of the space mine: expected that; received residual"):
        resbench.readings(folder, space="residual")
    with pytest.raises(SourceError, match="holds no sweep"):
        resbench.readings(tmp_path)
    resbench.sweep("residual", 3, folder=tmp_path / "few")
    with pytest.raises(OptionError, match="holds 3 networks: expected 5 or more"):
        resbench.readings(tmp_path / "few")
    for words in (["--metrics", "c1"], ["--dry-run"], ["-n", "5"]):
        done = called("sweep", "residual", "--report", "--dir", str(tmp_path / "few"), *words)
        assert done.returncode == 2
        assert "--report reads the rows there are" in done.stderr
    done = called("sweep", "residual", "--target", "error", "--dir", str(tmp_path / "few"))
    assert done.returncode == 2
    assert "expected --report with them" in done.stderr


def test_the_edge_of_a_band_never_falls():
    values = np.random.default_rng(3).normal(size=6)
    band = edf(values)
    assert all(a <= b for a, b in pairwise(band.low))
    assert all(a <= b for a, b in pairwise(band.high))
    assert band.high[-1] == band.low[-1] == 1


def test_without_macs_that_vary_there_is_no_front_unless_it_was_asked_for(tmp_path):
    space = Space.read("equal", b'[[networks]]\nmodel = "resnet8"\nnorm = ["bn", "none"]\ninput = "3x8x8"')
    [batch] = draws(space, 2, 0, [], grid=True, processes=1)
    with opened(tmp_path / "out", columns(space), {"space": "equal"}) as held:
        for i in range(6):
            one = batch[0]._replace(name=f"n{i}")
            held.add([row_of(space, Cell(one.name, COST, None, How()), one, costs_of(one.found))])
            held.add([row_of(space, Cell(one.name, QUESTIONS["error"], 0, How()), one, {"test_error": i / 10})])
    words = ["sweep", "equal", "--dir", str(tmp_path / "out"), "--report", "--target", "error"]
    done = called(*words)
    assert done.returncode == 0, done.stderr
    assert "No front: macs is the same of all networks" in done.stdout
    assert [one.front for one in resbench.readings(tmp_path / "out").best] == [False] * 6
    done = called(*words, "--against", "macs")
    assert done.returncode == 2
    assert "--against: the sweep has no figure 'macs' that varies" in done.stderr.splitlines()[-1]
