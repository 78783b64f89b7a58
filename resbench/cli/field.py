"""`resbench field` says what of its input a layer sees, and measures how much of that it uses."""

from typing import Annotated, Literal

import typer

from resbench.cli import options
from resbench.cli.output import checked, emit, end
from resbench.cli.progress import progress
from resbench.errors import Failures


def command(
    models: options.Models = None,
    model: options.Model = None,
    per: Annotated[Literal["model", "layer"], typer.Option("--per", help="One row for each of these.")] = "model",
    measure: Annotated[
        bool, typer.Option("--measure", help="Also the effective field: how far the gradient of the last map reaches.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Of --measure: initialisations; 3.", min=1, max=1000)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Of --measure: random inputs a seed; 8.", min=1, max=4096)
    ] = None,
    device: options.Device = "cpu",
    input: options.Input = None,
    plot: options.Plot = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Receptive field, effective stride and padding of every layer; with --measure, how much of it is used.

    Names with a colon load other people's models; package.module:factory and file: run their code.
    """
    names = options.chosen(models, model, input)
    style = checked(format, output, plot)
    options.refuse(
        style in ("csv", "tsv") and per == "layer" and len(names) > 1,
        f"--format {style} holds one table: expected one model with --per layer, received {len(names)}",
    )
    options.refuse(
        not measure and (seeds or images or device != "cpu"),
        "--seeds, --images and --device say how to measure: expected --measure with them",
    )
    from resbench.fields.measure import field

    failures = Failures(names)
    found = field(
        names,
        input,
        measure=measure,
        seeds=seeds or 3,
        images=images or 8,
        device=device,
        failures=failures,
        progress=progress,
    )
    emit(found, format, output, found.tables(per), plot)
    end(failures, results=[found], files=(output, plot))
