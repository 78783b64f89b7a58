"""The question `compare` puts networks side by side, by what is measured here and now or by given results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from resbench.arch.rows import Cost
from resbench.codec import encoded
from resbench.costs.measure import cost
from resbench.costs.result import Costs
from resbench.drawing.charts import Picture
from resbench.errors import Failures, OptionError, StoredError, UnknownModelError
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.load import result_name
from resbench.networks.name import ModelName, names_of
from resbench.pages.answer import sentences
from resbench.pages.comparison import View, column_of, comparison, metrics_in, uncounted_lines
from resbench.progress import Progress, of_part, silent
from resbench.result import Figure, Result, Where
from resbench.results import finished, measured, measured_by, metric_names, uncounted
from resbench.tables.table import Table
from resbench.timing.latency.crossings import by_runtime
from resbench.units import plural
from resbench.workers.waiting import adapt_waiting


@dataclass(frozen=True, repr=False)
class Comparison(Result):
    """A comparison holds networks side by side, and what the ratios are relative to."""

    table: Table
    baseline: str
    families: Mapping[str, str]
    axes: tuple[str, ...] = ()
    """These are the two metrics of its chart; they are empty where it has none."""
    uncounted: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """It holds, by network, the operators that ran and have no formula, with their calls."""
    sentences: tuple[str, ...] = ()
    """They say how the networks differ, and close its text."""
    interrupted: str = ""
    """This was finished when Ctrl-C ended it; it is empty where all was."""
    latencies: tuple[Figure, ...] = ()
    """These are the times of its networks where they were taken in several runtimes."""

    kind: ClassVar = "compare"
    derived: ClassVar = ("models_by_key",)
    undrawn: ClassVar = "expected two networks that have two metrics besides params"
    left_out: ClassVar = "families and the axes of the chart"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        rows, remarks = document["models"], document.get("notes") or [document["convention"]]
        columns = [encoded(column_of(key)) for key in (rows[0] if rows else ())]
        table = {"columns": columns, "rows": [[*row.values()] for row in rows], "notes": remarks}
        return {
            "table": table,
            "baseline": document["baseline"],
            "families": {},
            "uncounted": document.get("uncounted", {}),
        }

    @property
    def models_by_key(self) -> list[dict[str, Any]]:
        """These are the rows by the keys of their columns."""
        return self.table.records()

    def models(self) -> list[str]:
        return [row[0] for row in self.table.rows]

    def only(self, models: Sequence[str]) -> Self | None:
        """Return the rows of these networks; ratios stay those to the baseline, and sentences go with the others."""
        models = [models] if isinstance(models, str) else models
        rows = [row for row in self.table.rows if row[0] in models]
        if len(rows) == len(self.table.rows):
            return self
        others = {row[0] for row in self.table.rows} - {row[0] for row in rows}
        notes, warnings = (
            [line for line in lines if line.partition(": ")[0] not in others]
            for lines in (self.table.notes, self.table.warnings)
        )
        kept = {name: calls for name, calls in self.uncounted.items() if name not in others}
        table, axes = replace(self.table, rows=rows, notes=notes, warnings=warnings), self.axes if len(rows) > 1 else ()
        timed = tuple(figure for figure in self.latencies if figure.model in models)
        return replace(self, table=table, axes=axes, uncounted=kept, sentences=(), latencies=timed) if rows else None

    def tables(self) -> list[Table]:
        return [replace(self.table, notes=(*self.table.notes, *self.sentences))]

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        return self.uncounted

    def pictures(self) -> list[Picture]:
        """Draw the networks by two metrics, or latency by runtime, which bubbles could show of one runtime alone."""
        timed = by_runtime(self.latencies)
        if len(self.axes) < 2 or (timed and "latency" in self.axes):
            return timed
        from resbench.pages.bubbles import bubbles

        return [*timed, *bubbles(self.table, self.families, self.axes, uncounted_lines(self.not_counted()))]


@public
def compare(
    models: str | Sequence[str] = (),
    input: Input = None,
    *,
    results: Sequence[Result] | None = None,
    view: View | None = None,
    batch: int = 1,
    device: str = "cpu",
    runtime: str | Sequence[str] = "eager",
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Put networks side by side; without names, all of which the results say something.

    What ``view`` wants and is no count is measured here, each kind as its command does by default; with ``results``, it
    is taken from these. Raises OptionError for a baseline that is no network of them.
    """
    given = results or ()
    view = view or View(metrics_in(given))
    known = dict.fromkeys(figure.model for result in given for figure in result.figures())
    asked = names_of(models) or [*known]
    if not asked:
        expected = "expected JSON of flops, field, latency, gradflow, degradation, landscape or sweep --report"
        raise StoredError(f"nothing there can be compared: {expected}")
    failures = failures or Failures()
    baseline = view.baseline
    if baseline and baseline not in known:
        baseline = result_name(baseline, input)
    names = [*dict.fromkeys(failures.each(asked, lambda name: name if name in known else result_name(name, input)))]
    if names and baseline and baseline not in names:
        raise OptionError(f"--baseline takes one of {', '.join(names)}; received {baseline!r}")
    found: list[Result] = [Costs(tuple(counted(names, given, batch, failures))), *given]
    names = failures.left(failures.without(names))
    if baseline and baseline not in names:
        raise OptionError(f"nothing can be compared to the baseline: {failures.reasons[baseline]}")
    view = replace(view, baseline=baseline or names[0])
    wanted = dict.fromkeys(measured_by(metric) for metric in view.wanted)
    due = [kind for kind in wanted if kind != "flops" and (results is None or kind == "published")]
    settle(due)
    where = Where(batch, device, [runtime] if isinstance(runtime, str) else runtime)
    for i, kind in enumerate(due):
        if not failures.stopped:
            earlier = [*(["the counts"] if "flops" in wanted else []), *([plural(i, "part")] if i else [])]
            part = f"part {i + 1} of {len(due)}" if len(due) > 1 else ""
            told = of_part(progress, part, " and ".join(earlier))
            found += measured(kind, failures.without(names), where, failures, told)
    done = finished(found) if failures.stopped else ""
    held = {figure.metric for figure in figures_of(found) if figure.model in names}
    if held.isdisjoint(view.wanted):
        if done:
            raise KeyboardInterrupt  # it has no figure to show
        raise StoredError(_nothing(names, view.wanted, [metric for metric in metric_names() if metric in held]))
    cautions = [line for result in found[::-1] for line in result.cautions(names)]
    if done:
        cautions.insert(0, f"Interrupted after {done}: what is missing was not measured.")
    axes = (*view.pareto, *(metric for metric in view.metrics if metric != "params"))[:2]
    table = side_by_side(names, found, view, axes, [*failures.reasons.values(), *cautions])
    return replace(table, interrupted=done)


def _nothing(names: Sequence[str], wanted: Sequence[str], held: Sequence[str]) -> str:
    """Say that no figure is known of what is wanted, and which are."""
    of = " and ".join(names) if len(names) < 4 else plural(len(names), "network")
    kinds = [kind for kind in dict.fromkeys(map(measured_by, wanted)) if kind != "published"]
    expected = [f"what {' and '.join(kinds)} wrote"] if kinds else []
    expected += [f"--metrics {','.join(held)}, which are known"] if held else []
    return f"nothing says {', '.join(wanted)} of {of}: expected {', or '.join(expected) or 'other networks'}"


TIMED = ("latency", "latency --layers", "claims")
"""These kinds time something while they are measured."""

INSTANT = ("flops", "published")
"""These are there at once."""


def settle(kinds: Iterable[str]) -> None:
    """Let this process's threads sleep beside other programs where what is to be measured times nothing."""
    long = {*kinds} - {*INSTANT}
    if long and long.isdisjoint(TIMED):
        adapt_waiting()


def side_by_side(
    names: Sequence[str],
    results: Sequence[Result],
    view: View,
    axes: Sequence[str] = (),
    cautions: Sequence[str] = (),
) -> Comparison:
    """Compare networks by the figures of results. ``cautions`` are lines that nobody may miss."""
    families = {name: ModelName.stored(name).family for name in names}
    unknown = uncounted(results, names)
    figures = figures_of(results)
    table = comparison(
        names,
        figures,
        view,
        inputs={one.model: one.input for result in results if isinstance(result, Costs) for one in result.costs},
        families=families,
        warnings=[*uncounted_lines(unknown), *cautions],
    )
    base = view.baseline or names[0]
    wanted = [figure for figure in figures if figure.metric in view.wanted]
    shown = [row[0] for row in table.rows]
    timed = [figure for figure in wanted if figure.metric == "latency" and figure.model in shown]
    return Comparison(
        *(table, base, families, tuple(axes), unknown),
        sentences=tuple(sentences(wanted, shown, base)),
        latencies=tuple(timed) if len({figure.runtime for figure in timed}) > 1 else (),
    )


def figures_of(results: Sequence[Result]) -> list[Figure]:
    """Return all figures of results, and what they know besides of networks that nothing has counted."""
    known = {name for result in results if isinstance(result, Costs) for name in result.models()}
    figures = [figure for result in results for figure in result.figures()]
    return [*figures, *(one for result in results for one in result.besides() if one.model not in known)]


def counted(names: Sequence[str], results: Sequence[Result], batch: int, failures: Failures) -> Iterator[Cost]:
    """Count every network that has no cost yet, where it can be known without running what is stored."""
    stored = {name for result in results if isinstance(result, Costs) for name in result.models()}
    elsewhere = {name for result in results for name in result.models()}
    for name in names:
        if name not in stored and (name not in elsewhere or ModelName.stored(name).catalogued):
            # one that is stored may be of another version's catalog
            with suppress(UnknownModelError) if name in elsewhere else failures.of(name):
                yield replace(cost(name, batch=batch), model=name)
