"""`resbench show` writes the structure of a network as its paper's table would."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.output import emit
from resbench.costs.result import Costs
from resbench.files import check_writable, write


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A model; one of the catalog is shown with the structure of its blocks.",
            autocompletion=options.complete_model,
        ),
    ],
    expression: Annotated[bool, typer.Option("--expression", help="Print the whole expression instead.")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw it instead: FILE.svg.")] = None,
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Show a network's structure: blocks, shapes and cost, equal neighbours folded."""
    from resbench.costs.structure import drawing, show
    from resbench.networks.load import load

    if svg:
        options.refuse(
            expression or format or output,
            "--svg writes a picture of its own: expected it without --expression, --format and -o",
        )
        options.refuse(svg.suffix.lower() != ".svg", f"--svg takes a file that ends in .svg; received {svg.name!r}")
        check_writable(svg)
    options.chosen([model], None, input)
    found = load(model, input, device="meta")
    if svg:
        write(svg, drawing(found))
        return
    if expression:
        options.refuse(
            not found.architecture, f"--expression is of a model of the catalog; received {model!r}, which has none"
        )
        options.refuse(format, "--expression is text of its own: expected no --format with it; -o FILE works")
        if output:
            write(output, f"{found.architecture}\n")
        else:
            print(found.architecture)
        return
    result = show(found)
    emit(result, format, output, result.tables("block") if isinstance(result, Costs) else None)
