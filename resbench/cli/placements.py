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
    checked,
)
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
    running,
)


def placements(
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
    from resbench.training.degradation import Plan
    from resbench.training.placements import compare, published_depth
    from resbench.training.precision import precision

    options = running(device, compiled, probe, folder, events)
    precise = dtype or precision(options.device)
    plan = Plan(data, data_root, seeds, epochs, batch, lr, precise, warmup=warmup)
    with bar(options) as progress:
        outcome = compare(depth, table, plan, options, progress)
    said = [f"Published: {published_depth(depth)} layers on CIFAR-10, median of five runs."]
    finish(
        "placements", f"Placements at {depth} layers", outcome, said, options, format, output, plot, events, ranked=True
    )
