"""What the commands that train have in common: their options, the bar, and how they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resbench.cli.options import end, say_where
from resbench.errors import Failures, MeasureError
from resbench.tables.output import choose, emit_all

if TYPE_CHECKING:
    from resbench.pages.tensorboard import Board
    from resbench.training.result import Outcome
    from resbench.training.train import Options, Progress

EpochsOption = Annotated[
    float | None, typer.Option("--epochs", help="Instead of 20 (digits) or as many as 64,000 iterations are.")
]
SeedsOption = Annotated[int, typer.Option("--seeds", help="Initialisations and orders.", min=1, max=1000)]
TrainBatchOption = Annotated[int, typer.Option("--batch", help="Images a step.", min=2, max=2**20)]
LrOption = Annotated[float, typer.Option("--lr", help="Learning rate; / 10 at one half and at three quarters.")]
WarmupOption = Annotated[
    int | None,
    typer.Option("--warmup", min=0, help="First iterations at lr / 10; else 33 (digits), or 400 (100 layers)."),
]
PrecisionOption = Annotated[str | None, typer.Option("--dtype", help="fp32 or bf16; bf16 where the device has it.")]
FolderOption = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Checkpoints: the same command goes on from there.")
]
CompileOption = Annotated[bool, typer.Option("--compile", help="torch.compile the networks.")]
ProbeOption = Annotated[int, typer.Option("--probe", metavar="K", help="Gradient statistics every K steps.", min=0)]

FOLDER = Path("runs")


@contextmanager
def bar(options: Options) -> Iterator[Progress]:
    """A bar on stderr with the time that is left; nothing where nobody looks."""
    if options.ranks.rank or not sys.stderr.isatty():
        yield lambda line, share: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True),
        transient=True,
        expand=True,
        speed_estimate_period=300,
    ) as shown:
        task = shown.add_task("", total=1.0)
        yield lambda line, share: shown.update(task, description=line, completed=share)


def running(device: str, compiled: bool, every: int, folder: Path, events: Board | None = None) -> Options:
    """How it is run: alone, or as one of torchrun's processes."""
    from resbench.training.parallel import join
    from resbench.training.train import Options
    from resbench.workers.workload import check_device

    check_device(device)
    ranks, device = join(device)
    return Options(device, compiled, every, folder, events.training if events else None, ranks)


def finish(
    command: str,
    title: str,
    outcome: Outcome,
    said: Sequence[str],
    options: Options,
    format: str | None,
    output: Path | None,
    plot: Path | None,
    events: Board | None = None,
    ranked: bool = False,
    failures: Failures | None = None,
) -> None:
    """Print and draw what there is; exit 130 where it was interrupted, 2 where a network failed, 1 where a number was
    not finite."""
    if options.ranks.rank:
        return
    if failures and not outcome.results:
        end(failures)
    from resbench.drawing.charts import save
    from resbench.training.chart import curves, picture
    from resbench.training.table import end_table, epoch_tables, history_table, training_document
    from resbench.workers.environment import environment

    if not any(result.history or result.broken for result in outcome.results):
        interrupted = any(not result.finished for result in outcome.results)
        if interrupted:
            print("resbench: no epoch is at its end yet; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(130)
        raise MeasureError("nothing was trained")
    earlier = sum(result.earlier for result in outcome.results)
    if earlier:
        which = f"{earlier} of {len(outcome.results)} trainings were"
        print(f"resbench: {which} finished by an earlier call, in {options.folder}", file=sys.stderr)
    here = environment(options.device)
    style = choose(format, output)
    ends = end_table(outcome, title, said, here, ranked)
    tables: list[Any] = [history_table(outcome.results)] if style in ("csv", "tsv") else [*epoch_tables(outcome), ends]
    emit_all(tables, training_document(command, outcome, said, here), format, output)
    if style == "table" and output is None:
        print(picture(outcome, shutil.get_terminal_size().columns, sys.stdout.isatty()), end="")
    if events:
        events.trainings(outcome)
        say_where(events)
    if plot:
        save([curves(outcome)], plot)
    for broken in (result.broken for result in outcome.results if result.broken):
        print(f"resbench: {broken}", file=sys.stderr)
    if any(not result.finished for result in outcome.results):
        print("resbench: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130)
    if failures:
        end(failures)
    if any(result.broken for result in outcome.results):
        raise typer.Exit(1)
