"""`resbench models` lists what there is."""

from typing import Annotated

import typer

from resbench.cli.formats import Format, Output
from resbench.cli.output import checked, emit


def command(
    filter: Annotated[
        str,
        typer.Argument(
            metavar="FILTER", help="Part of a name, family or source; a whole name shows that model's options."
        ),
    ] = "",
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Hold the figures of costs that are in print against exact counts."),
    ] = False,
    format: Format = None,
    output: Output = None,
) -> None:
    """List the networks, lessons and blocks, or the options of one; or audit what is in print of them."""
    checked(format, output)
    if audit:
        from resbench.networks.audit import audit as audited

        emit(audited(filter), format, output)
    else:
        from resbench.networks.listing import listing

        emit(listing(filter), format, output)
