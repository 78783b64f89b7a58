"""`resbench degradation` asks whether networks train, and whether depth makes them worse."""

from typing import Annotated

import typer

from resbench.cli import options, training
from resbench.cli.output import board, checked
from resbench.cli.progress import progress
from resbench.errors import Failures
from resbench.files import RUNS


def command(
    models: options.Models = None,
    model: options.Model = None,
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
    trail: Annotated[
        int, typer.Option("--landscape", metavar="K", help="Keep the weights every K epochs, for a landscape.", min=0)
    ] = 0,
    tensorboard: options.Board = None,
    plot: options.Plot = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Train networks side by side and say whether the deeper ones train worse (He et al. 2015, sec. 4.2).

    By default plain20 plain56 resnet20 resnet56 on real digits. The same command again goes on where it was stopped.
    """
    checked(format, output, plot)
    events = board(tensorboard, "degradation", data=data, device=device)
    from resbench.training.degradation import MODELS, degradation

    names = list(dict.fromkeys(options.chosen(models, model, input, least=0) or MODELS))
    failures = Failures(names)
    found = degradation(
        names,
        input,
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
        trail=trail,
        device=device,
        threads=threads,
        watch=events.training if events else None,
        failures=failures,
        progress=progress,
    )
    training.finish(found, folder, format, output, plot, events, failures)
