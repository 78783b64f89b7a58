"""The page leads with the answer: what differs between its networks, or what bounds its one, and the picture of it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from resbench.arch import levels
from resbench.arch.rows import Cost
from resbench.costs.result import Costs
from resbench.drawing.charts import WIDTH, Picture, data, log_or_linear
from resbench.gradients.result import Flows
from resbench.pages.answer import Place, places, said, written
from resbench.result import Figure, Result, Section
from resbench.results import metric_of
from resbench.timing.latency.crossings import by_runtime
from resbench.timing.latency.orders import panels, turns
from resbench.timing.layers.result import GLUE, Layers
from resbench.training.result import Trainings
from resbench.units import shape_text

STAGES = 3
"""So many of the largest stages are named."""


def lead(results: Sequence[Result], models: Sequence[str], bubbles: Sequence[Picture] = ()) -> Section:
    """Say the answer in sentences, with the one picture that shows it. ``bubbles`` are the networks by two metrics."""
    failed = _failed(results)
    known = places(chain.from_iterable(result.figures() for result in results), models)
    twice = runs(results)
    lines = [*failed, *said(twice)]
    if len(models) == 1:
        lines += [] if twice else alone(results, models[0])
    else:
        lines += said(known, next(iter(models), ""))
    if failed and len(models) > 1:
        ended = [place for place in known if place.metric == "error" and len(place.figures) == 1]
        lines += [
            f"{name} ends at a test error of {written(f)}{place.where}."
            for place in ended
            for name, f in place.figures.items()
        ]
    return Section(
        "answer", "In short", "", lines, (), _picture(results, known, twice, models, bubbles, bool(failed))[:1]
    )


def _failed(results: Sequence[Result]) -> list[str]:
    broken = [one.broken for found in results if isinstance(found, Trainings) for one in found.trainings if one.broken]
    broken += [one.broken for found in results if isinstance(found, Flows) for one in found.flows if one.broken]
    return [f"Failed: {line}." for line in dict.fromkeys(broken)]


def runs(results: Sequence[Result]) -> list[Place]:
    """Put together the times of one network that several results hold, of the same conditions, the oldest first."""
    found: dict[tuple[str, str], dict[str, Figure]] = {}
    for result in (one for one in results if one.kind == "latency"):
        time = str(result.environment.volatile.get("time_utc") or "")[:16].replace("T", " ")
        for figure in result.figures():
            if figure.metric == "latency" and figure.sure:
                same = found.setdefault((figure.model, figure.conditions), {})
                name = f"{figure.model}, {time}" if time else f"{figure.model}, run {len(same) + 1}"
                same[f"{name}, run {len(same) + 1}" if name in same else name] = figure
    return [Place("latency", conditions, same) for (_, conditions), same in found.items() if len(same) > 1]


# -- one network -------------------------------------------------------------------------------------


def alone(results: Sequence[Result], model: str) -> Iterator[str]:
    """Say what one network costs and where, how long it takes and what bounds it, and how it trains."""
    cost = _cost(results, model)
    if cost and cost.layers:
        shares = sorted(_shares(cost, "macs").items(), key=lambda share: -share[1])[:STAGES]
        where = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in shares if share)
        least = "at least " if cost.uncounted else ""
        macs, params = (written(Figure(model, metric, getattr(cost, metric))) for metric in ("macs", "params"))
        yield (
            f"{model} takes {least}{macs} MACs at an input of {shape_text(cost.input)} and has {params} parameters"
            f"{f'; most of the MACs are in {where}' if where and not cost.uncounted else ''}."
        )
    figures = [figure for result in results for figure in result.figures() if figure.model == model]
    for place in places(figures, [model]):
        text = written(place.figures[model])
        if place.metric == "latency":
            roofs = [f for f in figures if f.metric == "roof" and f.conditions.startswith(place.conditions)]
            bound = f"; the machine would allow {written(roofs[-1])}: it is {roofs[-1].remark}" if roofs else ""
            yield f"A run takes {text}{place.where}{bound}."
        elif place.metric == "gradient":
            yield f"The gradient is {text} times as strong at the first layer as at the last{place.where}."
        elif place.metric == "error":
            yield f"It ends at a test error of {text}{place.where}."
    for layers in (one for one in results if isinstance(one, Layers)):
        times = sorted(_times(layers).items(), key=lambda share: -share[1])[:STAGES]
        memory_bound = [row for row in layers.layers if row["bound"] == "memory"]
        memory = (
            f"; {100 * sum(row['share'] for row in memory_bound):.0f} % goes into layers bound by memory"
            if layers.roof
            else ""
        )
        where = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in times)
        yield f"Most of the time goes into {where}{memory}."


def _cost(results: Sequence[Result], model: str) -> Cost | None:
    found = [one for result in results if isinstance(result, Costs) for one in result.costs if one.model == model]
    return found[-1] if found else None


def _shares(cost: Cost, key: str) -> dict[str, float]:
    rows = cost.per("stage")
    whole = sum(getattr(row, key) for row in rows)
    return {row.name: getattr(row, key) / whole for row in rows} if whole else {}


def _times(layers: Layers) -> dict[str, float]:
    """Return the share of each stage in the time of a run, and of what the network does between them."""
    found: dict[str, float] = {}
    names = [row["name"] for row in layers.layers if row["type"] != GLUE]
    stage_of = levels.stages(names)
    known = {*map(stage_of, names)}
    for row in layers.layers:
        stage = stage_of(row["name"])
        stage = stage if stage in known else "between them"
        found[stage] = found.get(stage, 0.0) + row["share"]
    return found


# -- the picture -------------------------------------------------------------------------------------


def _picture(
    results: Sequence[Result],
    known: Sequence[Place],
    twice: Sequence[Place],
    models: Sequence[str],
    bubbles: Sequence[Picture],
    failed: bool,
) -> list[Picture]:
    """Choose by what differs: errors, gradients and runs by their own charts, orders that turn round by runtimes, costs
    by bubbles, the rest by ratios."""
    if twice:
        return [intervals(twice)]
    if len(models) == 1:
        return stages(results, models[0])
    several = [place for place in known if len(place.figures) > 1]
    differ = {place.metric for place in several if place.differs}
    curves = [
        one.pictures()[0] for one in results if isinstance(one, Trainings) and any(run.history for run in one.trainings)
    ]
    flows = [one.flows for one in results if isinstance(one, Flows) and any(flow.rows for flow in one.flows)]
    if curves and (failed or "error" in differ or not differ):
        return curves
    if flows and (("gradient" in differ and "macs" not in differ) or not differ):
        from resbench.gradients.chart import by_depth

        return [by_depth([flow for flow in same if flow.rows]) for same in flows]
    timed = [figure for place in known if place.metric == "latency" for figure in place.figures.values()]
    if any(any(turns(times)) for times in panels(timed).values()):
        return by_runtime(timed)
    if "macs" in differ and len(models) > 2 and bubbles:
        return [*bubbles]
    return ratios(several, models[0]) if differ else []


def intervals(found: Sequence[Place]) -> Picture:
    """Draw the time of each run with its 95 % interval."""
    import altair as alt

    figures = {name: figure for place in found for name, figure in place.figures.items()}
    rows = [
        {
            "run": name,
            "ms": 1e3 * figure.value,
            "low": 1e3 * (figure.value - (figure.spread or 0)),
            "high": 1e3 * (figure.value + (figure.spread or 0)),
        }
        for name, figure in figures.items()
    ]
    y = alt.Y("run:N", title=None, sort=None, axis=alt.Axis(labelLimit=260))
    tips: list[Any] = ["run:N", *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("ms", "low", "high"))]
    base = alt.Chart(data(rows)).encode(y=y, tooltip=tips)
    bars = base.mark_bar(height=14, opacity=0.5, color="#0072b2").encode(
        x=alt.X("ms:Q", title="latency (ms)", axis=alt.Axis(tickCount=8))
    )
    spread = base.mark_rule(strokeWidth=3, color="#d55e00").encode(x=alt.X("low:Q", title="latency (ms)"), x2="high:Q")
    chart = alt.layer(bars, spread).properties(
        width=WIDTH, height=40 * len(rows), title=alt.TitleParams("Time of each run", subtitle="Red: 95 % interval")
    )
    return Picture("time of each run", chart, rows)


def stages(results: Sequence[Result], model: str) -> list[Picture]:
    """Draw which share of the MACs, the parameters and the time each stage of one network has."""
    import altair as alt

    cost = _cost(results, model)
    layers = [one for one in results if isinstance(one, Layers)][-1:]
    shares: dict[str, Mapping[str, float]] = {}
    if cost:
        shares = {"MACs": _shares(cost, "macs"), "parameters": _shares(cost, "params")}
    if layers:
        shares["time"] = _times(layers[0])
    names = dict.fromkeys(name for one in shares.values() for name in one)
    rows = [
        {"stage": name, "of the": key, "share": one.get(name, 0.0)}
        for name in names
        for key, one in shares.items()
        if any(other.get(name, 0.0) >= 0.005 for other in shares.values())
    ]
    if not rows:
        return []
    chart = (
        alt.Chart(data(rows))
        .mark_bar()
        .encode(
            y=alt.Y("stage:N", title=None, sort=None),
            x=alt.X("share:Q", title="share of the whole", axis=alt.Axis(format="%", tickCount=8)),
            yOffset=alt.YOffset("of the:N", sort=[*shares]),
            color=alt.Color("of the:N", title=None, sort=[*shares]),
            tooltip=["stage:N", "of the:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=WIDTH, height=34 * len({row["stage"] for row in rows}), title=f"{model}: where it costs")
    )
    return [Picture(f"where {model} costs", chart, rows)]


def ratios(found: Sequence[Place], base: str) -> list[Picture]:
    """Draw every metric as a ratio to the base, with the interval of both."""
    import altair as alt

    rows: list[dict[str, Any]] = []
    for place in (place for place in found if base in place.figures and place.figures[base].value > 0):
        low, high = _ends(place.figures[base])
        for name, figure in place.figures.items():
            ratio = figure.over(place.figures[base])
            if name != base and ratio and ratio > 0:
                least, most = _ends(figure)
                rows.append(
                    {
                        "metric": metric_of(place.metric).title,
                        "network": name,
                        "ratio": ratio,
                        "low": least / high,
                        "high": most / low,
                    }
                )
    if not rows:
        return []
    scale = alt.Scale(**log_or_linear([row[key] for row in rows for key in ("low", "high")]))
    shared = alt.Chart(data(rows)).encode(
        y=alt.Y("metric:N", title=None, sort=None),
        color=alt.Color("network:N", title=None, sort=None),
        tooltip=[
            "network:N",
            "metric:N",
            *(alt.Tooltip(f"{key}:Q", format=".4~g") for key in ("ratio", "low", "high")),
        ],
    )
    title = f"relative to {base}"
    spread = shared.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=title, scale=scale), x2="high:Q")
    dots = shared.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("ratio:Q", title=title, scale=scale),
        shape=alt.Shape("network:N", sort=None, legend=None),  # that of the colours names them
    )
    one = alt.Chart(data([{"one": 1}])).mark_rule(strokeDash=[4, 3], color="#888").encode(x=alt.X("one:Q", title=title))
    chart = alt.layer(one, spread, dots).properties(
        width=WIDTH,
        height=34 * len({row["metric"] for row in rows}),
        title=alt.TitleParams(f"Relative to {base}", subtitle="Lines: 95 % intervals; dashed: no difference"),
    )
    return [Picture("relative to the first network", chart, rows)]


def _ends(figure: Figure) -> tuple[float, float]:
    return figure.value - (figure.spread or 0), figure.value + (figure.spread or 0)
