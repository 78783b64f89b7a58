"""`resbench landscape` asks what the loss of trained networks looks like around their weights."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options, training
from resbench.cli.outlets import tell
from resbench.cli.output import checked, emit, end, end_early
from resbench.cli.progress import progress
from resbench.errors import Failures
from resbench.files import RUNS, is_folder, is_there


def command(
    models: options.Models = None,
    model: options.Model = None,
    span: Annotated[float, typer.Option("--span", help="The plane goes from -span to span.")] = 1.0,
    points: Annotated[int, typer.Option("--points", help="Of a side; odd, so that the weights are one of them.")] = 25,
    directions: Annotated[
        str,
        typer.Option("--directions", help="filter (Li et al. 2018), layer, none, top (Hessian), trajectory."),
    ] = "filter",
    biases: Annotated[
        str, typer.Option("--biases", help="Biases and BN: zero (they stay), or own (they move).")
    ] = "zero",
    bn: Annotated[
        str,
        typer.Option(
            "--bn", help="Statistics: recompute (anew at each point), eval (the centre's), train (a batch's)."
        ),
    ] = "recompute",
    images: Annotated[int, typer.Option("--images", help="So many of the training part are shown.", min=1)] = 256,
    tolerance: Annotated[
        str | None,
        typer.Option("--tolerance", metavar="SHARE", help="A spline may stand for points, off by 1% at most."),
    ] = None,
    curvature: Annotated[
        int,
        typer.Option(
            "--curvature", metavar="K", help="Eigenvalues, their density and trace, by K steps of Lanczos.", min=0
        ),
    ] = 0,
    convexity: Annotated[
        int,
        typer.Option("--convexity", metavar="N", help="|Least / largest eigenvalue| at N x N points, N odd.", min=0),
    ] = 0,
    between: Annotated[
        bool, typer.Option("--between", help="With --seeds: the line from each training to the next.")
    ] = False,
    data: options.Data = "digits",
    data_root: options.Root = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="As in `degradation`; 0: the weights that they begin with.")
    ] = None,
    seeds: training.Seeds = 1,
    every: Annotated[
        int, typer.Option("--every", help="With trajectory: the weights of so many epochs' ends.", min=1)
    ] = 1,
    batch: training.Batch = 128,
    lr: training.Lr = 0.1,
    dtype: training.Precision = None,
    folder: training.Folder = RUNS,
    compiled: Annotated[bool, typer.Option("--compile", help="torch.compile what evaluates the points.")] = False,
    vtk: Annotated[
        Path | None, typer.Option("--vtk", metavar="DIR", help="A file for each plane, for ParaView.")
    ] = None,
    plot: options.Plot = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Draw the loss of trained networks over a plane through their weights (Li et al. 2018), side by side.

    By default plain56 resnet56, as `degradation` trains them on digits: trainings and points are kept, and the same
    command goes on. Which statistics BN divides by decides what is seen, so every picture says it.
    """
    checked(format, output, plot)
    from resbench.landscapes.measure import MODELS, landscape
    from resbench.landscapes.vtk import save

    options.refuse(between and seeds < 2, "--between is of several trainings: expected it with --seeds 2 or more")
    options.refuse(vtk and is_there(vtk) and not is_folder(vtk), f"--vtk takes a folder; received {vtk}")
    names = list(dict.fromkeys(options.chosen(models, model, input, least=0) or MODELS))
    failures = Failures(names)
    found = landscape(
        names,
        input,
        span=span,
        points=points,
        directions=directions,
        biases=biases,
        bn=bn,
        tolerance=options.share(tolerance, "--tolerance"),
        curvature=curvature,
        convexity=convexity,
        between=between,
        images=images,
        data=data,
        root=data_root,
        epochs=epochs,
        seeds=seeds,
        every=every,
        batch=batch,
        lr=lr,
        dtype=dtype,
        folder=folder,
        compile=compiled,
        device=device,
        threads=threads,
        failures=failures,
        progress=progress,
    )
    if earlier := sum(one.earlier for one in found.surfaces):
        tell(f"{earlier:,} points were evaluated by an earlier call, in {folder / 'planes'}")
    emit(found, format, output, plot=plot)
    if vtk:
        save(found, vtk)
    if found.interrupted:
        end_early("interrupted; the same command goes on from here", (output, plot))
    end(failures, results=[found], files=(output, plot))
