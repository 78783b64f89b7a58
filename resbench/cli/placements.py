"""`resbench placements` tries where to put BN, ReLU and the shortcut."""

from typing import Annotated

import typer

from resbench.cli import options, training
from resbench.cli.output import board, checked
from resbench.cli.progress import progress
from resbench.files import RUNS


def command(
    depth: Annotated[int, typer.Option("--depth", help="Layers: 6n + 2.")] = 20,
    table: Annotated[str, typer.Option("--table", help="Of He et al. 2016: shortcuts (1), orders (2) or all.")] = "all",
    data: options.Data = "digits",
    data_root: options.Root = None,
    epochs: training.Epochs = None,
    seeds: training.Seeds = 1,
    batch: training.Batch = 128,
    lr: training.Lr = 0.1,
    warmup: training.Warmup = None,
    dtype: training.Precision = None,
    folder: training.Folder = RUNS,
    compiled: training.Compile = False,
    probe: training.Probe = 0,
    tensorboard: options.Board = None,
    plot: options.Plot = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Train every activation order and shortcut of He et al. 2016 at one depth, and rank them by test error.

    Beside them stands what the paper printed for 110 layers on CIFAR-10 (164 for --depth 164).
    """
    checked(format, output, plot)
    events = board(tensorboard, "placements", data=data, device=device)
    from resbench.training.placements import placements

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
        threads=threads,
        watch=events.training if events else None,
        progress=progress,
    )
    training.finish(found, folder, format, output, plot, events)
