"""Networks stand side by side, by any metrics, each beside its ratio to the baseline's and its spread."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, product
from operator import ge, gt, le, lt
from string import ascii_lowercase
from typing import Any

from resbench.errors import OptionError
from resbench.result import Figure, Metric, Result
from resbench.results import KINDS, metric_names, metric_of
from resbench.tables.table import Column, Kind, Table
from resbench.tables.uncounted import warning
from resbench.units import CONVENTION

COUNTED = KINDS["flops"].metrics.split()
"""These metrics are known of every network without running it."""

RELATIVE = ("seconds", "rate")
"""The spread of these kinds is a share of the value, as in the tables of these metrics."""

Place = tuple[str, str]
"""A metric and the conditions of its figures make one column."""

Exact = Mapping[tuple[str, str], float]
"""It holds, by network and metric, the value in the metric's first place; a lower bound neither orders nor filters."""

PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}

UNITS: Mapping[Kind, Mapping[str, float]] = {
    **dict.fromkeys(("exact", "count", "rate"), PREFIXES),
    "number": {"": 1.0},
    "share": {"": 1.0, "%": 1e-2},
    "seconds": {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "bytes": {"": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
"""A limit may have these units, by the kind of its metric."""

TESTS: Mapping[str, Callable[[float, float], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True)
class View:
    """A view says what is shown, and in which order: ``only`` as in ``macs<5G``, ``pareto`` by metrics of a front."""

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
        """These metrics have to be known: those shown, and those that order and filter."""
        named = [self.sort.removeprefix("-"), *(condition(text)[0] for text in self.only)]
        return list(dict.fromkeys([*self.metrics, *self.pareto, *filter(None, named)]))

    @property
    def used(self) -> list[str]:
        """These are those wanted, and the roof that the sentence on a latency mentions."""
        return [*self.wanted, *(["roof"] if "latency" in self.wanted and "roof" not in self.wanted else [])]


def condition(text: str) -> tuple[str, Callable[[float], bool]]:
    """Read ``latency<20ms`` as the metric and its test. Raises OptionError.

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
    """Write a row for each model. A metric from several places has several columns; of one place the latest counts."""
    used = [figure for figure in figures if figure.metric in view.used and figure.model in models]
    known = {(f.model, (f.metric, f.conditions)): f for f in used}
    places = sorted(dict.fromkeys((f.metric, f.conditions) for f in used), key=lambda place: view.used.index(place[0]))
    first = dict(reversed(places))
    leading = {(name, metric): f for (name, (metric, where)), f in known.items() if where == first[metric]}
    exact = {key: figure.value for key, figure in leading.items() if not figure.least}
    chosen = _chosen(models, exact, view, families or {})
    base = view.baseline or models[0]
    letters = _letters(places)
    cells: dict[Column, Sequence[Any]] = {Column("model", "model"): chosen}
    if view.by_family:
        cells[Column("family", "family")] = [(families or {}).get(name, "") for name in chosen]
    for place in places:
        if place[0] in (*view.metrics, *view.pareto):
            cells |= _cells([known.get((name, place)) for name in chosen], known.get((base, place)), letters[place])
    if view.pareto:
        front = _front(chosen, exact, view.pareto)
        cells[Column("pareto", f"front of {', '.join(view.pareto)}")] = [
            "*" if name in front else "" for name in chosen
        ]
    if inputs:  # what was measured may have been so at another, which its conditions say
        title = "input" if all(metric in COUNTED for metric, _ in places) else "counted at"
        cells[Column("input", title, "shape")] = [inputs.get(name) for name in chosen]
    costly = len(chosen) > 1 and any(metric == "macs" for metric, _ in places)
    notes = _places([place for place in places if place[0] != "roof" or costly], letters)  # alone it says the latency's
    notes += CONVENTION if any(metric in COUNTED for metric in view.wanted) else []
    measured = {(name, metric) for name, (metric, _) in known}
    below = (*warnings, *_elsewhere(models, measured - {*leading}, letters, view), *_missing(chosen, measured, view))
    return Table(tuple(cells), tuple(zip(*cells.values(), strict=True)), notes=tuple(notes), warnings=below)


def _title(metric: str) -> str:
    title = metric_of(metric).title
    return title[0].upper() + title[1:]


def _chosen(models: Sequence[str], exact: Exact, view: View, families: Mapping[str, str]) -> list[str]:
    """Return the models that pass, in order; what is not known of a model comes last, and passes no filter."""
    names = list(dict.fromkeys(models))
    for text in view.only:
        metric, passes = condition(text)
        names = [name for name in names if (name, metric) in exact and passes(exact[name, metric])]
    if view.sort:
        metric, sign = view.sort.removeprefix("-"), -1 if view.sort.startswith("-") else 1
        names.sort(key=lambda name: ((name, metric) not in exact, sign * exact.get((name, metric), 0)))
    if view.by_family:
        order = list(dict.fromkeys(families.get(name, "") for name in names))
        names.sort(key=lambda name: order.index(families.get(name, "")))
    return names


def _elsewhere(
    models: Sequence[str], apart: Container[tuple[str, str]], letters: Mapping[Place, str], view: View
) -> Iterator[str]:
    """Name the networks whose figures are not of a metric's first place, which filters, order and front take."""
    ordering = [*(condition(text)[0] for text in view.only), view.sort.removeprefix("-"), *view.pareto]
    for metric in dict.fromkeys(ordering):
        names = [name for name in models if (name, metric) in apart]
        if names:
            letter = next(letter for place, letter in letters.items() if place[0] == metric)
            yield (
                f"{_title(metric)} {letter} is what --only, --sort and --pareto go by: "
                f"they know nothing of {', '.join(names)}, measured elsewhere."
            )


def _letters(shown: Sequence[Place]) -> dict[Place, str]:
    """Give a letter to each place of the metrics that have several."""
    times = Counter(metric for metric, _ in shown)
    where = dict.fromkeys(where for metric, where in shown if times[metric] > 1)
    endless = ("".join(letters) for length in count(1) for letters in product(ascii_lowercase, repeat=length))
    named = dict(zip(where, endless, strict=False))
    return {place: named[place[1]] if times[place[0]] > 1 else "" for place in shown}


def _cells(figures: Sequence[Figure | None], base: Figure | None, letter: str) -> dict[Column, Sequence[Any]]:
    """Return the columns of one place: value, ratio to the baseline, and spread and remark where there are any."""
    present = [figure for figure in figures if figure]
    if not present:
        return {}
    metric = metric_of(present[0].metric)
    value, ratio, spread, remark = _columns(metric, letter).values()
    cells: dict[Column, Sequence[Any]] = {
        value: [figure.value if figure else None for figure in figures],
        ratio: [figure.over(base) if figure and base else None for figure in figures],
    }
    if any(figure.spread is not None for figure in present):
        if metric.key == "published_error":
            spread = replace(spread, title="+-")  # the papers' own ranges
        spreads = [figure.spread if figure else None for figure in figures]
        if metric.kind in RELATIVE:
            spreads = [f.spread / f.value if f and f.spread is not None else None for f in figures]
        cells[spread] = spreads
    if any(figure.remark for figure in present):
        cells[remark] = [figure.remark if figure else None for figure in figures]
    return cells


def _columns(metric: Metric, letter: str) -> dict[str, Column]:
    """Return the columns of one place of a metric, by what stands behind the metric in their keys."""
    key, end = metric.key, f"_{letter}" if letter else ""
    return {
        "": Column(key + end, f"{metric.title} {letter}".strip(), metric.kind),
        "_ratio": Column(f"{key}_ratio{end}", "rel.", "ratio"),
        "_spread": Column(f"{key}_spread{end}", "95% +-", "share" if metric.kind in RELATIVE else metric.kind),
        "_remark": Column(f"{key}_remark{end}", "bound by" if key == "roof_s" else "source"),
    }


def _front(names: Sequence[str], exact: Exact, metrics: Sequence[str]) -> set[str]:
    """Return the models that no other equals or betters in all of the metrics and betters in one."""
    points = {}
    for name in names:
        if all((name, metric) in exact for metric in metrics):
            points[name] = [-metric_of(metric).better * exact[name, metric] for metric in metrics]
    return {
        name
        for name, point in points.items()
        if not any(other != point and all(map(le, other, point)) for other in points.values())
    }


def _missing(names: Sequence[str], measured: Container[tuple[str, str]], view: View) -> Iterator[str]:
    for metric in view.wanted:
        without = [name for name in names if (name, metric) not in measured]
        if without:
            yield f"{_title(metric)}: not known of {', '.join(without)}."


def _places(places: Sequence[Place], letters: Mapping[Place, str]) -> list[str]:
    """A line for each place says which figures are from there."""
    lines: dict[str, list[str]] = {}
    for metric, where in places:
        if where:
            lines.setdefault(where, []).append(f"{metric_of(metric).title} {letters.get((metric, where), '')}".strip())
    texts = [f"{', '.join(titles)}: {where}" for where, titles in lines.items()]
    return [text[0].upper() + text[1:] for text in texts]


def uncounted_lines(uncounted: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line names each network whose figures are too low, for operators ran that nobody could count."""
    too_low = "what is counted of it is too low, has no ratio, and orders nothing"
    return [line for model, calls in uncounted.items() for line in warning(model, calls, too_low)]


def metrics_in(results: Iterable[Result]) -> list[str]:
    """Return the metrics that are shown where none is asked for: all that results hold beside the counts."""
    held = {figure.metric for result in results for figure in result.figures()}
    measured = [name for name in metric_names() if name in held and name not in COUNTED]
    return ["params", "macs", *measured] if measured else COUNTED


def known_metrics(words: Iterable[str]) -> list[str]:
    """Return metrics, each once. Raises OptionError for a word that is none."""
    words = [*dict.fromkeys(words)]
    for word in words:
        if word not in metric_names():
            raise OptionError(f"expected metrics of {','.join(metric_names())}, with commas between; received {word!r}")
    return words


def column_of(key: str) -> Column:
    """Return the column of a comparison by its key: ``latency_s_b`` is the latency of the second place."""
    for metric in map(metric_of, metric_names()):
        found = re.fullmatch(rf"{metric.key}(_ratio|_spread|_remark)?(?:_([a-z]+))?", key)
        if found:
            return _columns(metric, found[2] or "")[found[1] or ""]
    return Column(key, key, "shape" if key == "input" else "text")
