"""`resbench latency`: how long a run takes here, per network or per layer, and what it holds in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.options import (
    BoardOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    InputOption,
    LayoutOption,
    ModelOption,
    Models,
    ModeOption,
    OutputOption,
    PlotOption,
    StrictOption,
    Uncounted,
    board,
    checked,
    chosen,
    end,
    progress,
    refuse_uncounted,
    say_where,
)
from resbench.errors import Failures, OptionError, OutputError
from resbench.tables import emit

if TYPE_CHECKING:
    from resbench.pages.tensorboard import Board
    from resbench.timing.memory.measure import Memory
    from resbench.timing.ran import Ran
    from resbench.workers.workload import Setup

ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Of torch on the CPU.", min=1, max=4096)]


def latency(
    models: Models = None,
    model: ModelOption = None,
    device: DeviceOption = "cpu",
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes, such as 1,8,32.")] = "1",
    dtype: DtypeOption = "fp32",
    memory_format: LayoutOption = "contiguous",
    mode: ModeOption = "inference",
    cache: Annotated[str, typer.Option("--cache", help="warm, or cold: overwritten before each run.")] = "warm",
    compile: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    threads: ThreadsOption = None,
    processes: Annotated[int, typer.Option("--processes", help="Fresh processes for each row.", min=1, max=1000)] = 5,
    layers: Annotated[bool, typer.Option("--layers", help="One row for each layer, in this process.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="What is held in memory, predicted and measured.")] = False,
    plot: PlotOption = None,
    tensorboard: BoardOption = None,
    strict: StrictOption = False,
    input: InputOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Time networks on this machine, each in several fresh processes, with an interval for the median.

    --layers times every layer instead, holds it against what the machine can do, and with --plot draws that.
    """
    from resbench.workers.workload import Setup

    checked(format, output, plot)
    if plot and not layers:
        raise OptionError("--plot draws layers under their roof: expected --layers with it")
    names = chosen(models, model)
    setups = [
        Setup(device, size, dtype, memory_format, mode, cache, compile, threads)  # type: ignore[arg-type]
        for size in _batches(batch)
    ]
    if layers and memory:
        raise OptionError("expected --layers or --memory, received both: they are two tables")
    if tensorboard and (layers or memory):
        raise OptionError("--tensorboard takes the times of whole networks; for layers there is `resbench profile`")
    if layers:
        unknown = _layers(names, setups, input, format, output, plot)
    elif memory:
        unknown = _memory(names, setups, input, format, output)
    else:
        unknown = _networks(names, setups, input, processes, board(tensorboard, "latency"), format, output)
    refuse_uncounted(strict, unknown)


def _batches(text: str) -> list[int]:
    sizes = text.split(",")
    if not all(size.isdigit() and 1 <= int(size) <= 2**20 for size in sizes):
        raise OptionError(f"--batch takes whole numbers from 1 to {2**20}, such as 1,8,32; received {text!r}")
    return [int(size) for size in sizes]


def _networks(
    names: list[str],
    setups: list[Setup],
    input: str | None,
    processes: int,
    events: Board | None,
    format: str | None,
    output: Path | None,
) -> Uncounted:
    from resbench.cli.live import measured
    from resbench.networks.load import result_name
    from resbench.timing.replicas import Cell
    from resbench.timing.tables import latency_document, latency_table

    failures = Failures(names)
    failures.each(names, lambda name: result_name(name, input))  # a name that nothing answers to costs no process
    names = failures.without(names)
    if not names:
        end(failures)
    found, outcome = measured([Cell(name, input, setup) for name in names for setup in setups], processes)
    progress("")
    if found:
        emit(latency_table(*found), latency_document(*found), format, output)
        if events:
            events.latencies(*found, input)
            say_where(events)
    for failure in outcome.failures:
        failures.add(failure, failure)
    end(failures, outcome.interrupted)
    return {one.model: one.uncounted for one in outcome.latencies if one.uncounted}


def _layers(
    names: list[str],
    setups: list[Setup],
    input: str | None,
    format: str | None,
    output: Path | None,
    plot: Path | None,
) -> Uncounted:
    from resbench.cli.live import layers_of
    from resbench.pages.figures import uncounted
    from resbench.timing.layers.measure import COMPILED
    from resbench.timing.replicas import Cell
    from resbench.timing.tables import layer_document, layer_table

    if len(names) != 1 or len(setups) != 1:
        raise OptionError(f"--layers takes one model and one batch, received {len(names)} and {len(setups)}")
    if setups[0].compile:
        raise OptionError(COMPILED)
    found = layers_of(Cell(names[0], input, setups[0]))
    emit(layer_table(*found), layer_document(*found), format, output)
    if plot:
        from resbench.drawing.charts import save
        from resbench.timing.layers.chart import roofline

        picture = roofline(found)
        if picture is None:
            raise OutputError("nothing to draw: no layer has both FLOPs and bytes, or there is no roof of what ran")
        save([picture], plot)
    return uncounted([found])


def _memory(
    names: list[str], setups: list[Setup], input: str | None, format: str | None, output: Path | None
) -> Uncounted:
    from resbench.costs.measure import cost
    from resbench.timing.memory.measure import measured, predicted
    from resbench.timing.ran import observed
    from resbench.timing.replicas import Cell, one_line, workload
    from resbench.timing.tables import memory_document, memory_table
    from resbench.workers.environment import environment
    from resbench.workers.workload import check_device

    if len(setups) != 1:
        raise OptionError(f"--memory takes one batch, received {len(setups)}")
    setup, failures = setups[0], Failures(names)
    check_device(setup.device)

    def report(name: str) -> tuple[tuple[str, Memory, Memory], Ran]:
        progress(f"{name}: one run")
        cell = Cell(name, input, setup)
        work, title = workload(cell)
        expected = predicted(cost(name, input, batch=setup.batch), setup)
        with one_line(cell), work.ready():
            work.run()  # the optimiser's state is made in the first step
            return (title, expected, measured(work)), observed(work)

    found = failures.each(names, report)
    progress("")
    reports = [report for report, _ in found]
    if found:
        ran = [one for _, one in found]
        here = environment(setup.device).where(threads=ran[0].threads[0])
        emit(memory_table(reports, setup, here, ran), memory_document(reports, setup, here, ran), format, output)
    end(failures)
    return {model: predicted.uncounted for model, predicted, _ in reports if predicted.uncounted}
