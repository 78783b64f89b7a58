"""`resbench compare`: networks side by side, by any metrics, measured here or stored."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.options import (
    BatchOption,
    DeviceOption,
    FormatOption,
    InputOption,
    ModelOption,
    Models,
    OutputOption,
    PlotOption,
    checked,
    chosen,
    progress,
)
from resbench.errors import MeasureError, OptionError, OutputError
from resbench.stored import Costs, Flows, Latencies, Result, Trainings
from resbench.tables import emit
from resbench.tables.metrics import COUNTED, METRICS, Figure, known_metrics

if TYPE_CHECKING:
    from resbench.arch.cost import Cost
    from resbench.tables.comparison import View


def compare(
    models: Models = None,
    model: ModelOption = None,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            help=f"Some of {','.join(METRICS)}. Gradient and errors: on digits, as gradflow and degradation.",
        ),
    ] = ",".join(COUNTED),
    stored: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="PATH", help="What other commands wrote as JSON, files or folders. Repeatable."),
    ] = None,
    baseline: Annotated[str, typer.Option("--baseline", help="What all others are relative to; the first.")] = "",
    sort: Annotated[str, typer.Option("--sort", help="A metric; with - before it, the largest first.")] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Models with macs<5G, error<8%, latency<=20ms, ... Repeatable.")
    ] = None,
    pareto: Annotated[str, typer.Option("--pareto", help="Mark the front of these metrics: error,latency.")] = "",
    group_by: Annotated[str, typer.Option("--group-by", help="family: rows of one family together.")] = "",
    input: InputOption = None,
    batch: BatchOption = 1,
    device: DeviceOption = "cpu",
    plot: PlotOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Put models side by side: what they cost, how fast they are, how the gradient flows, how well they train.

    Each figure stands beside its ratio to the baseline. What is no count is measured here and now, or with --from
    taken from what other commands have stored, machines side by side.
    """
    from resbench.figures import figures, published
    from resbench.stored import find
    from resbench.tables.comparison import View, comparison, comparison_document
    from resbench.tables.costs import uncounted

    checked(format, output, plot)
    if group_by not in ("", "family"):
        raise OptionError(f"--group-by takes family; received {group_by!r}")
    if sort:
        known_metrics(sort.removeprefix("-"))
    front = known_metrics(pareto) if pareto else ()
    view = View(known_metrics(metrics), baseline, sort, only or (), front, bool(group_by))
    results = [one.result for one in find(stored)] if stored else []
    known = list(figures(results))
    names = chosen(models, model, least=0 if stored else 2) or list(dict.fromkeys(figure.model for figure in known))
    costs = _counted(names, known, input, batch)
    names = list(dict.fromkeys(costs))
    counts = [cost for cost in costs.values() if cost]
    if not stored:
        known = list(_measured(names, view, input, batch, device))
    known += [*figures([Costs(counts)]), *(published(names) if "published" in view.wanted else ())]
    families = {name: _family(name) for name in names}
    table = comparison(
        names,
        known,
        view,
        inputs={cost.model: cost.input for cost in (*counts, *_stored_costs(results))},
        families=families,
        warnings=uncounted(counts),
    )
    emit(table, comparison_document(table, baseline or names[0]), format, output)
    if plot:
        from resbench.report.charts import save
        from resbench.report.costs import bubbles

        axes = (front or [metric for metric in view.metrics if metric != "params"])[:2]
        picture = bubbles(table, families, axes) if len(axes) == 2 else None
        if picture is None:
            raise OutputError("nothing to draw: expected two networks that have two metrics besides params")
        save([picture], plot)


def _stored_costs(results: Sequence[Result]) -> Iterator[Cost]:
    for result in results:
        if isinstance(result, Costs):
            yield from result.costs


def _counted(names: Sequence[str], known: Sequence[Figure], input: str | None, batch: int) -> dict[str, Cost | None]:
    """The cost of every network by its full name; none of one whose counts are stored already."""
    from resbench.models import cost, is_catalogued

    stored = {figure.model for figure in known if figure.metric in COUNTED}
    elsewhere = {figure.model for figure in known}
    costs: dict[str, Cost | None] = {}
    for name in names:
        if name in stored or (name in elsewhere and not is_catalogued(name)):
            costs[name] = None
        else:
            counted = cost(name, input=input, batch=batch)
            costs[name if name in elsewhere else counted.model] = counted
    return costs


def _measured(names: Sequence[str], view: View, input: str | None, batch: int, device: str) -> Iterator[Figure]:
    """What the commands behind the metrics find, here and now."""
    from resbench.figures import figures

    commands = {METRICS[metric].command for metric in view.wanted}
    if "latency" in commands:
        yield from figures([_latencies(names, input, batch, device)])
    if "gradflow" in commands:
        yield from figures([_flows(names, input, device)])
    if "degradation" in commands:
        yield from _trained(names, device)
    progress("")


def _latencies(names: Sequence[str], input: str | None, batch: int, device: str) -> Latencies:
    from resbench.measure.environment import environment
    from resbench.measure.roofline import roof
    from resbench.measure.workload import Setup
    from resbench.replicas import Cell, measure

    setup = Setup(device, batch)
    progress("the machine's ceilings (kept for the next time)")
    with setup.applied():
        ceiling, here = roof(device), environment(device)
    outcome = measure([Cell(name, input, setup) for name in names], progress=progress)
    if outcome.interrupted:
        raise typer.Exit(130)
    if outcome.failures:
        print(*(f"resbench: {failure}" for failure in outcome.failures[1:]), sep="\n", file=sys.stderr, end="")
        raise MeasureError(outcome.failures[0])
    return Latencies(outcome.latencies, {setup.dtype: ceiling}, here)


def _flows(names: Sequence[str], input: str | None, device: str) -> Flows:
    from resbench.data import load_images
    from resbench.gradients.study import Recipe, flow
    from resbench.gradients.verdicts import Thresholds, verdicts
    from resbench.measure.environment import environment
    from resbench.measure.workload import check_device

    check_device(device)
    limits, recipe, images = Thresholds(), Recipe(steps=(0,), device=device), load_images("digits")
    flows = []
    for name in names:
        flows.append(flow(name, images, recipe, input=input, progress=progress))
        if flows[-1].interrupted:
            raise typer.Exit(130)
    said = [verdicts(one, limits) for one in flows]
    return Flows(flows, said, recipe, "digits", limits.line, environment(device))


def _trained(names: Sequence[str], device: str) -> Iterator[Figure]:
    """Trained with the classes of the data, and known by the names that were asked for."""
    from resbench.cli.training import FOLDER, bar, running
    from resbench.figures import figures
    from resbench.measure.environment import environment
    from resbench.studies.degradation import DIGITS_CLASSES, Plan, study, with_classes
    from resbench.training.precision import precision

    options = running(device, False, 0, FOLDER, None)
    progress("")
    with bar(options) as moved:
        outcome = study(names, Plan(dtype=precision(options.device)), options, moved)
    if not all(result.finished for result in outcome.results):
        print("resbench: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(130)
    asked = {with_classes(name, DIGITS_CLASSES): name for name in names}
    for figure in figures([Trainings("degradation", outcome, (), environment(options.device))]):
        yield figure._replace(model=asked[figure.model])


def _family(name: str) -> str:
    """The catalog's, or the source of a model from elsewhere."""
    from resbench.arch.catalog import find
    from resbench.models import is_catalogued

    return find(name.partition(",")[0]).family if is_catalogued(name) else name.partition(":")[0]
