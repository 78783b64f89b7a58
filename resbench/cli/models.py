"""`resbench models`: what there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.options import FormatOption, OutputOption
from resbench.errors import OptionError, UnknownModelError
from resbench.tables import Column, Table, emit

if TYPE_CHECKING:
    from resbench.arch.catalog import Entry

COLUMNS = (
    Column("model", "model"),
    Column("family", "family"),
    Column("input", "input"),
    Column("params", "params", "exact"),
    Column("macs", "MACs", "exact"),
    Column("source", "published in"),
)

NOTES = (
    "{6n+2}: every such depth, resnet20 resnet32 resnet56 resnet110 resnet1202; where ImageNet or a bottleneck "
    "network has it too (resnet50, resnet164), write cifar_resnet50.",
    "Wherever a model is taken: torchvision:NAME, timm:NAME, hf:ID, package.module:factory, file:path.py:factory, "
    "pt2:FILE, and the entry points of the group resbench.models.",
    "Options follow commas: resnet56,shortcut=B,width=2,input=3x64x64; `resbench models resnet56` lists them.",
)

DETAILS = (Column("option", "option"), Column("values", "takes"), Column("default", "default"))


def models(
    filter: Annotated[
        str,
        typer.Argument(
            metavar="FILTER", help="Part of a name, family or source; a whole name shows that model's options."
        ),
    ] = "",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List the networks, lessons and blocks, or the options of one."""
    from resbench.arch.catalog import architecture, entries, find

    if filter and filter not in {entry.family for entry in entries().values()}:
        try:
            _options(find(filter), format, output)
            return
        except UnknownModelError:
            pass
    rows = []
    for entry in entries().values():
        if filter.lower() not in f"{entry.name} {entry.family} {entry.source}".lower():
            continue
        cost = None if "{" in entry.name else architecture(entry.name).cost()
        counts = (cost.params, cost.macs) if cost else (None, None)
        rows.append((entry.name, entry.family, "x".join(map(str, entry.input)), *counts, entry.source))
    if not rows:
        raise OptionError(f"no model, family or source contains {filter!r}; `resbench models` lists them all")
    table = Table(COLUMNS, rows, notes=NOTES)
    emit(table, {"schema": 1, "command": "models", "models": table.records()}, format, output)


def _options(entry: Entry, format: str | None, output: Path | None) -> None:
    """What may follow one name."""
    from resbench.arch.catalog import option_text, options

    rows = [(o.name, " ".join(o.values) or "a whole number", option_text(o.default)) for o in options(entry)]
    rows.append(("input", "CxHxW", "x".join(map(str, entry.input))))
    title = f"{entry.name} ({entry.source})"
    note = f"After commas, without spaces: {entry.name},input={rows[-1][2]}"
    table = Table(DETAILS, rows, title, (note,))
    document = {
        "schema": 1,
        "command": "models",
        "model": entry.name,
        "source": entry.source,
        "options": table.records(),
    }
    emit(table, document, format, output)
