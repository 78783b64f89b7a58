"""A report's content: stored results as sections of tables, charts and drawings, whatever they will be shown on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from resbench.drawing.charts import Picture
from resbench.errors import OutputError
from resbench.pages.figures import figures, uncounted
from resbench.stored import Claims, Costs, Flows, Result, Stored, Trainings
from resbench.tables.metrics import METRICS
from resbench.tables.table import Table
from resbench.timing.latency.result import Latencies
from resbench.timing.layers.result import Layers
from resbench.timing.memory.result import Memories


@dataclass(frozen=True)
class Section:
    """One part of the page. ``drawings``: SVG by title. ``said``: its verdicts."""

    key: str
    title: str
    lead: str
    said: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    drawings: Mapping[str, str] = field(default_factory=dict)


def sections(stored: Sequence[Stored], models: Sequence[str] = ()) -> list[Section]:
    """All that is known of these models, or of all of them: a summary first, then a section for each kind of result."""
    results = [result for one in stored if (result := _only(one.result, models))]
    found = [_summary(results, models)]
    for kind, make in SECTIONS:
        same = [result for result in results if isinstance(result, kind)]
        found += [section for section in [make(same)] if same and section]
    return found


def _only(result: Result, models: Sequence[str]) -> Result | None:
    """Of a result, these models; None where it says nothing of them. Claims are of no model, and always kept."""
    if not models or isinstance(result, Claims):
        return result
    match result:
        case Costs():
            costs = [one for one in result.costs if one.model in models]
            return Costs(costs) if costs else None
        case Latencies():
            latencies = [one for one in result.latencies if one.model in models]
            return result._replace(latencies=latencies) if latencies else None
        case Layers():
            return result if result.model in models else None
        case Memories():
            reports = [one for one in result.reports if one[0] in models]
            return result._replace(reports=reports) if reports else None
        case Flows():
            kept = [(f, v) for f, v in zip(result.flows, result.verdicts, strict=True) if f.model in models]
            return result._replace(flows=[f for f, _ in kept], verdicts=[v for _, v in kept]) if kept else None
        case Trainings():
            runs = tuple(one for one in result.outcome.results if one.cell.model in models)
            return result._replace(outcome=replace(result.outcome, results=runs)) if runs else None


def _summary(results: Sequence[Result], order: Sequence[str]) -> Section:
    """One table of every metric that is known, and every verdict; without a metric, the verdicts."""
    from resbench.networks.name import ModelName
    from resbench.pages.bubbles import bubbles
    from resbench.pages.comparison import View, comparison, uncounted_lines

    known = list(figures(results))
    said = [line for result in results for line in _verdicts(result)]
    has_any = dict.fromkeys(figure.model for figure in known)
    models = [*(name for name in order if name in has_any), *(name for name in has_any if name not in order)]
    if not models:
        return Section("summary", "Summary", "", said)
    has = [metric for metric in METRICS if any(figure.metric == metric for figure in known)]
    view = View([metric for metric in has if metric not in ("elementwise", "roof")])
    inputs = {one.model: one.input for result in results if isinstance(result, Costs) for one in result.costs}
    unknown = uncounted_lines(uncounted(results))
    table = comparison(models, known, view, inputs=inputs, warnings=unknown)
    families = {name: ModelName.stored(name).family for name in models}
    drawn = (bubbles(table, families, ("macs", metric), unknown) for metric in ("latency", "error", "activations"))
    picture = next(filter(None, drawn), None)
    lead = f"Each figure beside its ratio to {models[0]}."
    return Section("summary", "Summary", lead, said, [table], [picture] if picture else [])


def _verdicts(result: Result) -> Iterable[str]:
    match result:
        case Latencies():
            bad = [one for one in result.latencies if one.verdict != "settled"]
            yield from (f"Latency of {one.model}: {one.verdict}" for one in bad)
        case Flows():
            for flow, said in zip(result.flows, result.verdicts, strict=True):
                yield f"Gradient of {flow.model}: {'; '.join(map(str, said)) or 'no verdict'}"
        case Trainings():
            yield from (f"Training on {result.outcome.data}: {line}" for line in result.said)
        case Claims():
            counts = Counter(finding.answer.verdict for finding in result.findings)
            news = [f"{one.claim.id} otherwise than expected" for one in result.findings if not one.as_expected]
            yield f"Claims: {', '.join([f'{count} {verdict}' for verdict, count in counts.items()] + news)}"


def _costs(results: Sequence[Costs]) -> Section:
    from resbench.costs.chart import by_layer
    from resbench.costs.table import cost_table

    costs = list({(one.model, one.input): one for result in results for one in result.costs}.values())
    tables = [cost_table(costs), *(cost_table(one, per) for one in costs for per in ("stage", "layer"))]
    lead = "Parameters, multiply-accumulates and what else a run at inference takes, counted from the structure."
    return Section("cost", "Cost", lead, (), tables, [by_layer(one) for one in costs])


def _drawings(results: Sequence[Costs]) -> Section | None:
    from resbench.pages.diagrams import diagram

    costs = list({one.model: one for result in results for one in result.costs}.values())
    lead = "Blocks and shortcuts, equal neighbours folded; a dashed shortcut changes the shape."
    return Section("structure", "Structure", lead, drawings={one.model: diagram(one) for one in costs})


def _latencies(results: Sequence[Latencies]) -> Section:
    from resbench.timing.latency.chart import spreads
    from resbench.timing.tables import latency_table

    tables = [latency_table(*result) for result in results]
    lead = "Seconds of a run, in fresh processes, with the interval of the median."
    return Section("latency", "Latency", lead, (), tables, [spreads(result) for result in results])


def _layers(results: Sequence[Layers]) -> Section:
    from resbench.timing.layers.chart import roofline
    from resbench.timing.tables import layer_table

    lead = "The time of every layer, beside what the machine's ceilings allow. The rows sum to the whole."
    drawn = [picture for picture in map(roofline, results) if picture]
    return Section("layers", "Layers", lead, (), [layer_table(*result) for result in results], drawn)


def _memories(results: Sequence[Memories]) -> Section:
    from resbench.timing.tables import memory_table

    return Section(
        "memory", "Memory", "Predicted from the costs, and measured.", (), [memory_table(*r) for r in results]
    )


def _flows(results: Sequence[Flows]) -> Section:
    from resbench.gradients.chart import pictures
    from resbench.gradients.statistics import chosen_statistics
    from resbench.gradients.table import depth_table, network_table

    tables, drawn = [], []
    for result in results:
        shown = [depth_table(statistic, result.flows) for statistic in chosen_statistics("gradient,update")]
        flows, verdicts, recipe, data, limits, here = result
        tables += [network_table(flows, verdicts, recipe, data, limits, here), *(table for table in shown if table)]
        try:
            drawn += pictures(flows)
        except OutputError:  # nothing finite: the table says so
            continue
    lead = "How the gradient reaches every layer in the first steps of training, and whether it moves the weights."
    return Section("gradient", "Gradient flow", lead, (), tables, drawn)


def _trainings(results: Sequence[Trainings]) -> Section:
    from resbench.training.chart import curves
    from resbench.training.table import end_table, epoch_tables

    tables, drawn = [], []
    for command, outcome, said, here in results:
        tables += [end_table(outcome, f"{command} on {outcome.data}", said, here), *epoch_tables(outcome)]
        drawn.append(curves(outcome))
    return Section("training", "Training", "Networks trained side by side.", (), tables, drawn)


def _claims(results: Sequence[Claims]) -> Section:
    from resbench.lessons.table import claim_table

    lead = "What is said of residual learning, each claim run as an experiment."
    return Section("claims", "Claims", lead, (), [claim_table(*result, whole=True) for result in results])


SECTIONS: Sequence[tuple[type, Callable[[Any], Section | None]]] = (
    (Costs, _costs),
    (Costs, _drawings),
    (Latencies, _latencies),
    (Layers, _layers),
    (Memories, _memories),
    (Flows, _flows),
    (Trainings, _trainings),
    (Claims, _claims),
)
"""In the order of the page."""
