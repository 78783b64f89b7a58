"""The page of `resbench report` in a real browser, and what it is made of."""

import base64
import csv
import gzip
import io
import json
import re
from functools import cache, partial

import pytest
from browser import Opened
from commands import called

from resbench.drawing.charts import Box, labels
from resbench.results import read


@pytest.fixture(scope="module")
def page_file(documents, tmp_path_factory):
    """Two networks, everything stored."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    done = called("report", "plain20", "resnet20", "--from", documents, "-o", path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("resbench: stored as well, and not named: googlenet")
    return path


@pytest.fixture(scope="module")
def shown(chromium, page_file):
    """The page by width and scheme, each opened once; from the top, as the tests before have left it."""
    opened = cache(partial(Opened, chromium, page_file))

    def at(width, scheme="light"):
        opened(width, scheme).page.evaluate("scrollTo(0, 0)")
        return opened(width, scheme)

    return at


@pytest.fixture(params=[1280, 390])
def opened(request, shown):
    return shown(request.param)


@pytest.fixture
def wide(shown):
    return shown(1280)


def test_every_chart_is_drawn_without_a_word_or_a_request(opened):
    opened.all_drawn()
    assert len(opened.page.query_selector_all(".chart svg")) == len(opened.page.query_selector_all(".chart")) > 8
    assert opened.said == []
    assert opened.asked == [opened.url]
    width = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


BROKEN = """() => [...document.querySelectorAll('table:not(.cards) :is(th, td)')].flatMap((cell) => {
    const broken = [];
    const walk = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode())
        for (const word of node.data.matchAll(/[^\\s]+/g)) {
            const range = document.createRange();
            range.setStart(node, word.index);
            range.setEnd(node, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
        }
    return broken;
})"""
"""Each text between two places where a name may break is a node of its own."""


def test_no_word_or_figure_breaks_and_a_wide_table_scrolls_in_its_own_box(opened):
    page = opened.page
    for figures in page.query_selector_all("details.figures"):
        figures.evaluate("one => { one.open = true; }")
    page.wait_for_function("document.querySelectorAll('.figures table').length > 8")
    assert page.evaluate(BROKEN) == []
    widths = page.evaluate(
        """[...document.querySelectorAll('.scroll:has(table)')].map((box) =>
            [box.scrollWidth, box.clientWidth, box.getBoundingClientRect().right, getComputedStyle(box).overflowX])"""
    )
    page.eval_on_selector_all("details.figures", "all => all.forEach((one) => { one.open = false; })")
    wide = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert wide[1] <= wide[0]
    assert all(right <= wide[0] for _, _, right, _ in widths)
    beyond = [overflow for inner, outer, _, overflow in widths if inner > outer]
    assert set(beyond) <= {"auto"} and (len(beyond) > 3 or wide[0] > 390)


def test_no_legend_is_cut_off(opened):
    opened.all_drawn()
    beyond = opened.page.eval_on_selector_all(
        ".chart .role-legend text, .chart .role-legend path",
        """all => all.map((one) => [one, one.closest('.chart')].map((part) => part.getBoundingClientRect().right))
            .map(([part, chart]) => part - chart)""",
    )
    assert len(beyond) > 30
    assert max(beyond) <= 0


def column(page, table, index):
    cells = f"#{table} tbody tr:not([hidden]) td:nth-child({index})"
    return page.eval_on_selector_all(cells, "all => all.map((cell) => cell.innerText.replaceAll(',', ''))")


def test_a_click_on_a_head_sorts_and_another_turns_it_round(wide):
    page, table = wide.page, "cost-table-2"
    heads = [head.inner_text() for head in page.query_selector_all(f"#{table} thead button")]
    at = heads.index("params") + 1
    before = column(page, table, at)
    head = page.query_selector(f"#{table} th:nth-child({at})")
    head.query_selector("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, table, at) == sorted(before, key=int, reverse=True) != before
    head.query_selector("button").press("Enter")  # by keyboard too
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, table, at) == sorted(before, key=int)
    page.query_selector(f"#{table} th:nth-child(1) button").click()
    assert head.get_attribute("aria-sort") is None


def test_a_filter_keeps_the_rows_with_all_of_its_words(wide):
    page = wide.page
    page.fill("input[data-table=cost-table-2]", "layer2 CONV2D")
    names = column(page, "cost-table-2", 1)
    assert names and all(name.startswith("layer2") and "conv" in name for name in names)
    count = page.inner_text("#cost-table-2-count")
    assert count.startswith(f"{len(names)} of ")
    page.fill("input[data-table=cost-table-2]", "")
    assert len(column(page, "cost-table-2", 1)) == int(count.split()[2])


def test_hovering_over_a_mark_shows_its_figures(wide):
    page = wide.page
    chart = page.query_selector("#cost-chart-0")
    chart.scroll_into_view_if_needed()
    chart.wait_for_selector("svg")
    bar = page.query_selector("#cost-chart-0 svg .mark-rect.role-mark path")
    bar.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    text = page.inner_text("#vg-tooltip-element")
    assert "conv1" in text and "Conv2d" in text


def test_ctrl_and_wheel_zoom_and_the_wheel_alone_does_not(wide):
    page = wide.page
    page.query_selector("#gradient-chart-0").scroll_into_view_if_needed()
    page.wait_for_selector("#gradient-chart-0 svg")
    box = page.query_selector("#gradient-chart-0 svg").bounding_box()

    def ticks():
        return page.eval_on_selector_all(
            "#gradient-chart-0 .role-axis-label text", "all => all.map(one => one.textContent)"
        )

    before = ticks()
    page.mouse.move(box["x"] + 300, box["y"] + 100)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_timeout(300)
    zoomed = ticks()
    assert zoomed != before
    page.mouse.wheel(0, 40)
    page.wait_for_timeout(300)
    assert ticks() == zoomed


def test_the_theme_follows_the_system_and_the_button(shown):
    dark = shown(1280, "dark")
    page = dark.page

    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    def ink():
        page.wait_for_selector("#answer-chart-0 svg text")
        return page.eval_on_selector("#answer-chart-0 svg .role-axis-title text", "one => one.getAttribute('fill')")

    page.query_selector("#answer-chart-0").scroll_into_view_if_needed()
    assert (paper(), ink()) == ("rgb(21, 24, 28)", "#e4e7ea")
    page.click("#theme")
    page.wait_for_timeout(500)
    assert (paper(), ink()) == ("rgb(255, 255, 255)", "#1c1f23")
    page.click("#theme")
    assert paper() == "rgb(21, 24, 28)"
    assert dark.said == []


TWO_OF_EACH_LOOK = """
globalThis.alike = [...document.querySelectorAll('tbody')].map((body) => [body, [...body.rows]]);
for (const [body, rows] of alike) {
    const seen = {};
    for (const row of rows) {
        const look = [row, ...row.cells].map((one) => one.className).join();
        seen[look] = (seen[look] ?? 0) + 1;
        if (seen[look] > 2) row.remove();
    }
}
"""
"""Thousands of rows say nothing that these do not: their cells are of the same classes."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_serious_fault(shown, width, scheme):
    """In the dark, of those in colours, which are all that a scheme changes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    one = shown(width, scheme)
    one.all_drawn()
    figures = "document.querySelectorAll('details.figures').forEach((one) => { one.open = %s; })"
    one.page.evaluate(figures % "true")
    one.page.wait_for_function("document.querySelectorAll('.figures table').length")
    one.page.evaluate(TWO_OF_EACH_LOOK)
    options = {"resultTypes": ["violations"]} | ({"runOnly": ["cat.color"]} if scheme == "dark" else {})
    found = axe.run(one.page, options=options).response["violations"]
    one.page.evaluate("alike.forEach(([body, rows]) => body.append(...rows))")
    one.page.evaluate(figures % "false")
    serious = [
        (one["id"], node["html"]) for one in found if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]
    assert serious == []


def test_the_first_screen_is_the_answer_with_its_picture(opened):
    page = opened.page
    chart = page.wait_for_selector("#answer .chart svg")
    height = page.evaluate("innerHeight")
    box = chart.bounding_box()
    lines = [one.inner_text() for one in page.query_selector_all("#answer .answer li")]
    assert lines[0] == "resnet20 takes the MACs of plain20 (40.55 M), and as many parameters (269,722)."
    assert any(line.startswith(("The gradient", "Gradient")) for line in lines)
    assert page.query_selector("#answer .answer").bounding_box()["y"] < height / 3
    assert box["y"] < height
    assert box["width"] > 0.9 * page.query_selector("main").bounding_box()["width"]
    assert page.query_selector("section").get_attribute("id") == "answer"


def test_the_first_columns_need_no_scroll_bar(opened):
    first = 6 if opened.page.evaluate("innerWidth") > 390 else 5  # of a phone, where no word breaks
    beyond = opened.page.evaluate(
        """(first) => [...document.querySelectorAll('.table .scroll')].map((place) => {
            const cells = place.querySelector('tbody tr')?.cells ?? [];
            const last = cells[Math.min(first, cells.length) - 1];
            return last ? last.getBoundingClientRect().right - place.getBoundingClientRect().right : 0;
        })""",
        first,
    )
    assert len(beyond) > 8
    assert max(beyond) <= 0


def test_the_figures_of_a_chart_are_a_table_for_the_keyboard(wide):
    page = wide.page
    summary = page.query_selector("#answer .figures summary")
    summary.focus()
    summary.press("Enter")
    page.wait_for_selector("#answer .figures table")
    name, data = page.eval_on_selector("#answer a[download]", "one => [one.download, one.href.split(',')[1]]")
    rows = list(csv.reader(io.StringIO(base64.b64decode(data).decode())))
    shown = page.eval_on_selector_all(
        "#answer .figures tr", "all => all.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    assert name.endswith(".csv")
    assert shown == rows


def test_every_control_has_a_name_and_is_reached_by_tab(chromium, page_file):
    opened = Opened(chromium, page_file, 1280)
    opened.all_drawn()
    page = opened.page
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, [role=img], [role=region]')].filter(one => "
        "!(one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.length)).length"
    )
    assert nameless == 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.evaluate("[...document.querySelectorAll('th')].every(one => one.scope === 'col')")
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map(one => one.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )
    page.close()


def test_the_data_of_charts_and_results_come_with_the_page(documents, page_file, tmp_path):
    text = page_file.read_text()
    assert page_file.stat().st_size < 3_000_000
    files = re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', text)
    held = {name: base64.b64decode(data) for name, data in files}
    (tmp_path / "gradflow.json").write_bytes(gzip.decompress(held["gradflow.json.gz"]))
    assert read(tmp_path / "gradflow.json").document == json.loads((documents / "gradflow.json").read_text())
    rows = list(csv.DictReader(io.StringIO(held["cost-by-layer-of-resnet20.csv"].decode())))
    assert sum(int(row["params"]) for row in rows) == 269_722
    assert text.count("resbench gradflow plain20 resnet20 --steps 0,1") == 1


EVIL = "<script>alert(1)</script>"


def test_names_of_a_model_are_text_wherever_they_stand(chromium, documents, tmp_path):
    for name in ("flops.json", "layers.json", "gradflow.json"):
        text = (
            (documents / name)
            .read_text()
            .replace("layer1.0.conv1", EVIL)
            .replace('"resnet20"', json.dumps(f"a:{EVIL}"))
        )
        (tmp_path / name).write_text(text)
    path = tmp_path / "report.html"
    done = called("report", "--from", tmp_path, "-o", path, "--title", EVIL)
    assert done.returncode == 0, done.stderr
    assert path.read_text().count(EVIL) == 0
    shown = Opened(chromium, path, 1280)
    alerts = []
    shown.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    shown.all_drawn()
    assert (alerts, shown.said) == ([], [])
    assert shown.page.inner_text("h1") == EVIL
    assert EVIL in shown.page.inner_text("#cost-table-0")
    shown.page.close()


def test_two_thousand_layers_sort_and_filter(chromium, documents, tmp_path):
    data = json.loads((documents / "flops.json").read_text())
    model = data["costs"][0]
    model["layers"] = [{**model["layers"][i % 50], "name": f"block{i // 10}.{i % 10}"} for i in range(2000)]
    data["costs"] = [{**model, "model": "file:deep.py:net"}]
    (tmp_path / "flops.json").write_text(json.dumps(data))
    path = tmp_path / "report.html"
    done = called("report", "--from", tmp_path / "flops.json", "-o", path)
    assert done.returncode == 0, done.stderr
    shown = Opened(chromium, path, 1280)
    shown.all_drawn()
    table = "cost-table-2"
    assert len(column(shown.page, table, 1)) == 2000
    shown.page.fill(f"input[data-table={table}]", "block7.")
    assert len(column(shown.page, table, 1)) == 10
    assert shown.said == []
    shown.page.close()


BAD = {
    (): "expected a model",
    ("resnet20", "--parts", "cost,speed"): "--parts takes cost,latency",
    ("resnet20", "-o", "no/such/report.html"): "no/such is no folder",
    ("resnet20", "-o", "."): "it is a folder",
    ("--from", "empty"): "nothing stored in empty",
    ("file:none.py:net", "--from", "DOCUMENTS"): "nothing is stored of 'file:none.py:net'",
    ("resent20", "--from", "DOCUMENTS"): "did you mean",
    ("resnet20", "--from", "cut.json"): "is no JSON, or was cut off",
}


@pytest.mark.parametrize("arguments", BAD)
def test_what_cannot_be_reported_is_one_line_and_overwrites_nothing(cli, documents, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.json").write_text((documents / "flops.json").read_text()[:1000])
    (tmp_path / "report.html").write_text("what was there")
    done = cli("report", *(str(documents) if word == "DOCUMENTS" else word for word in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert BAD[arguments] in done.stderr
    assert (tmp_path / "report.html").read_text() == "what was there"


def test_labels_of_bubbles_do_not_overlap():
    points = [(100 + 4 * i, 200 + 3 * (i % 3), 8.0, f"network{i}") for i in range(8)]
    placed = labels(points, 620, 400)
    boxes = [
        Box(one.x - 6.6 * len(p[3]) / 2, one.y - 6.5, 6.6 * len(p[3]), 13)
        for one, p in zip(placed, points, strict=True)
    ]
    for i, box in enumerate(boxes):
        assert not any(box.meets(other) for other in boxes[:i])
