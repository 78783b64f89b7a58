"""Every file that a version 0.1.0 could write reads on, and says what it said: see golden/stored/README.md."""

import gzip
import json
import re
from pathlib import Path

import pytest

from resbench.pages.report import sections
from resbench.results import KINDS, read, uncounted
from resbench.tables.render import plain

FOLDER = Path(__file__).parent / "golden/stored"
FILES = sorted(path for path in FOLDER.iterdir() if path.name.endswith((".json", ".json.gz")))


def stem(path):
    return path.name.removesuffix(".gz").removesuffix(".json")


def expected(path, ending):
    """The rendering beside a file; None where there is none."""
    plain_file, packed = (path.with_name(f"{stem(path)}{ending}{end}") for end in ("", ".gz"))
    if plain_file.exists():
        return plain_file.read_text()
    return gzip.decompress(packed.read_bytes()).decode() if packed.exists() else None


def titles(spec):
    """Of a chart and of the charts in it, in their order; a title's words and what stands below it in one line."""
    if isinstance(spec.get("title"), str):
        yield spec["title"]
    elif isinstance(spec.get("title"), dict):
        below = spec["title"].get("subtitle", [])
        yield " / ".join([spec["title"]["text"], *([below] if isinstance(below, str) else below)])
    for key in ("layer", "hconcat", "vconcat", "concat"):
        for one in spec.get(key, []):
            yield from titles(one)
    if isinstance(spec.get("spec"), dict):
        yield from titles(spec["spec"])


def rendered(stored):
    for section in sections([stored]):
        if section.key == "structure":
            continue
        yield f"=== {section.key}: {section.title}"
        yield f"lead: {section.lead}"
        yield from (f"said: {line}" for line in section.verdicts)
        for table in section.tables:
            yield "--- table"
            yield plain(table)
        for picture in section.pictures:
            yield f"--- picture: {picture.name}"
            yield from (f"title: {title}" for title in titles(picture.chart.to_dict()))
            yield f"rows: {len(picture.rows)}"
    yield "=== figures"
    for one in stored.result.figures():
        spread = f"{one.value!r} | {one.spread!r}"
        yield f"{one.model} | {one.metric} | {spread} | {one.conditions} | {one.remark} | {one.least}"
    yield "=== uncounted"
    yield json.dumps(uncounted([stored.result]))


OLD_PLURAL = re.compile(r"\b1 (call|seed)s\b")
"""6e6bac7 wrote one of a kind so; a column of such words was a letter wider."""

SEEDS_SO_FAR = re.compile(r"(?<=the rows so far), of \d+ of \d+ seeds?(?=\.)")
"""An interrupted gradflow says this since."""

OLD_SENTENCE = re.compile(r"^\S+: (as many MACs as|[\d.]+x (more|fewer) MACs than) .*\n", re.MULTILINE)
"""Below a comparison, 6e6bac7 said so of each network: what the column beside the MACs says."""


RATIO = re.compile(r"(?<= )[\d.]+x(?= |$)", re.MULTILINE)
"""6e6bac7 also wrote one of figures with an interval of 100 % or more, which say nothing."""


def as_wide(text):
    """The text with gaps and rules of one width."""
    return re.sub(r" +", " ", re.sub(r"-{2,}", "--", text))


@pytest.mark.parametrize("path", FILES, ids=stem)
def test_a_stored_file_says_what_it_said(path):
    stored = read(path)
    text = expected(path, ".txt")
    if text is None:
        assert stored.result.tables()
        return
    found, text = SEEDS_SO_FAR.sub("", "\n".join(rendered(stored)) + "\n"), OLD_SENTENCE.sub("", text)
    if OLD_PLURAL.search(text):
        found, text = as_wide(found), as_wide(OLD_PLURAL.sub(r"1 \1", text))
    if any(one.spread is not None and one.spread >= abs(one.value) for one in stored.result.figures()):
        ratios = iter(RATIO.findall(text))
        assert all(ratio in ratios for ratio in RATIO.findall(found)), "those that are left stand in their order"
        found, text = (as_wide(RATIO.sub(" ", one)) for one in (found, text))
    assert found == text


def test_there_is_a_file_of_every_kind():
    kinds = {read(path).result.kind for path in FILES}
    assert kinds == set(KINDS) - {"published"}  # no command wrote that
