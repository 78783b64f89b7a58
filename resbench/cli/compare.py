"""`resbench compare`: networks side by side, by any metrics, measured here or stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
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
    StrictOption,
    checked,
    chosen,
    end,
    progress,
    refuse_uncounted,
)
from resbench.costs.table import complex_note
from resbench.errors import Failures, OptionError, OutputError, StoredError, UnknownModelError
from resbench.stored import Costs, Result, Trainings
from resbench.stored import models as of
from resbench.tables import emit
from resbench.tables.metrics import COUNTED, METRICS, known_metrics

if TYPE_CHECKING:
    from resbench.arch.cost import Cost
    from resbench.pages.comparison import View


def compare(
    models: Models = None,
    model: ModelOption = None,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            help=f"Some of {', '.join(METRICS)}. Gradient and errors: on digits, as gradflow and degradation.",
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
    strict: StrictOption = False,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Put models side by side: what they cost, how fast they are, how the gradient flows, how well they train.

    Each figure stands beside its ratio to the baseline. What is no count is measured here and now, or with --from
    taken from what other commands have stored, machines side by side.
    """
    from resbench.networks.load import result_name
    from resbench.networks.name import ModelName, parse_input
    from resbench.pages.comparison import View, comparison, comparison_document, uncounted_lines
    from resbench.pages.figures import figures, published, uncounted
    from resbench.stored import find

    checked(format, output, plot)
    if stored and device != "cpu":
        raise OptionError("--device is for what is measured here: expected it without --from")
    if group_by not in ("", "family"):
        raise OptionError(f"--group-by takes family; received {group_by!r}")
    if sort:
        known_metrics(sort.removeprefix("-"))
    front = known_metrics(pareto) if pareto else ()
    view = View(known_metrics(metrics), baseline, sort, only or (), front, bool(group_by))
    results: Sequence[Result] = [one.result for one in find(stored)] if stored else []
    known = dict.fromkeys(figure.model for figure in figures(results))
    asked = chosen(models, model, least=0 if stored else 2) or list(known)
    if not asked:
        raise StoredError("nothing there can be compared: expected JSON of flops, latency, gradflow or degradation")
    if input:
        parse_input(input)  # of all models: refused once
    failures = Failures(asked)
    if baseline and baseline not in known:
        baseline = result_name(baseline, input)
    names = failures.each(asked, lambda name: name if name in known else result_name(name, input))
    names = list(dict.fromkeys(names))
    if names and baseline and baseline not in names:
        raise OptionError(f"--baseline takes one of {', '.join(names)}; received {baseline!r}")
    counts = _counted(names, results, batch, failures)
    names = failures.without(names)
    if not names:
        end(failures)
    if baseline and baseline not in names:
        raise OptionError(f"nothing can be compared to the baseline: {failures.reasons[baseline]}")
    view = replace(view, baseline=baseline or names[0])
    if not stored:
        results = _measured(names, view, batch, device, failures)
    shown = [*figures([*results, Costs(counts)]), *(published(names) if "published" in view.wanted else ())]
    unknown = uncounted([*results, Costs(counts)], names)
    families = {name: ModelName.stored(name).family for name in names}
    known_costs = (*counts, *_stored_costs(results))
    table = comparison(
        names,
        shown,
        view,
        inputs={cost.model: cost.input for cost in known_costs},
        families=families,
        warnings=[
            *uncounted_lines(unknown),
            *_broken(results, names),
            *failures.reasons.values(),
            *complex_note(known_costs),
        ],
    )
    emit(table, comparison_document(table, view.baseline, unknown), format, output)
    if plot:
        from resbench.drawing.charts import save
        from resbench.pages.bubbles import bubbles

        axes = (front or [metric for metric in view.metrics if metric != "params"])[:2]
        picture = bubbles(table, families, axes, uncounted_lines(unknown)) if len(axes) == 2 else None
        if picture is None:
            end(failures)  # which say why there is too little
            raise OutputError("nothing to draw: expected two networks that have two metrics besides params")
        save([picture], plot)
    end(failures)
    refuse_uncounted(strict, unknown)


def _stored_costs(results: Sequence[Result]) -> Iterator[Cost]:
    for result in results:
        if isinstance(result, Costs):
            yield from result.costs


def _broken(results: Sequence[Result], names: Sequence[str]) -> Iterator[str]:
    """Trainings that ended because a number was not finite: an error of the other seeds alone says little."""
    for result in results:
        if isinstance(result, Trainings):
            yield from (one.broken for one in result.outcome.results if one.broken and one.cell.model in names)


def _counted(names: Sequence[str], results: Sequence[Result], batch: int, failures: Failures) -> list[Cost]:
    """The cost of every network that has none yet, where it can be known without running what is stored."""
    from resbench.costs.measure import cost
    from resbench.networks.name import ModelName

    counted = {one.model for one in _stored_costs(results)}
    elsewhere = {name for result in results for name in of(result)}
    found = []
    for name in names:
        if name in counted or (name in elsewhere and not ModelName.stored(name).catalogued):
            continue
        # a stored one may be of another version's catalog
        with suppress(UnknownModelError) if name in elsewhere else failures.of(name):
            found.append(replace(cost(name, batch=batch), model=name))
    return found


def _measured(names: Sequence[str], view: View, batch: int, device: str, failures: Failures) -> Sequence[Result]:
    """What the commands behind the metrics find, here and now."""
    from resbench.cli import live

    commands = {METRICS[metric].command for metric in view.wanted}
    found: list[Result | None] = []
    if "latency" in commands:
        found.append(live.latencies(names, None, batch, device, failures))
    if "gradflow" in commands:
        found.append(live.flows(names, None, device, failures, steps=(0,)))
    if "degradation" in commands:
        found.append(live.trainings(names, device, failures))
    progress("")
    return [result for result in found if result]
