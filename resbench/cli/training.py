"""The commands that train share their options, and how they end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.outlets import tell
from resbench.cli.output import draw, emit, end, end_early, say_where
from resbench.cli.progress import leads
from resbench.errors import Failures

if TYPE_CHECKING:
    from resbench.pages.tensorboard import Board
    from resbench.training.result import Trainings

Epochs = Annotated[
    float | None, typer.Option("--epochs", help="Instead of 20 (digits) or as many as 64,000 iterations are.")
]
Seeds = Annotated[int, typer.Option("--seeds", help="Trainings: initialisations and orders.", min=1, max=1000)]
Batch = Annotated[int, typer.Option("--batch", help="Images a step.", min=2, max=2**20)]
Lr = Annotated[float, typer.Option("--lr", help="Learning rate; / 10 at one half and at three quarters.")]
Warmup = Annotated[
    int | None,
    typer.Option("--warmup", min=0, help="First iterations at lr / 10; else 33 (digits), or 400 (100 layers)."),
]
Precision = Annotated[str | None, typer.Option("--dtype", help="fp32 or bf16; bf16 where the device has it.")]
Folder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Checkpoints: the same command goes on from there.")]
Compile = Annotated[bool, typer.Option("--compile", help="torch.compile the networks.")]
Probe = Annotated[int, typer.Option("--probe", metavar="K", help="Gradient statistics every K steps.", min=0)]


def finish(
    found: "Trainings",
    folder: Path,
    format: str | None,
    output: Path | None,
    plot: Path | None,
    events: "Board | None",
    failures: Failures | None = None,
) -> None:
    """Print and draw what there is; exit 130 where it was interrupted, 2 where a network failed, 1 where a number was
    not finite."""
    if not leads():
        return
    if not any(one.history or one.broken for one in found.trainings):
        tell("no epoch is at its end yet; the same command goes on from here")
        raise typer.Exit(130)
    if earlier := sum(one.earlier for one in found.trainings):
        tell(f"{earlier} of {len(found.trainings)} trainings were finished by an earlier call, in {folder}")
    emit(found, format, output)
    if events:
        events.trainings(found)
        say_where(events)
    if plot:
        draw(found, plot)
    broken = [one.broken for one in found.trainings if one.broken]
    tell(*broken)
    if found.interrupted:
        end_early("interrupted; the same command goes on from here", (output, plot))
    end(failures or Failures())
    if broken:
        raise typer.Exit(1)
