"""`resbench compare-runs`: two stored runs of one suite."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from resbench.cli.options import FormatOption, OutputOption
from resbench.tables.output import choose, emit_all


def compare_runs(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="What pytest --benchmark-json wrote; also gzipped.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="Another run of that suite.")],
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Compare two stored runs of a suite: the counters always, wall times only of one machine and installation.

    Exit 1 where a counter changed, 2 where something could not be compared; both say what. Wall times alone are no
    verdict.
    """
    style = choose(format, output)
    from resbench.regression.comparing.measure import compare, read
    from resbench.regression.comparing.table import comparison_document, comparison_tables, value_table

    found = compare(read(a), read(b))
    tables = [value_table(found)] if style in ("csv", "tsv") else comparison_tables(found)
    emit_all(tables, comparison_document(found), format, output)
    if found.status:
        said = f"{found.changed} counters changed" if found.changed else "not everything could be compared"
        print(f"resbench: {said}", file=sys.stderr)
        raise typer.Exit(found.status)
