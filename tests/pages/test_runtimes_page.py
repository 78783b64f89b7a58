"""Latency by runtime in a real browser: on a phone and on a screen, in the light, in the dark and on paper."""

from functools import cache

import pytest
from browser import Opened
from commands import called

from resbench.pages.page import page
from resbench.result import Figure, Section
from resbench.timing.latency.crossings import by_runtime
from resbench.timing.latency.orders import crossings, panels

RUNTIMES = ("eager", "compile", "aot", "onnxruntime", "openvino")
NETWORKS = (
    *("resnet18", "resnet34", "resnet50", "googlenet", "densenet121", "efficientnet_b0", "mobilenet_v2", "vgg16"),
    *("shufflenet_v2_x1_0", "torchvision:resnext50_32x4d", "resnet56,shortcut=B,order=full-preact", "squeezenet1_0"),
)


def twelve():
    """Twelve networks in five runtimes; their times scatter as those of a linear congruential generator."""
    state = 7
    for i, name in enumerate(NETWORKS):
        for j, runtime in enumerate(RUNTIMES):
            state = (16_807 * state) % (2**31 - 1)
            seconds = 0.004 * 1.25**i * (0.5 + 0.9 * state / 2**31) / (1 + 0.3 * j)
            yield Figure(name, "latency", seconds, 0.05 * seconds, runtime=runtime, shared="cpu, batch 1")


@pytest.fixture(scope="module")
def shown(chromium, tmp_path_factory):
    path = tmp_path_factory.mktemp("runtimes") / "page.html"
    path.write_text(page("runtimes", [Section("latency", "Latency", "", pictures=by_runtime(twelve()))], ()))

    @cache
    def at(width, scheme):
        opened = Opened(chromium, path, width, scheme)
        opened.all_drawn()
        return opened

    return at


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1280, "light")], ids=str)
def opened(request, shown):
    return shown(*request.param)


def boxes(page, selector):
    """The words and edges of texts."""
    return page.eval_on_selector_all(
        selector,
        """all => all.map((one) => [one.textContent, one.getBoundingClientRect()])
            .map(([text, box]) => [text, box.left, box.right, box.top, box.bottom])""",
    )


def test_every_name_is_read_and_covers_no_other(opened):
    names = boxes(opened.page, ".chart .mark-text.role-mark text")
    runtimes = boxes(opened.page, ".chart .role-axis-label text")
    left, right = opened.page.eval_on_selector(
        ".chart", "one => [one.getBoundingClientRect().left, one.getBoundingClientRect().right]"
    )
    assert {text for text, *_ in names} == {*NETWORKS}
    assert {*RUNTIMES} <= {text for text, *_ in runtimes}
    texts = [*names, *runtimes]
    assert all(left <= box[1] and box[2] <= right for box in texts)
    meeting = [
        (a[0], b[0])
        for i, a in enumerate(texts)
        for b in texts[:i]
        if a[1] < b[2] and b[1] < a[2] and a[3] + 1 < b[4] and b[3] + 1 < a[4]
    ]
    assert meeting == []
    assert opened.said == []
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_ring_is_around_the_place_where_lines_cross(opened):
    """Both lines, followed as the browser draws them, pass within 3 pixels of its middle."""
    [times] = panels(twelve()).values()
    found = [*crossings(times)]
    rings = opened.page.eval_on_selector_all(
        ".chart .mark-symbol.role-mark path[fill=transparent][stroke='#888']",
        "all => all.map((one) => one.getBoundingClientRect()).map((b) => [b.left + b.width / 2, b.top + b.height / 2])",
    )
    lines = opened.page.eval_on_selector_all(
        ".chart .mark-line path",
        """all => all.map((one) => Array.from({length: 801}, (_, i) => {
            const at = one.getPointAtLength(i / 800 * one.getTotalLength()), box = one.getScreenCTM();
            return [at.x * box.a + box.e, at.y * box.d + box.f];
        }))""",
    )
    assert len(rings) == len(found) > 5
    names = [*dict.fromkeys(figure.model for figure in twelve())]
    for (x, y), one in zip(rings, found, strict=True):
        for name in (one.turn.a, one.turn.b):
            line = lines[names.index(name)]
            assert min(abs(px - x) + abs(py - y) for px, py in line) < 3


def test_a_chart_that_was_drawn_in_the_dark_is_dark_on_paper(shown):
    """Its inks are turned round, for paper is white."""
    for scheme, kept in (("light", "none"), ("dark", "invert(1) hue-rotate(180deg)")):
        page = shown(390, scheme).page
        filters = []
        for media in ("screen", "print"):
            page.emulate_media(media=media)
            filters.append(page.eval_on_selector(".chart svg", "one => getComputedStyle(one).filter"))
        page.emulate_media(media="screen")
        assert filters == ["none", kept]


def test_a_chart_in_a_file_of_its_own_follows_the_dark_and_fits_a_phone(chromium, tmp_path):
    plot = tmp_path / "networks.html"
    done = called("compare", "plain20", "resnet20", "resnet32", "--metrics", "macs,activations", "--plot", plot)
    assert done.returncode == 0, done.stderr
    opened = Opened(chromium, plot, 390, "dark")
    opened.all_drawn()
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (opened.said, opened.asked) == ([], [opened.url])
    assert "resnet32" in opened.page.inner_text(".chart")
    opened.page.close()
