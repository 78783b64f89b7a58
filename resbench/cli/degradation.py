"""`resbench degradation`: does it train, and does depth make it worse?"""

from __future__ import annotations

from resbench.cli.options import (
    BoardOption,
    DataOption,
    DeviceOption,
    FormatOption,
    InputOption,
    ModelOption,
    Models,
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
    models: Models = None,
    model: ModelOption = None,
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
    input: InputOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Train networks side by side and say whether the deeper ones train worse (He et al. 2015, sec. 4.2).

    By default plain20 plain56 resnet20 resnet56 on real digits. The same command again goes on where it was stopped.
    """
    checked(format, output, plot)
    events = board(tensorboard, "degradation", data=data, device=device)
    from resbench.training.degradation import MODELS, degradation

    names = list(dict.fromkeys([*(models or ()), *(model or ())])) or list(MODELS)
    failures = Failures(names)
    with bar() as progress:
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
            device=device,
            watch=events.training if events else None,
            failures=failures,
            progress=progress,
        )
    finish(found, folder, format, output, plot, events, failures)
