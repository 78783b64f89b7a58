"""`resbench claims` tries what is said of residual learning."""

from typing import Annotated

import typer

from resbench.cli import options, training
from resbench.cli.output import checked, emit, end_early
from resbench.cli.progress import leads, progress
from resbench.files import RUNS


def command(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which claims; all of them.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Train on CIFAR-10 for 64,000 iterations.")] = False,
    data_root: options.Root = None,
    seeds: training.Seeds = 1,
    dtype: training.Precision = None,
    folder: training.Folder = RUNS,
    device: options.Device = "cpu",
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Run each claim about residual learning as an experiment, on digits; exit 1 where one comes out otherwise.

    Verdicts: holds, holds with a condition, wrong as stated. Trainings are kept in --dir and shared by the claims.
    """
    checked(format, output)
    from resbench.lessons.measure import chosen, claims

    found = claims(
        ids or (),
        full=full,
        root=data_root,
        seeds=seeds,
        dtype=dtype,
        folder=folder,
        device=device,
        progress=progress,
    )
    if leads():
        emit(found, format, output)
    if found.interrupted:
        done = f"{len(found.claims)} of {len(chosen(ids or ()))} claims"
        end_early(f"interrupted after {done}; the same command goes on with the trainings", (output,))
    raise typer.Exit(1 if found.unexpected else 0)
