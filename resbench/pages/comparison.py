"""Networks side by side: any metrics, each beside its ratio to the baseline's and its spread."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from string import ascii_lowercase
from typing import Any

from resbench.errors import OptionError
from resbench.results import KINDS, Figure, metric_names, metric_of
from resbench.tables.table import Column, Kind, Table
from resbench.tables.uncounted import warning
from resbench.units import CONVENTION

COUNTED = KINDS["flops"].metrics.split()
"""These metrics are known of every network without running it."""

Place = tuple[str, str]
"""A metric and the conditions of its figures: one column."""

PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

UNITS: Mapping[Kind, Mapping[str, float]] = {
    **dict.fromkeys(("exact", "count", "rate"), PREFIXES),
    "number": {"": 1.0},
    "share": {"": 1.0, "%": 1e-2},
    "seconds": {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "bytes": {"": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
"""That a limit may have, by the kind of its metric."""

TESTS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True)
class View:
    """What is shown, and in which order. ``only``: ``macs<5G``; ``pareto``: the metrics of the front."""

    metrics: Sequence[str] = tuple(COUNTED)
    baseline: str = ""
    sort: str = ""
    only: Sequence[str] = ()
    pareto: Sequence[str] = ()
    by_family: bool = False

    def __post_init__(self) -> None:
        for word in self.pareto:
            if not metric_of(word).better:
                raise OptionError(f"--pareto: neither more nor less {word} is better; expected other metrics")
        if self.pareto and len(self.pareto) < 2:
            raise OptionError("--pareto takes two metrics or more, such as error,latency; received one")
        for text in self.only:
            condition(text)

    @property
    def wanted(self) -> list[str]:
        """Metrics that have to be known: those shown, and those that order and filter."""
        named = [self.sort.removeprefix("-"), *(condition(text)[0] for text in self.only)]
        return list(dict.fromkeys([*self.metrics, *self.pareto, *filter(None, named)]))

    @property
    def used(self) -> list[str]:
        """Those, and the roof that the sentence on a latency mentions."""
        return [*self.wanted, *(["roof"] if "latency" in self.wanted and "roof" not in self.wanted else [])]


def condition(text: str) -> tuple[str, Callable[[float], bool]]:
    """``latency<20ms`` as the metric and its test. Raises OptionError.

    >>> metric, passes = condition("macs<=4.1G")
    >>> metric, passes(4_089_184_256), passes(4_200_000_000)
    ('macs', True, False)
    """
    found = re.fullmatch(r"\s*(\w+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*([A-Za-z%]*)\s*", text)
    if not found or found[1] not in metric_names():
        raise OptionError(f"--only takes a metric, <, <=, > or >=, and a number, as in macs<5G; received {text!r}")
    units = UNITS[metric_of(found[1]).kind]
    if found[4] not in units:
        words = ", ".join(unit or "no unit" for unit in units)
        raise OptionError(f"--only: {found[1]} has the units {words}; received {text!r}")
    limit, test = float(found[3]) * units[found[4]], TESTS[found[2]]
    if metric_of(found[1]).kind == "share" and limit > 1:
        raise OptionError(f"--only: {found[1]} is at most 100 %, as in {found[1]}<8%; received {text!r}")
    return found[1], lambda value: test(value, limit)


def comparison(
    models: Sequence[str],
    figures: Iterable[Figure],
    view: View,
    *,
    inputs: Mapping[str, Sequence[int]] | None = None,
    families: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> Table:
    """One row a model. A metric from several places has a column for each; of the same place the latest counts.

    Raises OptionError for a baseline that is not among the models.
    """
    used = [figure for figure in figures if figure.metric in view.used and figure.model in models]
    known = {(f.model, (f.metric, f.conditions)): f for f in used}
    places = sorted(dict.fromkeys((f.metric, f.conditions) for f in used), key=lambda place: view.used.index(place[0]))
    chosen = _chosen(models, known, places, view, families or {})
    base = view.baseline or models[0]
    if base not in models:
        raise OptionError(f"--baseline takes one of {', '.join(models)}; received {base!r}")
    letters = _letters(places)
    shown = [place for place in places if place[0] in (*view.metrics, *view.pareto)]
    columns: list[Column] = [Column("model", "model")]
    rows: list[list[Any]] = [[name] for name in chosen]
    if view.by_family:
        columns.append(Column("family", "family"))
        rows = [[*row, (families or {}).get(row[0], "")] for row in rows]
    for place in shown:
        _add(columns, rows, [known.get((name, place)) for name in chosen], known.get((base, place)), letters[place])
    if view.pareto:
        columns.append(Column("pareto", f"front of {', '.join(view.pareto)}"))
        front = _front(chosen, known, places, view.pareto)
        rows = [[*row, "*" if name in front else ""] for name, row in zip(chosen, rows, strict=True)]
    if inputs:
        columns.append(Column("input", "input", "shape"))
        rows = [[*row, inputs.get(row[0])] for row in rows]
    missing = [f"{_title(metric)}: not known of {', '.join(names)}." for metric, names in _missing(chosen, known, view)]
    sentences = _sentences(chosen, base, known, places)
    notes = [*sentences, *_places([place for place in places if place[0] != "roof" or sentences], letters)]
    notes += CONVENTION if any(metric in COUNTED for metric in view.wanted) else []
    elsewhere = _elsewhere(models, known, letters, view)
    below = (*warnings, *elsewhere, *missing)
    return Table(tuple(columns), tuple(map(tuple, rows)), notes=tuple(notes), warnings=below)


def _title(metric: str) -> str:
    title = metric_of(metric).title
    return title[0].upper() + title[1:]


def _chosen(
    models: Sequence[str],
    known: Mapping[tuple[str, Place], Figure],
    places: Sequence[Place],
    view: View,
    families: Mapping[str, str],
) -> list[str]:
    """The models that pass, in order; what is not known of a model comes last, and passes no filter."""
    first = dict(reversed(places))

    def value(name: str, metric: str) -> float | None:
        figure = known.get((name, (metric, first.get(metric, ""))))
        return figure.value if figure and not figure.least else None

    names = list(dict.fromkeys(models))
    for text in view.only:
        metric, passes = condition(text)
        names = [name for name in names if (v := value(name, metric)) is not None and passes(v)]
    if view.sort:
        metric, sign = view.sort.removeprefix("-"), -1 if view.sort.startswith("-") else 1
        values = {name: value(name, metric) for name in names}
        names.sort(key=lambda name: (values[name] is None, sign * (values[name] or 0)))
    if view.by_family:
        order = list(dict.fromkeys(families.get(name, "") for name in names))
        names.sort(key=lambda name: order.index(families.get(name, "")))
    return names


def _elsewhere(
    models: Sequence[str], known: Mapping[tuple[str, Place], Figure], letters: Mapping[Place, str], view: View
) -> Iterable[str]:
    """Filters, order and front take the first place of a metric: which networks have a figure, and not there."""
    ordering = [*(condition(text)[0] for text in view.only), view.sort.removeprefix("-"), *view.pareto]
    for metric in dict.fromkeys(filter(None, ordering)):
        of = [place for place in letters if place[0] == metric]
        names = [n for n in models if (n, of[0]) not in known and any((n, at) in known for at in of)] if of else []
        if names:
            yield (
                f"{_title(metric)} {letters[of[0]]} is what --only, --sort and --pareto go by: "
                f"they know nothing of {', '.join(names)}, measured elsewhere."
            )


def _letters(shown: Sequence[Place]) -> dict[Place, str]:
    """A letter for each place of the metrics that have several."""
    times = Counter(metric for metric, _ in shown)
    where = dict.fromkeys(where for metric, where in shown if times[metric] > 1)
    named = dict(zip(where, _endless(), strict=False))
    return {place: named[place[1]] if times[place[0]] > 1 else "" for place in shown}


def _endless() -> Iterable[str]:
    """a to z, then aa, ab, ..."""
    yield from ascii_lowercase
    yield from (a + b for a in ascii_lowercase for b in ascii_lowercase)


def _add(
    columns: list[Column], rows: list[list[Any]], cells: Sequence[Figure | None], base: Figure | None, letter: str
) -> None:
    """The columns of one place: value, ratio to the baseline, and spread and remark where there are any."""
    present = [cell for cell in cells if cell]
    if not present:
        return
    metric, end, mark = metric_of(present[0].metric), f"_{letter}" if letter else "", f" {letter}" if letter else ""
    columns += [
        Column(metric.key + end, metric.title + mark, metric.kind),
        Column(f"{metric.key}_ratio{end}", "rel.", "ratio"),
    ]
    for row, cell in zip(rows, cells, strict=True):
        whole = cell and base and base.value and not (cell.least or base.least)
        row += [cell.value if cell else None, cell.value / base.value if cell and base and whole else None]
    if any(cell.spread is not None for cell in present):
        relative = metric.kind in ("seconds", "rate")  # as the tables of these metrics have it
        title = "+-" if metric.key == "published_error" else "95% +-"  # of the papers' own ranges
        columns.append(Column(f"{metric.key}_spread{end}", title, "share" if relative else metric.kind))
        for row, cell in zip(rows, cells, strict=True):
            spread = cell.spread if cell else None
            row.append(spread / cell.value if relative and cell and spread is not None else spread)
    if any(cell.remark for cell in present):
        columns.append(Column(f"{metric.key}_remark{end}", "bound by" if metric.key == "roof_s" else "source"))
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell.remark if cell else None)


def _front(
    names: Sequence[str], known: Mapping[tuple[str, Place], Figure], places: Sequence[Place], metrics: Sequence[str]
) -> set[str]:
    """The models that no other is at least as good as in all of the metrics, and better in one."""
    first = dict(reversed(places))
    points = {}
    for name in names:
        cells = [known.get((name, (metric, first.get(metric, "")))) for metric in metrics]
        if all(cell and not cell.least for cell in cells):
            points[name] = [-metric_of(cell.metric).better * cell.value for cell in cells if cell]
    return {
        name
        for name, point in points.items()
        if not any(other != point and all(map(le, other, point)) for other in points.values())
    }


def _missing(
    names: Sequence[str], known: Mapping[tuple[str, Place], Figure], view: View
) -> Iterable[tuple[str, list[str]]]:
    for metric in view.wanted:
        has = {name for name, (found, _) in known if found == metric}
        without = [name for name in names if name not in has]
        if without:
            yield metric, without


def _places(places: Sequence[Place], letters: Mapping[Place, str]) -> list[str]:
    """Where the figures are from: those of one place in one line."""
    lines: dict[str, list[str]] = {}
    for metric, where in places:
        if where:
            lines.setdefault(where, []).append(f"{metric_of(metric).title} {letters.get((metric, where), '')}".strip())
    said = [f"{', '.join(titles)}: {where}" for where, titles in lines.items()]
    return [line[0].upper() + line[1:] for line in said]


def _sentences(
    names: Sequence[str], base: str, known: Mapping[tuple[str, Place], Figure], places: Sequence[Place]
) -> list[str]:
    """``conv5x5_reduced: 9.68x fewer MACs than conv5x5_direct, 3.1x less time; the roof allows 9.68x less ...``"""
    first = dict(reversed(places))

    def pair(name: str, metric: str) -> tuple[Figure, Figure] | None:
        place = (metric, first.get(metric, ""))
        mine, theirs = known.get((name, place)), known.get((base, place))
        return (mine, theirs) if mine and theirs and theirs.value and not (mine.least or theirs.least) else None

    lines = []
    for name in names:
        macs, time, roof = pair(name, "macs"), pair(name, "latency"), pair(name, "roof")
        if name == base or not macs or not macs[0].value:
            continue
        ratio = macs[0].value / macs[1].value
        many = "as many MACs as" if ratio == 1 else f"{_factor(ratio, 'more', 'fewer')} MACs than"
        said = f"{name}: {many} {base}"
        if time:
            said += f", {_factor(time[0].value / time[1].value, 'more', 'less')} time"
        if roof:
            allowed = _factor(roof[0].value / roof[1].value, "more", "less")
            said += f"; the roof allows {allowed} ({roof[0].remark}, {roof[1].remark})"
        lines.append(f"{said}.")
    return lines


def _factor(ratio: float, more: str, fewer: str) -> str:
    return f"{ratio:.2f}x {more}" if ratio > 1 else f"{1 / ratio:.2f}x {fewer}"


def uncounted_lines(uncounted: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Where a network's figures are too low, for operators ran that nobody could count."""
    too_low = "what is counted of it is too low, has no ratio, and orders nothing"
    return [line for model, calls in uncounted.items() for line in warning(model, calls, too_low)]


def known_metrics(text: str) -> list[str]:
    """``params,latency`` as its words. Raises OptionError."""
    words = text.split(",")
    for word in words:
        if word not in metric_names():
            known = ",".join(metric_names())
            raise OptionError(f"expected metrics of {known}, with commas between; received {word!r}")
    return list(dict.fromkeys(words))


def column_of(key: str) -> Column:
    """The column of a comparison by its key: ``latency_s_b`` is the latency of the second place."""
    for metric in map(metric_of, metric_names()):
        found = re.fullmatch(rf"{metric.key}(_ratio|_spread|_remark)?(?:_([a-z]+))?", key)
        if not found:
            continue
        match found[1]:
            case None:
                return Column(key, f"{metric.title} {found[2] or ''}".strip(), metric.kind)
            case "_ratio":
                return Column(key, "rel.", "ratio")
            case "_spread":
                return Column(key, "95% +-", "share" if metric.kind in ("seconds", "rate") else metric.kind)
            case _:
                return Column(key, "bound by" if metric.key == "roof_s" else "source")
    return Column(key, key, "shape" if key == "input" else "text")
