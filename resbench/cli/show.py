"""`resbench show`: the structure of a network, as its paper's table would write it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli.options import FormatOption, InputOption, OutputOption, complete_model
from resbench.cli.output import emit
from resbench.costs.result import Costs
from resbench.errors import OptionError
from resbench.files import check_writable, write


def command(
    model: Annotated[
        str,
        typer.Argument(
            help="A model; one of the catalog is shown with the structure of its blocks.", autocompletion=complete_model
        ),
    ],
    expression: Annotated[bool, typer.Option("--expression", help="Print the whole expression instead.")] = False,
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw it instead: FILE.svg.")] = None,
    input: InputOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Show a network's structure: blocks, shapes and cost, equal neighbours folded."""
<<<<<<< HEAD
    from resbench.costs.structure import drawing, show
=======
    from resbench.arch.describe import describe
    from resbench.costs.measure import cost
    from resbench.drawing.diagram import draw
    from resbench.drawing.tree import draw_tree
>>>>>>> name
    from resbench.networks.load import load

    if svg:
        if expression or format or output:
            raise OptionError("--svg writes a picture of its own: expected it without --expression, --format and -o")
        if svg.suffix.lower() != ".svg":
            raise OptionError(f"--svg takes a file that ends in .svg; received {svg.name!r}")
        check_writable(svg)
<<<<<<< HEAD
        write(svg, drawing(model, input))
        return
    found = load(model, input, device="meta")
    if expression and not found.architecture:
        raise OptionError(f"--expression is of a model of the catalog; received {model!r}, which has none")
=======
    found = load(model, input, device="meta")
    arch = found.architecture
    if svg:
        write(svg, draw(arch) if arch else draw_tree(cost(found)))
        return
    if arch is None:
        if expression:
            raise OptionError(f"--expression is of a model of the catalog; received {model!r}, which has none")
        report = cost(found)
        emit(cost_table([report], "block"), cost_document([report]), format, output)
        return
>>>>>>> name
    if expression:
        if format:
            raise OptionError("--expression is text of its own: expected no --format with it; -o FILE works")
        if output:
            write(output, f"{found.architecture}\n")
        else:
            print(found.architecture)
        return
<<<<<<< HEAD
    result = show(found)
    emit(result, format, output, result.tables("block") if isinstance(result, Costs) else None)
=======
    lines = describe(arch)
    rows = [(line.name, line.repeat, line.output, line.params, line.macs, line.structure) for line in lines]
    params, macs = sum(line.params for line in lines), sum(line.macs for line in lines)
    total = ("total", None, None, params, macs, "")
    title = f"{arch.name}, input {shape_text(arch.input)} ({arch.source})"
    table = Table(COLUMNS, rows, title, footer=[total])
    document: dict[str, Any] = {
        "schema": 1,
        "command": "show",
        "model": arch.name,
        "source": arch.source,
        "input": [1, *arch.input],
        "blocks": [line._asdict() for line in lines],
    }
    emit(table, document, format, output)
>>>>>>> name
