"""The pages tell the truth: their Python runs, and what they name exists."""

import doctest
import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*DOCS, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    """Each Python block with its line number: an interactive session if it has prompts, else a program."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start(1)) + 1, match[1]) for match in BLOCK.finditer(text)]


def run(code, page, line, scope):
    if ">>>" not in code:
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), scope)
        return
    session = doctest.DocTestParser().get_doctest(code, scope, name(page), str(page), line - 1)
    report = []
    doctest.DocTestRunner().run(session, out=report.append, clear_globs=False)
    if report:
        pytest.fail("".join(report), pytrace=False)
    scope.update(session.globs)


@pytest.mark.parametrize("page", [page for page in DOCS if blocks(page)], ids=name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, request, tmp_path, monkeypatch):
    if "latency(" in page.read_text():
        request.getfixturevalue("quick")
    monkeypatch.chdir(tmp_path)  # some write files
    scope = {"__name__": page.stem}
    for line, code in blocks(page):
        run(code, page, line, scope)


def test_a_wrong_number_on_a_page_is_found():
    page, scope = DOCS[0], {}
    run(">>> 2 + 2\n4\n", page, 1, scope)
    with pytest.raises(pytest.fail.Exception, match=r"Expected:\s+5\s+Got:\s+4"):
        run(">>> 2 + 2\n5\n", page, 1, scope)
    with pytest.raises(AssertionError):
        run("assert 2 + 2 == 5", page, 1, scope)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_path_in_backticks_exists(page):
    paths = re.findall(r"`((?:resbench|tests|docs|suites|results)/[\w./-]*)`", page.read_text())
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_page_leads_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", DOCS, ids=name)
def test_every_dotted_name_in_backticks_is_importable(page):
    for dotted in re.findall(r"`(resbench(?:\.\w+)+)`", page.read_text()):
        found, *steps = import_module("resbench"), *dotted.split(".")[1:]
        for step in steps:
            try:
                found = getattr(found, step)
            except AttributeError:
                found = import_module(f"{found.__name__}.{step}")


def tree():
    """The paths of the annotated tree, from its indentation."""
    block = re.search(r"^```text\n(resbench/.*?)^```", (ROOT / "docs/architecture.md").read_text(), re.M | re.S)
    yield from paths(block[1])


def paths(lines):
    above = []
    for line in lines.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [line.split()[0]]
        yield "".join(above)


def test_the_tree_shows_what_is_there_and_every_package():
    shown = list(tree())
    assert [path for path in shown if not (ROOT / path).exists()] == []
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "resbench").rglob("__init__.py")}
    assert packages <= set(shown)


def test_the_readmes_tree_shows_every_room_and_nothing_else():
    block = re.search(r"^(    resbench/\n.*?)\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    shown = set(paths(textwrap.dedent(block[1])))
    assert {path for path in shown if not (ROOT / path).exists()} == set()
    assert {f"resbench/{path.parent.name}/" for path in (ROOT / "resbench").glob("*/__init__.py")} <= shown


def test_the_changelog_begins_with_this_version():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
