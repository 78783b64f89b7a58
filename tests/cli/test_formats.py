"""Every format of every command says the same: the numbers of the JSON are those of the CSV, in full, and those of the
tables for people, to the digits that are printed.

What is measured is measured once: its JSON is read back, and written in the other formats by the result's own tables.
"""

import csv
import gzip
import io
import json
import random
import re
import shutil
import subprocess

import pytest
from commands import called

import resbench
from resbench.errors import OptionError
from resbench.regression.duel import ARMS, Duel, paired
from resbench.regression.expectations import CounterChange
from resbench.regression.gating.result import Gate
from resbench.regression.gating.table import change_table, time_table
from resbench.regression.verdict import GateRules, replay
from resbench.results import find
from resbench.tables.render import _tabulated, render
from resbench.tables.table import Column, Table
from resbench.timing.latency.result import Latencies
from resbench.workers.environment import environment

EXACT = {
    "flops": ("flops", "resnet20", "googlenet"),
    "flops --per layer": ("flops", "resnet20", "plain20", "--per", "layer"),
    "flops --per stage": ("flops", "resnet50", "--per", "stage"),
    "flops --verify": ("flops", "resnet20", "--verify"),
    "show": ("show", "resnet34"),
    "models": ("models", "resnet"),
    "models of one": ("models", "resnet56"),
    "compare": ("compare", "plain34", "resnet34", "vgg16"),
    "doctor": ("doctor",),
}

UNITS = {
    **{"": 1.0, "%": 1e-2, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    **{"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}


def separated(text, delimiter=","):
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def pipe_table(text):
    """Heads and rows of the first markdown table, without its footer rows."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return cells[0], cells[2:]


def same(full, shown, head):
    """Is a printed cell the full one, to its digits and in the unit of its head?"""
    if full == shown or "" in (full, shown):
        return full == shown
    number = re.fullmatch(r"(-?[\d,]+(?:\.(\d+))?(?:e([+-]\d+))?)x?", shown)
    try:
        value = float(full)
    except ValueError:
        return full.removeprefix("1x") == shown
    if not number:
        return False
    unit = re.search(r" \(([^()]*)\)$", head)
    scale = UNITS.get(unit[1], 1.0) if unit else 1.0
    step = 10.0 ** (-len(number[2] or "") + int(number[3] or 0))
    return abs(float(number[1].replace(",", "")) * scale - value) <= 0.5001 * step * scale + 1e-12 * abs(value)


def check_people(full, markdown):
    """Each cell of the CSV beside the same of the markdown; rows of totals follow there."""
    heads, rows = pipe_table(markdown)
    assert len(rows) - (len(full) - 1) in (0, 1, 2)
    for line, shown in zip(full[1:], rows, strict=False):
        assert len(line) == len(shown) == len(heads)
        for cell, text, head in zip(line, shown, heads, strict=True):
            assert same(cell, text.replace("\\|", "|"), head), (head, cell, text)


def numbers(document):
    """Every number in a document, as the CSV writes it."""
    if isinstance(document, dict):
        return set().union(*map(numbers, document.values())) if document else set()
    if isinstance(document, list):
        return set().union(*map(numbers, document)) if document else set()
    return {str(document)}


OWN = ("share", "ratio", "flops", "half_width", "of_roof", "n")
"""Columns that only a table has: each follows from numbers of the JSON."""


def check_json(full, document):
    """Each number of the CSV stands in the JSON, to its last digit."""
    known = numbers(document)
    for row in (dict(zip(full[0], line, strict=True)) for line in full[1:]):
        assert "flops" not in row or int(row["flops"]) == 2 * int(row["macs"])
    counted = [i for i, key in enumerate(full[0]) if key not in OWN]
    cells = {line[i] for line in full[1:] for i in counted if re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", line[i])}
    assert cells <= known, sorted(cells - known)[:5]


@pytest.mark.parametrize("name", EXACT)
def test_formats_of_what_is_counted_agree(cli, name):
    said = {kind: cli(*EXACT[name], "--format", kind) for kind in ("csv", "tsv", "markdown", "json", "latex", "html")}
    assert {kind for kind, done in said.items() if done.returncode or done.stderr} == set()
    full = separated(said["csv"].stdout)
    assert separated(said["tsv"].stdout, "\t") == full
    if name != "flops --per stage":  # the JSON has the layers
        check_json(full, json.loads(said["json"].stdout))
    check_people(full, said["markdown"].stdout)
    assert said["html"].stdout.count("<tr") >= len(full)
    assert said["latex"].stdout.count("\\\\") >= len(full)


def measured(documents):
    """Every stored result, with its tables: what CSV holds first."""
    for stored in find([documents]):
        yield stored, [stored.result.flat(), *stored.result.tables()]


def test_formats_of_what_is_measured_agree(documents):
    for stored, tables in measured(documents):
        for i, table in enumerate(tables):
            full = separated(render(table, "csv"))
            check_people(full, render(table, "markdown"))
            assert separated(render(table, "tsv"), "\t") == full
            if i == 0:
                check_json(full, stored.document)
            for style in ("csv", "tsv"):
                assert stored.result.text(style) == render(tables[0], style)


def test_a_row_of_latency_follows_from_its_samples(documents):
    for stored in find([documents / "latency.json"]):
        assert isinstance(stored.result, Latencies)
        for row, one in zip(stored.result.flat().records(), stored.document["latencies"], strict=True):
            assert row["n"] == sum(len(reading["runs_s"]) for reading in one["readings"])
            assert row["half_width"] == one["half_width_s"] / one["median_s"]
            assert row["of_roof"] == one["flops_per_s"] / stored.document["roofs"]["fp32"]["flops_per_s"]


def test_pandas_has_the_numbers_of_the_csv(documents):
    for stored, (flat, *_) in measured(documents):
        frame = stored.result.to_pandas()
        assert [*frame.columns] == separated(render(flat, "csv"))[0]
        assert frame.shape == (len(flat.rows), len(flat.columns))


@pytest.mark.skipif(not (shutil.which("pdflatex") or shutil.which("tectonic")), reason="no pdflatex and no tectonic")
def test_every_table_compiles_as_latex(documents, tmp_path):
    tables = [render(table, "latex") for _, tables in measured(documents) for table in tables if len(table.rows) < 60]
    body = "\n\\clearpage\n".join(tables)
    (tmp_path / "all.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + body + "\n\\end{document}\n"
    )
    tool = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"] if shutil.which("pdflatex") else ["tectonic"]
    done = subprocess.run([*tool, "all.tex"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:]


def test_formats_of_the_gate_agree():
    draw = random.Random(0)
    rounds = [
        {name: {arm: [draw.gauss(0.01, 1e-4) for _ in range(5)] for arm in ARMS} for name in ("test_a[1|2]", "test_b")}
        for _ in range(16)
    ]
    duel = Duel(GateRules(), environment(), rounds, replay(paired(rounds), GateRules()), 123.4)
    changes = (
        CounterChange("test_a[1|2]", "", "macs", 1_000_000, None),
        CounterChange("test_b", "conv1", "aten.add", 1, 2),
    )
    gate = Gate("1234567", "working tree", changes, changes[1:], benchmarks=("test_a[1|2]", "test_b"), duel=duel)
    document = json.loads(gate.to_json())
    for table in (change_table(gate), time_table(duel)):
        full = separated(render(table, "csv"))
        assert len(full) == len(table.rows) + 1
        check_people(full, render(table, "markdown"))
        assert separated(render(table, "tsv"), "\t") == full
    check_json(separated(render(change_table(gate), "csv")), document)


@pytest.fixture
def nights(tmp_path):
    """Twelve stored runs of a benchmark that becomes slower and counts more, as pytest-benchmark writes them."""
    paths = []
    for day in range(12):
        seconds, macs = (1.0 + 0.001 * day, 8) if day < 6 else (1.3 + 0.001 * day, 9)
        machine = {"resbench": {"id": "a" * 12, "stable": {"cpu": "one"}, "volatile": {}}}
        stats = {"median": seconds, "iqr": 0.01 * seconds}
        benchmark = {
            "fullname": "suites/bench_it.py::test_it",
            "extra_info": {"counters": {"macs": macs}},
            "stats": stats,
        }
        commit = {"id": f"{day:040x}", "dirty": False}
        run = {
            "machine_info": machine,
            "commit_info": commit,
            "datetime": f"2026-01-{day + 1:02}T03:00:00",
            "version": "5",
        }
        paths.append(tmp_path / f"{day:02}.json")
        paths[-1].write_text(json.dumps({**run, "benchmarks": [benchmark]}))
    return [str(path) for path in paths]


def test_formats_of_stored_runs_agree(cli, nights, tmp_path):
    for command in (["history", *nights, "--dir", str(tmp_path / "history")], ["compare-runs", nights[0], nights[-1]]):
        said = {kind: cli(*command, "--format", kind) for kind in ("csv", "tsv", "json", "markdown", "latex", "html")}
        assert {done.returncode for done in said.values()} == {0 if command[0] == "history" else 1}
        full = separated(said["csv"].stdout)
        assert len(full) > 1
        assert separated(said["tsv"].stdout, "\t") == full
        check_json(full, json.loads(said["json"].stdout))
        assert all("test_it" in said[kind].stdout for kind in ("markdown", "html"))
        assert r"test\_it" in said["latex"].stdout


@pytest.mark.parametrize("letters", ["abc,.-12 ", "abc \u00b1\u6f22\n"], ids=["narrow", "wide"])
def test_plain_text_is_set_as_tabulate_sets_it(letters):
    draw = random.Random(3)

    def text():
        return "".join(draw.choices(letters, k=draw.randint(0, 12)))

    for _ in range(60):
        kinds = draw.choices(("text", "prose", "exact", "shape"), k=draw.randint(1, 5))
        values = {"text": text, "prose": text, "exact": lambda: draw.choice((None, draw.randint(0, 10**9)))}
        columns = [Column(f"c{i}", text().strip(), kind) for i, kind in enumerate(kinds)]
        rows = [
            [values.get(kind, lambda: (1, draw.randint(1, 512), 7, 7))() for kind in kinds]
            for _ in range(draw.randint(1, 6))
        ]
        table = Table(columns, rows)
        assert render(table, "table") == _tabulated(table, "simple")


def test_a_name_that_ends_in_gz_is_packed(tmp_path):
    for name in ("a.json", "a.csv"):
        assert called("flops", "resnet20", "-o", tmp_path / name).returncode == 0
        assert called("flops", "resnet20", "-o", tmp_path / f"{name}.gz").returncode == 0
        plain, packed = (tmp_path / name).read_bytes(), gzip.decompress((tmp_path / f"{name}.gz").read_bytes())
        assert packed.replace(b".gz", b"") == plain
    assert resbench.load(tmp_path / "a.json.gz") == resbench.load(tmp_path / "a.json")
    refused = called("flops", "resnet20", "-o", tmp_path / "a.svg.gz")
    assert refused.returncode == 2
    assert "a chart goes to --plot" in refused.stderr


def test_a_name_says_the_format_or_is_refused(tmp_path):
    for name in ("a.xyz", "a.xyz.gz"):
        refused = called("flops", "resnet20", "-o", tmp_path / name)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "--output takes a file that ends in nothing, .txt, .md" in refused.stderr
        with pytest.raises(OptionError, match="expected a file that ends in"):
            resbench.flops("resnet20").save(tmp_path / name)
        assert not [*tmp_path.iterdir()]
    for name in ("a", "a.txt"):
        assert called("flops", "resnet20", "-o", tmp_path / name).returncode == 0
        assert (tmp_path / name).read_text() == f"{resbench.flops('resnet20')}\n"
    assert called("flops", "resnet20", "-o", tmp_path / "a.xyz", "-f", "csv").returncode == 0
    resbench.flops("resnet20").save(tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
