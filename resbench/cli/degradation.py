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
from resbench.errors import Failures


def degradation(
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
    from resbench.networks.name import parse_input
    from resbench.training.degradation import ITERATIONS, MODELS, Plan, gaps, study
    from resbench.training.precision import precision

    options = running(device, compiled, probe, folder, events)
    precise = dtype or precision(options.device)
    plan = Plan(data, data_root, seeds, epochs, batch, lr, precise, parse_input(input) if input else None, warmup)
    names = list(dict.fromkeys([*(models or ()), *(model or ())])) or list(MODELS)
    failures = Failures(names)
    with bar(options) as progress:
        outcome = study(names, plan, options, progress, failures)
    said = [f"{gap}." for gap in gaps(outcome.results)]
    if (
        data != "digits"
        and outcome.results
        and max(result.cell.recipe.iterations for result in outcome.results) < ITERATIONS
    ):
        said.append(f"The paper trains for {ITERATIONS:,} iterations; in fewer, a deep network may only be behind.")
    finish("degradation", "Degradation", outcome, said, options, format, output, plot, events, failures=failures)
