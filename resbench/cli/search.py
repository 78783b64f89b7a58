"""`resbench search` looks for the networks of a space that are small in several figures at once."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.output import checked, emit, end_early
from resbench.cli.progress import progress
from resbench.units import plural


def command(
    space: Annotated[
        str,
        typer.Argument(
            metavar="SPACE", help="residual, inception, anynet, regnet, nasbench201, or a file: space.toml."
        ),
    ],
    minimize: Annotated[list[str], options.several("--minimize", "Such as error,macs or params,latency:onnxruntime.")],
    budget: Annotated[int, typer.Option("--budget", help="So many networks are looked at.", min=1)] = 200,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Rows are kept here.")] = Path("search"),
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="Only networks within: macs=50M:100M, params=:1M. Repeatable.")
    ] = None,
    sampler: Annotated[str, typer.Option("--sampler", help="nsga2, tpe or random.")] = "nsga2",
    seed: Annotated[int, typer.Option("--seed", help="Of the optimiser.", min=0)] = 0,
    seeds: Annotated[int, typer.Option("--seeds", help="Of the first weights, for what depends on them.", min=1)] = 1,
    processes: Annotated[int, typer.Option("--processes", help="That share the work.", min=1, max=1024)] = 1,
    data: options.Data = "digits",
    data_root: options.Root = None,
    epochs: Annotated[float, typer.Option("--epochs", help="Of a training, for error.")] = 8.0,
    device: options.Device = "cpu",
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Look for the networks of a space that are small in several figures: an optimiser chooses.

    Prints the front, which no network that was looked at beats. The same command goes on where it was.
    """
    checked(format, output, None)
    from resbench.sweeps.searching.measure import search

    found = search(
        space,
        minimize,
        budget=budget,
        folder=folder,
        limits=limit or (),
        sampler=sampler,
        seed=seed,
        seeds=seeds,
        processes=processes,
        data=data,
        root=data_root,
        epochs=epochs,
        device=device,
        progress=progress,
    )
    emit(found, format, output)
    if found.interrupted:
        end_early(f"interrupted after {plural(found.looked, 'network')}; the same command goes on from here", (output,))
