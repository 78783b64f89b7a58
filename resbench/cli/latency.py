"""`resbench latency` times a run here, per network or per layer, and shows what it holds in memory."""

from typing import Annotated, Any

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import board, checked, emit, end, say_where
from resbench.cli.progress import progress
from resbench.errors import Failures
from resbench.units import plural
from resbench.workers.optimizers import MOMENTUM


def command(
    models: options.Models = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    batch: Annotated[list[str] | None, options.several("--batch", "Batch sizes, such as 1,8,32.", ["1"])] = None,
    dtype: options.Dtype = "fp32",
    memory_format: options.Layout = "contiguous",
    mode: options.Mode = "inference",
    optimizer: options.Optimizer = MOMENTUM,
    cache: Annotated[str, typer.Option("--cache", help="warm, or cold: overwritten before each run.")] = "warm",
    compile: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    runtime: options.Runtime = None,
    threads: options.Threads = None,
    processes: Annotated[int | None, typer.Option("--processes", help="Fresh processes; 5.", min=1, max=1000)] = None,
    layers: Annotated[bool, typer.Option("--layers", help="One row for each layer, in this process.")] = False,
    memory: Annotated[bool, typer.Option("--memory", help="What is held in memory, predicted and measured.")] = False,
    fits: options.Fits = None,
    export: options.Export = None,
    data: options.Shown = None,
    data_root: options.Root = None,
    quantize: options.Quantize = None,
    plot: options.Plot = None,
    tensorboard: options.Board = None,
    strict: options.Strict = False,
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Time networks on this machine, each in several fresh processes, with an interval for the median.

    --layers times every layer instead, and holds it against what the machine can do. --plot draws what was timed:
    layers under their roof, and networks in several runtimes as lines that cross where their order turns round.
    """
    checked(format, output, plot)
    options.refuse(plot and memory, "--plot draws times, or layers under their roof: expected it without --memory")
    names = options.chosen(models, model, input)
    sizes = options.whole_numbers(
        batch or ["1"], range(1, 2**20 + 1), f"--batch takes whole numbers from 1 to {2**20}, such as 1,8,32"
    )
    options.refuse(layers and memory, "expected --layers or --memory, received both: they are two tables")
    options.refuse(
        tensorboard and (layers or memory),
        "--tensorboard takes the times of whole networks; for layers there is `resbench profile`",
    )
    options.refuse(runtime and compile, "--compile is short for --runtime compile: keep one of them")
    runtimes = runtime or ["compile" if compile else "eager"]
    options.refuse(
        layers and (len(names), len(sizes), len(runtimes)) != (1, 1, 1),
        "--layers takes one model, one batch and one runtime; received "
        f"{plural(len(names), 'model')}, batch {','.join(map(str, sizes))}, and {plural(len(runtimes), 'runtime')}",
    )
    options.refuse(tensorboard and len(runtimes) > 1, "--tensorboard takes the times of one runtime")
    options.refuse(memory and runtime, "--memory is of torch: expected it without --runtime")
    options.refuse(fits is not None and not memory, "--fits asks what memory allows: expected --memory with it")
    options.refuse(memory and len(sizes) > 1, f"--memory takes one batch, received {len(sizes)}")
    whole = [name for name, given in (("--export", export), ("--data", data), ("--quantize", quantize)) if given]
    options.refuse(
        whole and (layers or memory),
        f"{', '.join(whole)} is for networks timed whole: expected it without --layers and --memory",
    )
    from resbench.timing.latency.measure import PROCESSES, latency
    from resbench.timing.layers.measure import layers as layers_of
    from resbench.timing.memory.measure import memory as memory_of

    events, failures = board(tensorboard, "latency"), Failures(names)
    setup: dict[str, Any] = {
        **{"device": device, "dtype": dtype, "memory_format": memory_format},
        **{"mode": mode, "optimizer": optimizer, "cache": cache, "threads": threads, "progress": progress},
    }
    if processes and (layers or memory):
        tell(f"--{'layers' if layers else 'memory'} runs in this process: --processes {processes} is passed over")
    if layers:
        found: Any = layers_of(names[0], input, batch=sizes[0], runtime=runtimes[0], **setup)
    elif memory:
        found = memory_of(names, input, batch=sizes[0], compile=compile, fits=fits, failures=failures, **setup)
    else:
        setup |= {"processes": processes or PROCESSES, "runtime": runtimes, "export": export}
        setup |= {"data": data, "root": data_root, "quantize": quantize}
        found = latency(names, input, batch=sizes, failures=failures, **setup)
    emit(found, format, output, plot=plot)
    if events:
        events.latencies(found, input)
        say_where(events)
    end(failures, strict, [found], files=(output, plot))
