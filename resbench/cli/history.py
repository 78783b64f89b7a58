"""`resbench history` shows stored runs over time."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import checked, emit
from resbench.errors import GateError


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN.json", help="What pytest --benchmark-json wrote, to append; also gzipped."),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The history: a file for each machine, a line for each run.")
    ] = Path("results/history"),
    plot: options.Plot = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Append stored runs of a suite to its history, and show when times and counters changed, and by how much.

    A run that is there already is not appended again. Exit 0 whatever changed.
    """
    checked(format, output, plot)
    from resbench.regression.comparing.measure import read
    from resbench.regression.history.measure import append, histories

    if runs:
        new = append(folder, [read(path) for path in runs])
        there = len(runs) - len(new)
        tell(f"{len(new)} of {len(runs)} runs appended to {folder}{f', {there} there already' if there else ''}")
    found = histories(folder)
    if not found.histories:
        raise GateError(
            f"no history in {folder}: append a run that pytest --benchmark-json wrote, or name another --dir"
        )
    emit(found, format, output, plot=plot)
