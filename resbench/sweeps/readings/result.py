"""This module holds what is read of a population: it knows its tables and pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from resbench.drawing.charts import Picture
from resbench.result import Figure, Result, Section
from resbench.sweeps.questions import HALF
from resbench.sweeps.readings.statistics import Estimate
from resbench.tables.table import Column, Table
from resbench.units import plural

FREE = ("params", "macs", "elementwise", "activations")

COMPARED = {
    **{name: name for name in FREE},
    **{"test_error": "error", "train_error": "train_error", "latency_s": "latency", "first_to_last": "gradient"},
}
"""A figure of a sweep is this metric of a comparison."""


class Distribution(NamedTuple):
    """A figure has this empirical distribution function over the networks, with a 95 % band."""

    figure: str
    networks: int
    at: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Effect(NamedTuple):
    """A value of an option moves the target: a network that has it is below one that has another so often."""

    option: str
    value: str
    networks: int
    median: float
    below: Estimate
    """The probability that its target is the lower one, ties counting half: 0.5 says that the value does not matter."""


class Foretold(NamedTuple):
    """A figure ranks networks as the target does, so far."""

    figure: str
    networks: int
    spearman: Estimate
    kendall: Estimate
    beyond: Estimate | None
    """So much larger is |Spearman| than that of the base; None for that itself."""


class Warned(NamedTuple):
    """A verdict at step 0 was passed on so many networks, of which so many do not train."""

    verdict: str
    passed: int
    right: int
    fails: int
    """Of all networks so many do not train."""
    networks: int

    @property
    def precision(self) -> float | None:
        return self.right / self.passed if self.passed else None

    @property
    def recall(self) -> float | None:
        return self.right / self.fails if self.fails else None


class Best(NamedTuple):
    """A network has this rank by the target, and lies on the front or not."""

    network: str
    rank: int
    target: float
    against: float | None
    """It is None where there is no front."""
    front: bool


@dataclass(frozen=True, repr=False)
class Readings(Result):
    """A population is read against a target."""

    folder: str
    space: str
    networks: int
    target: str
    against: str
    """It is empty where there is no front: the MACs of all networks are equal."""
    trained: int | None
    """So many networks train; None: none was trained."""
    trains: float
    base: str
    distributions: tuple[Distribution, ...]
    effects: tuple[Effect, ...]
    foretold: tuple[Foretold, ...]
    of_trained: tuple[Foretold, ...]
    """The same of those networks alone that train."""
    ceiling: Estimate | None
    """So far one seed's target ranks networks as another's does; None: there is one seed, or none."""
    warned: tuple[Warned, ...]
    best: tuple[Best, ...]
    remarks: tuple[str, ...] = ()
    known: int = 0
    """Of so many networks it is known whether they train."""
    drawn_names: tuple[str, ...] = ()
    """These networks are drawn as points, on these lines of the space, with these figures."""
    drawn_lines: tuple[str, ...] = ()
    points: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    kind: ClassVar = "sweep --report"
    heading: ClassVar = ("population", "Population", "What moves the target, and what foretells it.")

    def tables(self) -> list[Table]:
        return [
            *([_effect_table(self)] if self.effects else []),
            *([_foretold_table(self.foretold, self, "all networks")] if self.foretold else []),
            *([_foretold_table(self.of_trained, self, "networks that train")] if self.of_trained else []),
            *([_warned_table(self)] if self.warned else []),
            _best_table(self),
        ]

    def pictures(self) -> list[Picture]:
        from resbench.sweeps.readings.chart import pictures

        return pictures(self)

    def models(self) -> list[str]:
        return [one.network for one in self.best]

    def figures(self) -> Iterator[Figure]:
        """Yield what `compare` knows of the best networks: it lays them side by side."""
        place = {name: i for i, name in enumerate(self.drawn_names)}
        for column, values in self.points.items():
            name, _, runtime = column.partition(":")
            metric = COMPARED.get(name)
            for one in self.best if metric else ():
                value = values[place[one.network]] if one.network in place else None
                if value is None:
                    continue
                if name == "latency_s":
                    halves = self.points.get(HALF + column.removeprefix(name))
                    half = halves[place[one.network]] if halves else None
                    conditions = f"in {runtime or 'eager'}, fresh processes of the sweep in {self.folder}"
                    yield Figure(one.network, "latency", value, half, conditions, runtime=runtime or "eager")
                    continue
                conditions = "" if name in FREE else f"mean over the seeds of the sweep in {self.folder}"
                yield Figure(one.network, str(metric), int(value) if name in FREE else value, None, conditions)

    def verdicts(self) -> Iterator[str]:
        """Say which figures foretell less than the base does, and which more, as far as the intervals tell."""
        for word, told in (
            ("worse", [one for one in self.foretold if one.beyond and one.beyond.high < 0]),
            ("better", [one for one in self.foretold if one.beyond and one.beyond.low > 0]),
        ):
            if told:
                names = ", ".join(one.figure for one in told)
                yield f"{self.target} is foretold {word} than by {self.base} alone by: {names}."
        if self.base and not any(one.beyond and (one.beyond.high < 0 or one.beyond.low > 0) for one in self.foretold):
            yield f"No figure foretells {self.target} better or worse than {self.base} does, as far as intervals tell."

    @property
    def headline(self) -> str:
        return f"{self.target} of {plural(self.networks, 'network')} of {self.space}: {self.kind}"

    def sections(self) -> list[Section]:
        from resbench.costs.structure import diagram_of

        drawn = {one.network: svg for one in self.best if (svg := diagram_of(one.network))}
        return [Section(*self.heading, [*self.verdicts()], self.tables(), self.pictures(), drawn)]

    @property
    def line(self) -> str:
        trained = (
            ""
            if self.trained is None
            else f"; {self.trained:,} of {self.known:,} train (test error below {self.trains:.0%})"
        )
        return f"{plural(self.networks, 'network')} of {self.space} in {self.folder}{trained}."


BOOTSTRAP = "Intervals: 95 %, percentile bootstrap over the networks."


def _interval(key: str, title: str) -> list[Column]:
    return [Column(key, title, "number"), Column(f"{key}_low", "from", "number"), Column(f"{key}_high", "to", "number")]


def _effect_table(found: Readings) -> Table:
    columns = [
        *(Column("option", "option"), Column("value", "value"), *_interval("below", "P(below others)")),
        *(Column("median", f"median {found.target}", "number"), Column("networks", "networks", "exact")),
    ]
    rows = [[one.option, one.value, *one.below, one.median, one.networks] for one in found.effects]
    note = (
        f"P(below others): a network of this value has a smaller {found.target} than one of another value of the "
        f"option, ties counting half; 0.5: the value does not matter. {BOOTSTRAP}"
    )
    return Table(columns, rows, notes=[note])


def _foretold_table(told: Sequence[Foretold], found: Readings, which: str) -> Table:
    columns = [
        *(Column("figure", "figure"), *_interval("spearman", "Spearman")),
        *(_interval("beyond", f"beyond {found.base}") if found.base else []),
        *(*_interval("kendall", "Kendall"), Column("networks", "networks", "exact")),
    ]
    rows: list[list[Any]] = []
    for one in sorted(told, key=lambda one: -abs(one.spearman.value)):
        beyond = [*(one.beyond or (None, None, None))] if found.base else []
        rows.append([one.figure, *one.spearman, *beyond, *one.kendall, one.networks])
    notes = [f"How {which} are ranked by a figure and by {found.target}. {BOOTSTRAP}"]
    if found.base:
        notes.append(f"beyond {found.base}: |Spearman| less that of {found.base}.")
    if found.ceiling and told is found.foretold:
        low, high = found.ceiling.low, found.ceiling.high
        notes.append(f"Of one seed and another: {found.ceiling.value:.3f} [{low:.3f}, {high:.3f}], Spearman.")
    return Table(columns, rows, notes=notes)


def _warned_table(found: Readings) -> Table:
    columns = [
        *(Column("verdict", "verdict at step 0"), Column("passed", "networks", "exact")),
        *(Column("right", "do not train", "exact"), Column("precision", "precision", "share")),
        Column("recall", "recall", "share"),
    ]
    rows = [[one.verdict, one.passed, one.right, one.precision, one.recall] for one in found.warned]
    one = found.warned[0]
    note = f"Of {plural(one.networks, 'network')} {one.fails:,} do not train: test error of {found.trains:.0%} or more."
    return Table(columns, rows, notes=[note])


def _best_table(found: Readings) -> Table:
    columns = [
        *(Column("rank", "rank", "exact"), Column("target", found.target, "number")),
        *([Column("against", found.against, "count"), Column("front", "front")] if found.against else []),
        Column("network", "network", "prose"),
    ]
    rows = [
        [
            *(one.rank, one.target),
            *([one.against, "front" if one.front else ""] if found.against else []),
            one.network,
        ]
        for one in found.best
    ]
    front = f"Front: of {found.target} and {found.against}."
    if not found.against:
        usual = "params" if found.target == "macs" else "macs"
        front = f"No front: {usual} is the same of all networks; --against takes another figure."
    notes = [found.line, *([front] if found.target != found.against else [])]
    return Table(columns, rows, notes=[*notes, *found.remarks, *found.verdicts()])
