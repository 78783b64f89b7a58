"""`resbench compare-runs` compares two stored runs of one suite."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import checked, emit
from resbench.units import plural


def command(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="What pytest --benchmark-json wrote; also gzipped.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="Another run of that suite.")],
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Compare two stored runs of a suite: the counters always, wall times only of one machine and installation.

    Exit 1 where a counter changed, 2 where something could not be compared; both say what. Wall times alone are no
    verdict.
    """
    checked(format, output)
    from resbench.regression.comparing.measure import compare, read

    found = compare(read(a), read(b))
    emit(found, format, output)
    if found.status:
        tell(f"{plural(found.changed, 'counter')} changed" if found.changed else "not everything could be compared")
        raise typer.Exit(found.status)
