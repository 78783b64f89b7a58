"""`resbench compare`: networks side by side, by any metrics, measured here or stored."""

from __future__ import annotations

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
from resbench.errors import OptionError, OutputError
from resbench.stored import Costs, Result
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
    from resbench.models import family
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
    families = {name: family(name) for name in names}
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
        from resbench.report.networks import bubbles

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
    from resbench.cli import live
    from resbench.figures import figures

    commands = {METRICS[metric].command for metric in view.wanted}
    if "latency" in commands:
        yield from figures([live.latencies(names, input, batch, device)])
    if "gradflow" in commands:
        yield from figures([live.flows(names, input, device, steps=(0,))])
    if "degradation" in commands:
        found, asked = live.trainings(names, device)
        yield from (figure._replace(model=asked[figure.model]) for figure in figures([found]))
    progress("")
