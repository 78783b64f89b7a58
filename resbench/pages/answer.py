"""What differs between networks is said in a sentence each: cost, time, gradient and error.

A sentence rests on figures that can be held against each other: of the same conditions, none a lower bound. Measured
ones differ where their 95 % intervals lie apart; where these overlap, or are not known, the sentence says so.

>>> from resbench.result import Figure
>>> costs = [Figure("plain20", "macs", 40_551_040), Figure("wide", "macs", 405_510_400)]
>>> sentences(costs, ["plain20", "wide"])
['wide takes 10.00x the MACs of plain20 (405.5 M to 40.55 M).']
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from resbench.result import Figure
from resbench.results import metric_of
from resbench.timing.latency.orders import turned
from resbench.units import scale

SAME = "no difference that these runs can show"
BUSY = "nothing can be said, for the machine was too busy"


class Words(NamedTuple):
    """These words say how networks differ in a metric: ``a`` and ``b`` are networks, ``x`` and ``y`` their figures."""

    subject: str
    pair: str
    """Two networks differ; ``much`` is how much more or less the one takes than the other."""
    several: str
    """Several networks differ; ``a`` is the one of the lowest figure, ``b`` that of the highest."""
    noun: str = ""
    fewer: str = "fewer"
    counted: bool = False
    """It is counted, allocated or printed: any difference is one."""


WORDS = {
    "macs": Words(
        "MACs",
        "{a} takes {much} ({x} to {y})",
        "{a} takes the fewest MACs ({x}), {b} the most ({y})",
        "MACs",
        counted=True,
    ),
    "params": Words(
        "Parameters",
        "{a} has {much} ({x} to {y})",
        "{a} has the fewest parameters ({x}), {b} the most ({y})",
        "parameters",
        counted=True,
    ),
    "latency": Words(
        "Time",
        "{a} takes {much} ({x} to {y})",
        "{a} is the fastest ({x}), {b} the slowest ({y})",
        "time",
        "less",
    ),
    "roof": Words(
        "Ceilings of the machine",
        "By the ceilings of the machine {a} needs {much} ({x} to {y})",
        "By the ceilings of the machine {a} needs the least time ({x}), {b} the most ({y})",
        "time",
        "less",
        counted=True,
    ),
    "memory": Words(
        "Peak memory",
        "{a} holds {much} at its peak ({x} to {y})",
        "{a} holds the least memory at its peak ({x}), {b} the most ({y})",
        "memory",
        "less",
        counted=True,
    ),
    "gradient": Words(
        "Gradient at the first layer, over that at the last",
        "The gradient of {a} is {x} times as strong at its first layer as at its last, that of {b} {y} times",
        "From its last layer to its first the gradient changes the least in {a} (by {x}), the most in {b} (by {y})",
    ),
    "error": Words(
        "Test error after training",
        "{a} ends at a test error of {x}, {b} at {y}",
        "{a} ends at the lowest test error ({x}), {b} at the highest ({y})",
    ),
    "train_error": Words(
        "Training error",
        "{a} ends at a training error of {x}, {b} at {y}",
        "{a} ends at the lowest training error ({x}), {b} at the highest ({y})",
    ),
    "published": Words(
        "Test error in print",
        "{a} has a test error of {x} in print, {b} of {y}",
        "{a} has the lowest test error in print ({x}), {b} the highest ({y})",
        counted=True,
    ),
}
"""These are the metrics of which something is said, in this order."""


ELSEWHERE = ". Environment "
"""In the conditions of a figure its machine stands behind this, with a colon behind its digest."""


class Place(NamedTuple):
    """A place holds the figures of one metric under one set of conditions, by network."""

    metric: str
    conditions: str
    figures: Mapping[str, Figure]

    @property
    def words(self) -> Words:
        return WORDS[self.metric]

    @property
    def where(self) -> str:
        """Return the conditions without the machine, in brackets; it is empty where there are none."""
        short = self.conditions.partition(ELSEWHERE)[0].removesuffix(".")
        return f" ({short})" if short else ""

    @property
    def ordered(self) -> list[str]:
        """Return the networks by their figures, the lowest first."""
        return sorted(self.figures, key=lambda name: self.figures[name].value)

    @property
    def differs(self) -> bool:
        """Tell whether two of the networks certainly differ."""
        return self.differ(self.ordered[0], self.ordered[-1])

    def differ(self, one: str, other: str) -> bool:
        """Tell whether these two certainly differ."""
        a, b = self.figures[one], self.figures[other]
        if self.words.counted:
            return a.value != b.value
        return a.spread is not None and b.spread is not None and abs(a.value - b.value) > a.spread + b.spread


def places(figures: Iterable[Figure], models: Sequence[str]) -> list[Place]:
    """Put together what can be held against each other; of one network and place the latest figure counts."""
    found: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in figures:
        if figure.metric in WORDS and figure.model in models and figure.sure and not figure.least:
            found.setdefault((figure.metric, figure.conditions), {})[figure.model] = figure
    return [
        Place(metric, conditions, {name: same[name] for name in models if name in same})
        for order in WORDS
        for (metric, conditions), same in found.items()
        if metric == order
    ]


def sentences(figures: Iterable[Figure], models: Sequence[str], base: str = "") -> list[str]:
    """Say in a sentence each how the networks differ; two are told apart, of several the first and the last are named.

    ``base`` is the network that another is relative to, the first unless it is given.
    """
    return said(places(figures, models), base)


def said(known: Sequence[Place], base: str = "") -> list[str]:
    """Say it of figures that are put together."""
    known = _with_machines(known)
    told = [place for place in known if len(place.figures) > 1]
    metrics = {place.metric for place in told}
    if "error" in metrics:
        told = [place for place in told if place.metric != "train_error"]
    lines, before = list[str](), ""
    for place in told:
        repeated = place.where and place.where == before
        lines.append(f"{_sentence(place, base)}{' (same conditions)' if repeated else place.where}.")
        before = place.where
    both = [place for place in told if place.metric in ("macs", "params") and len(place.figures) == 2]
    if len(both) == 2 and both == told[:2] and _pair(both[0], base) == _pair(both[1], base):
        lines[:2] = [_cost(both[0], both[1], base)]
    return [*lines, *_turned(known), *_apart(known, metrics)]


def _with_machines(known: Sequence[Place]) -> Sequence[Place]:
    """Where networks were measured on several machines, let each place say on which."""
    machines = [place.conditions.partition(ELSEWHERE)[2].partition(":")[0] for place in known]
    if len({one for one in machines if one}) < 2:
        return known
    return [
        place._replace(conditions=", ".join(filter(None, (place.where[2:-1], f"environment {machine}"))))
        if machine
        else place
        for place, machine in zip(known, machines, strict=True)
    ]


def _turned(known: Sequence[Place]) -> Iterator[str]:
    """Say where the order of two networks turns round from one runtime, or whatever else differs, to another."""
    timed = [place for place in known if place.metric == "latency" and len(place.figures) > 1]
    words = [place.where.strip(" ()").split(", ") for place in timed]
    own = [", ".join(word for word in one if not all(word in two for two in words)) for one in words]
    from resbench.workers.workload import EAGER  # it loads torch, which these figures have needed

    names = [name.removeprefix("in ") or EAGER for name in own]  # the sentence says "in" itself
    yield from turned({name: place.figures for name, place in zip(names, timed, strict=True)})


def _cost(macs: Place, params: Place, base: str) -> str:
    """Say both in one sentence."""
    name, other = _pair(macs, base)
    second = _sentence(params, base).removeprefix(f"{name} ").replace(f" than {other}", "")
    if not params.differs:
        second = f"as many parameters ({written(params.figures[name])})"
    return f"{_sentence(macs, base)}, and {second}{macs.where}."


def _pair(place: Place, base: str) -> tuple[str, str]:
    """Return the network that is told apart, and the one that it is told apart from."""
    names = [*place.figures]
    other = base if base in names else names[0]
    return next(name for name in names if name != other), other


def _sentence(place: Place, base: str) -> str:
    a, b = _pair(place, base) if len(place.figures) == 2 else (place.ordered[0], place.ordered[-1])
    x, y = written(place.figures[a]), written(place.figures[b])
    words = place.words
    if place.metric == "latency" and any(place.figures[name].vague for name in (a, b)):
        return f"{words.subject}: {BUSY}, {a} {x} and {b} {y}"
    if not place.differs and not words.counted:
        return f"{words.subject}: {SAME}, {a} {x} and {b} {y}"
    if len(place.figures) == 2:
        if place.differs:
            return words.pair.format(a=a, b=b, x=x, y=y, much=_much(place, a, b))
        return words.pair.replace("{x} to {y}", "{x}").format(a=a, b=b, x=x, y=y, much=f"the {words.noun} of {b}")
    if not place.differs:
        return f"{words.subject}: {x} of all {len(place.figures)}"
    close = [name for name in place.figures if name != a and not place.differ(a, name)]
    alike = "as" if words.counted else "cannot be told apart from"
    tied = f"; {', '.join(close)} {alike} {a}" if close else ""
    return f"Of {len(place.figures)} networks {words.several.format(a=a, b=b, x=x, y=y)}{tied}"


def _much(place: Place, a: str, b: str) -> str:
    """Say by how much the first takes more or less than the second: in percent up to a factor of 2.

    >>> place = Place("macs", "", {"a": Figure("a", "macs", 1003), "b": Figure("b", "macs", 1000)})
    >>> _much(place, "a", "b"), _much(place._replace(figures={**place.figures, "a": Figure("a", "macs", 10)}), "a", "b")
    ('0.30 % more MACs than b', '100.00x fewer MACs than b')
    """
    ratio = place.figures[a].value / place.figures[b].value if place.figures[b].value else 0.0
    words = place.words
    if ratio <= 0:
        return f"other {words.noun} than {b}"
    if ratio >= 2:
        return f"{ratio:.2f}x the {words.noun} of {b}"
    if ratio <= 0.5:
        return f"{1 / ratio:.2f}x {words.fewer} {words.noun} than {b}"
    percent = 100 * abs(ratio - 1)
    digits = 2 if percent < 1 else 1 if percent < 10 else 0
    return f"{percent:.{digits}f} % {'more' if ratio > 1 else words.fewer} {words.noun} than {b}"


def _apart(known: Sequence[Place], metrics: Iterable[str]) -> Iterator[str]:
    """Name the metrics of which nothing is said, for their figures are of different conditions."""
    for metric in WORDS:
        same = [place for place in known if place.metric == metric]
        if metric not in metrics and len(same) > 1:
            each = [f"{name} {written(figure)}" for place in same for name, figure in place.figures.items()]
            where = "measured in different conditions, which say nothing of each other"
            yield f"{WORDS[metric].subject}: {where}, {' and '.join(each)}."


def written(figure: Figure) -> str:
    """Write a figure with its unit and its interval.

    >>> written(Figure("a", "latency", 0.0182, 0.0004)), written(Figure("a", "error", 0.053, 0.043))
    ('18.2 ms +- 0.4', '5.3 % +- 4.3')
    >>> written(Figure("a", "macs", 125_485_696)), written(Figure("a", "params", 853_018))
    ('125.5 M', '853,018')
    """
    kind = metric_of(figure.metric).kind
    divisor, unit = (0.01, "%") if kind == "share" else (1.0, "")
    if kind in ("seconds", "bytes") or figure.value >= 1e6:
        divisor, unit = scale([figure.value], kind)

    whole = kind == "exact" and divisor == 1

    def number(value: float, digits: int) -> str:
        if kind == "share":
            return f"{value / divisor:.1f}"
        if whole or abs(value) >= divisor * 10 ** (digits - 1):
            return f"{value / divisor:,.0f}"
        return f"{value / divisor:.{digits}g}"

    spread = "" if figure.spread is None else f" +- {number(figure.spread, 2)}"
    return f"{number(figure.value, 4 if kind in ('exact', 'count', 'bytes') else 3)} {unit}".strip() + spread
