"""`resbench models`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from resbench.cli.options import FormatOption, OutputOption
from resbench.errors import OptionError
from resbench.tables import Column, Table, emit

COLUMNS = (
    Column("model", "model"),
    Column("family", "family"),
    Column("input", "input"),
    Column("params", "params", "exact"),
    Column("macs", "MACs", "exact"),
    Column("source", "published in"),
    Column("options", "options"),
)

NOTES = (
    "{6n+2}: every such depth, resnet20 resnet32 resnet56 resnet110 resnet1202; where ImageNet or a bottleneck "
    "network has it too (resnet50, resnet164), write cifar_resnet50.",
    "Wherever a model is taken: torchvision:NAME, timm:NAME, hf:ID, package.module:factory, file:path.py:factory, "
    "pt2:FILE, and the entry points of the group resbench.models.",
    "Options follow commas: resnet56,shortcut=B,width=2,input=3x64x64. All take input=CxHxW.",
)


def models(
    filter: Annotated[str, typer.Argument(metavar="FILTER", help="Part of a name, a family or a source.")] = "",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """List the families, networks, lessons and blocks, with their options."""
    from resbench.arch.catalog import architecture, entries, options

    rows = []
    for entry in entries().values():
        if filter.lower() not in f"{entry.name} {entry.family} {entry.source}".lower():
            continue
        cost = None if "{" in entry.name else architecture(entry.name).cost()
        taken = " ".join(f"{o.name}={'|'.join(o.values) or o.default}" for o in options(entry))
        counts = (cost.params, cost.macs) if cost else (None, None)
        rows.append((entry.name, entry.family, "x".join(map(str, entry.input)), *counts, entry.source, taken))
    if not rows:
        raise OptionError(f"no model, family or source contains {filter!r}; `resbench models` lists them all")
    table = Table(COLUMNS, rows, notes=NOTES)
    emit(table, {"schema": 1, "command": "models", "models": table.records()}, format, output)
