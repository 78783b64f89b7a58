"""`resbench sweep` draws networks of a space, and keeps a row of figures of each."""

from pathlib import Path
from typing import Annotated, Any

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
    n: Annotated[
        int | None, typer.Option("-n", help="So many networks, each only once; 500.", min=1, max=100_000_000)
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Rows are kept here.")] = Path("sweep"),
    metrics: Annotated[
        list[str] | None,
        options.several(
            "--metrics", "Such as params,c1,synflow,error,latency:onnxruntime; what costs nothing is there."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draws.", min=0)] = 0,
    seeds: Annotated[int, typer.Option("--seeds", help="Of the first weights, for what depends on them.", min=1)] = 1,
    limit: Annotated[
        list[str] | None, typer.Option("--limit", help="Only networks within: macs=50M:100M, params=:1M. Repeatable.")
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="All networks there are, in their order.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say cells, time and disk, and measure nothing.")] = False,
    processes: Annotated[int, typer.Option("--processes", help="That share the work.", min=1, max=1024)] = 1,
    ray: Annotated[
        str | None, typer.Option("--ray", metavar="ADDRESS", help="A cluster: auto, HOST:PORT, local.")
    ] = None,
    data: options.Data = "digits",
    data_root: options.Root = None,
    epochs: Annotated[float, typer.Option("--epochs", help="Of a training, for error.")] = 8.0,
    device: options.Device = "cpu",
    merge: Annotated[
        list[Path] | None, typer.Option("--merge", metavar="DIR", help="Take the rows of another sweep. Repeatable.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Draw nothing: read the rows in --dir.")] = False,
    target: Annotated[str, typer.Option("--target", help="Of --report: error, latency, or another figure.")] = "",
    against: Annotated[str, typer.Option("--against", help="Of --report: the front is of both; macs.")] = "",
    plot: options.Plot = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Draw networks of a space, ask --metrics of each, and keep a row of every answer.

    What they cost is always there: parameters, MACs, activations, depth. The same command goes on where it was; more
    networks, metrics or seeds, or a wider space, keep what is there.
    """
    checked(format, output, plot)
    options.refuse(
        (target or against or plot) and not report,
        "--target, --against and --plot are of the rows: expected --report with them",
    )
    options.refuse(
        report and (metrics or limit or merge or grid or dry_run or n),
        "--report reads the rows there are: expected it without -n, --metrics, --limit, --merge, --grid, --dry-run",
    )
    if report:
        from resbench.sweeps.readings.measure import readings

        emit(readings(folder, target, against=against, space=space), format, output, plot=plot)
        return
    from resbench.sweeps.measure import plan, sweep

    options.refuse(ray == "", "--ray takes auto, local, or HOST:PORT; received ''")
    asked: dict[str, Any] = {"metrics": metrics or ()}
    asked |= {"data": data, "root": data_root, "epochs": epochs, "device": device}
    asked |= {"seed": seed, "seeds": seeds, "limits": limit or (), "grid": grid}
    options.refuse(dry_run and merge, "--dry-run writes nothing: expected it without --merge")
    if dry_run:
        emit(plan(space, n, **asked), format, output)
        return
    asked |= {"processes": processes, "ray": ray or "", "merge": merge or ()}
    found = sweep(space, n, folder=folder, progress=progress, **asked)
    emit(found, format, output)
    if found.interrupted:
        end_early(f"interrupted after {plural(found.rows, 'row')}; the same command goes on from here", (output,))
