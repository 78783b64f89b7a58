"""`resbench latency`: how long a run takes here, per network or per layer, and what it holds in memory."""

from __future__ import annotations

from typing import Annotated, Any

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
    board,
    chosen,
    end,
    progress,
    refuse_uncounted,
    say_where,
)
from resbench.cli.output import checked, emit
from resbench.drawing.charts import save
from resbench.errors import Failures, OptionError
from resbench.results import Result

ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Of torch on the CPU.", min=1, max=4096)]


def command(
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
    checked(format, output, plot)
    if plot and not layers:
        raise OptionError("--plot draws layers under their roof: expected --layers with it")
    names, sizes = chosen(models, model), _batches(batch)
    if layers and memory:
        raise OptionError("expected --layers or --memory, received both: they are two tables")
    if tensorboard and (layers or memory):
        raise OptionError("--tensorboard takes the times of whole networks; for layers there is `resbench profile`")
    if layers and (len(names) != 1 or len(sizes) != 1):
        raise OptionError(f"--layers takes one model and one batch, received {len(names)} and {len(sizes)}")
    if memory and len(sizes) != 1:
        raise OptionError(f"--memory takes one batch, received {len(sizes)}")
    from resbench.timing.latency.measure import latency
    from resbench.timing.latency.result import Latencies
    from resbench.timing.layers.measure import COMPILED
    from resbench.timing.layers.measure import layers as layers_of
    from resbench.timing.memory.measure import memory as memory_of

    if layers and compile:
        raise OptionError(COMPILED)
    events, failures = board(tensorboard, "latency"), Failures(names)
    setup: dict[str, Any] = {
        **{"device": device, "dtype": dtype, "memory_format": memory_format},
        **{"mode": mode, "cache": cache, "threads": threads, "progress": progress},
    }
    if not layers:
        setup |= {"compile": compile, "failures": failures}
    if layers:
        found: Result = layers_of(names[0], input, batch=sizes[0], **setup)
    elif memory:
        found = memory_of(names, input, batch=sizes[0], **setup)
    else:
        found = latency(names, input, batch=sizes, processes=processes, **setup)
    progress("")
    emit(found, format, output)
    if events and isinstance(found, Latencies):
        events.latencies(found, input)
        say_where(events)
    if plot:
        save(found.drawn(), plot)
    end(failures, getattr(found, "interrupted", False))
    refuse_uncounted(strict, [found])


def _batches(text: str) -> list[int]:
    sizes = text.split(",")
    if not all(size.isdigit() and 1 <= int(size) <= 2**20 for size in sizes):
        raise OptionError(f"--batch takes whole numbers from 1 to {2**20}, such as 1,8,32; received {text!r}")
    return [int(size) for size in sizes]
