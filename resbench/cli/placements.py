"""`resbench placements`: where to put BN, ReLU and the shortcut."""

from __future__ import annotations

from typing import Annotated

import typer

from resbench.cli.options import (
    BoardOption,
    DataOption,
    DeviceOption,
    FormatOption,
    OutputOption,
    PlotOption,
    RootOption,
    board,
)
from resbench.cli.output import checked
from resbench.cli.training import (
    FOLDER,
    CompileOption,
    EpochsOption,
    FolderOption,
    LrOption,
    PrecisionOption,
    ProbeOption,
    SeedsOption,
    TrainBatchOption,
    WarmupOption,
    bar,
    finish,
)
from resbench.errors import Failures


def command(
    depth: Annotated[int, typer.Option("--depth", help="Layers: 6n + 2.")] = 20,
    table: Annotated[str, typer.Option("--table", help="Of He et al. 2016: shortcuts (1), orders (2) or all.")] = "all",
    data: DataOption = "digits",
    data_root: RootOption = None,
    epochs: EpochsOption = None,
    seeds: SeedsOption = 1,
    batch: TrainBatchOption = 128,
    lr: LrOption = 0.1,
    warmup: WarmupOption = None,
    dtype: PrecisionOption = None,
    folder: FolderOption = FOLDER,
    compiled: CompileOption = False,
    probe: ProbeOption = 0,
    tensorboard: BoardOption = None,
    plot: PlotOption = None,
    device: DeviceOption = "cpu",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Train every activation order and shortcut of He et al. 2016 at one depth, and rank them by test error.

    Beside them stands what the paper printed for 110 layers on CIFAR-10 (164 for --depth 164).
    """
    checked(format, output, plot)
    events = board(tensorboard, "placements", data=data, device=device)
    from resbench.training.placements import placements

    with bar() as progress:
        found = placements(
            depth,
            table,
            data=data,
            root=data_root,
            epochs=epochs,
            seeds=seeds,
            batch=batch,
            lr=lr,
            warmup=warmup,
            dtype=dtype,
            folder=folder,
            compile=compiled,
            probe=probe,
            device=device,
            watch=events.training if events else None,
            progress=progress,
        )
    finish(found, folder, format, output, plot, events, Failures())
