"""A page in a real browser.

Chromium is Debian's (``apt-get install chromium``) or whatever ``RESBENCH_CHROMIUM`` names; without one such tests are
skipped, unless ``CI`` is set.
"""

import os
import shutil

import pytest


@pytest.fixture(scope="module")
def chromium():
    found = os.environ.get("RESBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium, and CI is set: apt-get install chromium")
        pytest.skip("no chromium: apt-get install chromium, or name one in RESBENCH_CHROMIUM")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as play:
        running = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


class Opened:
    """A page with everything that it asked for and complained of."""

    def __init__(self, browser, path, width, scheme="light"):
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def all_drawn(self):
        """Wait for every chart; nobody has to scroll."""
        for chart in self.page.query_selector_all(".chart"):
            chart.wait_for_selector("svg", timeout=20_000)
