"""`resbench models` lists what there is."""

from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.output import checked, emit


def command(
    filter: Annotated[
        str,
        typer.Argument(
            metavar="FILTER", help="Part of a name, family or source; a whole name shows that model's options."
        ),
    ] = "",
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """List the networks, lessons and blocks, or the options of one."""
    from resbench.networks.listing import listing

    checked(format, output)
    emit(listing(filter), format, output)
