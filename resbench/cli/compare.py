"""`resbench compare` puts networks side by side, by any metrics, measured here or stored."""

from dataclasses import replace
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.output import checked, emit, end, tell_remarks
from resbench.cli.progress import progress
from resbench.errors import Failures
from resbench.results import KINDS, find, measured_by, metric_names

COUNTED = KINDS["flops"].metrics.split()  # what costs no time is compared where nothing else is asked for


def command(
    models: options.Models = None,
    model: options.Model = None,
    metrics: Annotated[
        list[str] | None,
        options.several(
            "--metrics",
            f"Some of {', '.join(metric_names())}. Gradient and errors: on digits, as gradflow and degradation.",
            [f"{','.join(COUNTED)}; with --from params, macs and what is stored"],
        ),
    ] = None,
    stored: options.Stored = None,
    baseline: Annotated[str, typer.Option("--baseline", help="What all others are relative to; the first.")] = "",
    sort: Annotated[str, typer.Option("--sort", help="A metric; with - before it, the largest first.")] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Models with macs<5G, error<8%, latency<=20ms, ... Repeatable.")
    ] = None,
    pareto: Annotated[
        list[str] | None, options.several("--pareto", "Mark the front of these metrics: error,latency.")
    ] = None,
    group_by: Annotated[str, typer.Option("--group-by", help="family: rows of one family together.")] = "",
    input: options.Input = None,
    batch: options.Batch = 1,
    device: options.Device = "cpu",
    runtime: options.Runtime = None,
    plot: options.Plot = None,
    strict: options.Strict = False,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Put models side by side: what they cost, how fast they are, how the gradient flows, how well they train.

    Each figure stands beside its ratio to the baseline. What is no count is measured here and now, or with --from
    taken from what other commands have stored, machines side by side.
    """
    from resbench.pages.compare import compare
    from resbench.pages.comparison import View, known_metrics, metrics_in

    checked(format, output, plot)
    options.refuse(
        stored and (device != "cpu" or runtime), "--device and --runtime are for what is measured here, without --from"
    )
    options.refuse(group_by not in ("", "family"), f"--group-by takes family; received {group_by!r}")
    if sort:
        known_metrics([sort.removeprefix("-")])
    front = known_metrics(pareto or ())
    view = View(known_metrics(metrics or COUNTED), baseline, sort, only or (), front, bool(group_by))
    options.refuse(
        runtime and all(measured_by(metric) != "latency" for metric in view.wanted),
        "--runtime is for latency: expected that in --metrics",
    )
    names = options.chosen(models, model, input, least=0 if stored else 2)
    read = find(stored) if stored else []
    results = [one.result for one in read] if stored else None
    if results and not metrics:
        view = replace(view, metrics=metrics_in(results))
    failures = Failures(names)
    found = compare(
        names,
        input,
        results=results,
        view=view,
        batch=batch,
        device=device,
        runtime=runtime or ["eager"],
        failures=failures,
        progress=progress,
    )
    tell_remarks(read)
    too_few = failures.reasons and not found.pictures()  # what failed says why there is nothing to draw
    plot = None if too_few else plot
    emit(found, format, output, plot=plot)
    end(failures, strict, [found], interrupted=found.interrupted, files=(output, plot))
