"""Every command has these options: how its result is written, and where to."""

from pathlib import Path
from typing import Annotated

import typer

Format = Annotated[
    str | None,
    typer.Option("--format", "-f", help="table, markdown, csv, tsv, json, latex or html; else as FILE's name says."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE.")]
