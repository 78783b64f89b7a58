"""A result is a value: what a question finds, as one frozen object of which everything else is a reading.

    run(...) -> Result -> tables, figures, pictures, JSON

A kind of result says what is its own; what all of them can do stands here once.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from resbench.codec import encoded
from resbench.drawing.charts import SUFFIXES as DRAWN
from resbench.drawing.charts import Picture, save, whole
from resbench.errors import Failures, OptionError, OutputError, StoredError
from resbench.files import packed, suffix_of, write
from resbench.progress import Progress as Progress
from resbench.progress import silent as silent
from resbench.tables.render import SUFFIXES, Format, html_table, render
from resbench.tables.table import Kind, Table
from resbench.units import legible

if TYPE_CHECKING:
    import pandas


WIDTH = 80
"""Text in place of tables has lines of so many characters in files and pipes."""


class Metric(NamedTuple):
    """Networks are compared by a metric. ``better`` is -1 where less is better, 1 where more is, 0 where neither is."""

    key: str
    title: str
    kind: Kind
    better: int


class Figure(NamedTuple):
    """A figure is one number of one network. ``spread`` is half of the 95 % interval, in the unit of the value."""

    model: str
    metric: str
    value: float
    spread: float | None = None
    conditions: str = ""
    """These are setup, data and machine, empty for what needs none. Figures of equal conditions can be compared."""
    remark: str = ""
    """It says what bounds a roof, and where a published figure stands."""
    least: bool = False
    """The value is a lower bound, for operators ran that nobody could count: it orders nothing and has no ratio."""
    sure: bool = True
    """A device that was throttled, or a training that failed, gives a figure on which no sentence rests."""
    runtime: str = ""
    """It was run in this runtime; this is empty for what is not of a runtime."""
    shared: str = ""
    """These are the conditions but for the runtime: figures of equal ones differ by that alone."""
    turns: tuple[float, ...] = ()
    """The value was so in each turn; all figures of one ``call`` took turns, so that a ratio in a turn is free of what
    the machine's speed did from one to the next."""
    call: int = 0

    @property
    def vague(self) -> bool:
        """Tell whether its interval is as wide as on a machine that was too busy: 100 % of the value or more."""
        return self.spread is not None and not self.spread < abs(self.value)

    def over(self, base: "Figure") -> float | None:
        """Return the ratio to a figure: none of or to a lower bound, nor to zero, nor of a vague figure to another one.

        >>> slow, fast, vague = (Figure("", "latency", 4.0, spread) for spread in (0.1, None, 4.0))
        >>> slow.over(fast), slow.over(vague), vague.over(fast), vague.over(vague)
        (1.0, None, None, 1.0)
        """
        if not base.value or self.least or base.least or (self != base and (self.vague or base.vague)):
            return None
        return self.value / base.value


class Where(NamedTuple):
    """What a comparison or a page measures itself, it measures here; a kind of result heeds what concerns it."""

    batch: int = 1
    device: str = "cpu"
    runtimes: Sequence[str] = ("eager",)


@dataclass(frozen=True)
class Section:
    """A section is one part of a page; ``drawings`` are SVG by title."""

    key: str
    title: str
    lead: str
    verdicts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    drawings: Mapping[str, str] = field(default_factory=dict)

    def with_more(self, other: Self) -> Self:
        """Return the section with what another one of its key holds behind it."""
        return replace(
            self,
            tables=[*self.tables, *other.tables],
            pictures=[*self.pictures, *other.pictures],
            drawings={**self.drawings, **other.drawings},
        )


class Result:
    """Every result can do this; a kind of result is a frozen dataclass that states what is its own."""

    kind: ClassVar[str]
    schema: ClassVar[int] = 2
    """This counts the changes of its JSON."""
    metrics: ClassVar[Mapping[str, Metric]] = {}
    """These are the metrics of its figures, by name."""
    members: ClassVar[str] = ""
    """This field holds one value for each network, with the network's name as ``model``."""
    heading: ClassVar[tuple[str, str, str]] = ("", "", "")
    """The page shows it in this section: key, title, lead."""
    of_one: ClassVar[bool] = False
    """It is of a single network."""
    undrawn: ClassVar[str] = "it has no chart"
    """This is why there may be no chart of it."""
    left_out: ClassVar[str] = ""
    """Schema 1 did not say this: it is blank in what is read of it."""

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> "Result":
        """Make the result as its command does by default, for a comparison or a page. Raises AllFailed."""
        raise OptionError(f"{cls.kind} is not measured for a comparison: expected it with --from")

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Turn a document of schema 1 into the fields of schema 2, encoded."""
        raise StoredError(f"expected schema {cls.schema} of {cls.kind}, received 1; make it anew")

    @classmethod
    def joined(cls, results: Sequence[Self]) -> Sequence[Self]:
        """Return the results as a page shows them: those of several files may stand in one table."""
        return results

    def models(self) -> list[str]:
        """Return the networks of which it says something, each once."""
        return list(dict.fromkeys(one.model for one in getattr(self, self.members))) if self.members else []

    def only(self, models: Sequence[str]) -> Self | None:
        """Return the result of these networks alone; it is None where it says nothing of them."""
        models = [models] if isinstance(models, str) else models
        if not self.members:
            known = self.models()
            return self if not known or set(known) & set(models) else None
        wanted = tuple(one for one in getattr(self, self.members) if one.model in models)
        return replace(self, **{self.members: wanted}) if wanted else None  # type: ignore[type-var]

    def tables(self) -> list[Table]:
        """Return the tables that its command prints."""
        raise NotImplementedError

    def worded(self, width: int) -> str:
        """Return the text that people read in place of its tables; it is empty where they read the tables."""
        return ""

    def flat(self) -> Table:
        """Return the one table of CSV, TSV and pandas, with every number."""
        return self.tables()[0]

    def figures(self) -> Iterator[Figure]:
        """Yield what it says of each network in one number, by metric."""
        yield from ()

    def besides(self) -> Iterator[Figure]:
        """Yield figures of another kind's metrics that it knows: a comparison takes those of a network that nothing
        has counted."""
        yield from ()

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        """Return, by network, the operators that ran and have no formula, with their calls."""
        return {}

    def cautions(self, models: Sequence[str]) -> list[str]:
        """Return what has to be read beside its figures of these networks."""
        return []

    def pictures(self) -> list[Picture]:
        """Return its charts."""
        return []

    def sketch(self, width: int, colour: bool) -> str:
        """Draw a picture of characters for a terminal of that width."""
        return ""

    def verdicts(self) -> Iterator[str]:
        """Yield what a summary has to say of it, a line each."""
        yield from ()

    @property
    def headline(self) -> str:
        """Return what it is of: its command, and the networks, three at most by name."""
        if not (names := self.models()):
            return self.kind
        *shown, last = names if len(names) < 4 else [*names[:2], f"{len(names) - 2} more"]
        listed = f"{', '.join(shown)} and {last}" if shown else last
        return f"{listed}: {self.kind}"

    def sections(self) -> list[Section]:
        """Return its part of a page."""
        return [Section(*self.heading, (), self.tables(), self.pictures())]

    def to_pandas(self) -> "pandas.DataFrame":
        """Return every number as a DataFrame, with the keys of the columns."""
        return self.flat().to_pandas()

    def document(self, made_with: str | None = None) -> dict[str, Any]:
        """Return the whole result, as JSON has it. ``made_with`` is a command line."""
        return {"kind": self.kind, "schema": self.schema, **encoded(self), "made_with": made_with}

    def to_json(self, made_with: str | None = None) -> str:
        """Write the document as text."""
        return json.dumps(self.document(made_with), indent=1, allow_nan=False)

    def text(
        self, format: Format = "table", made_with: str | None = None, tables: Sequence[Table] | None = None
    ) -> str:
        """Write the result, or others of its tables, in a format of the command line; CSV and TSV hold one table."""
        if format == "json":
            return self.to_json(made_with)
        if format == "table" and tables is None and (lines := self.worded(WIDTH)):
            return legible(lines)
        if tables is None:
            tables = [self.flat()] if format in ("csv", "tsv") else self.tables()
        return "\n\n".join(render(table, format) for table in tables)

    def save(self, path: str | Path) -> None:
        """Write a file as its name says: JSON (.json, .json.gz), tables (.csv, .tsv, .md, .tex, .html) or charts (.svg,
        .png, .pdf). Raises OptionError for another name, and OutputError."""
        path = Path(path)
        suffix = suffix_of(path)
        if suffix in SUFFIXES:
            write(path, packed(path, self.text(SUFFIXES[suffix]) + "\n"))
        elif path.suffix.lower() in DRAWN:
            save(self.drawn(), path)
        else:
            known = ", ".join(dict.fromkeys((".json.gz", *SUFFIXES, *DRAWN)))
            raise OptionError(f"expected a file that ends in {known}; received {path.name!r}")

    def plot(self) -> Any:
        """Return its charts as one altair chart. Raises OutputError where there is nothing to draw."""
        return whole(self.drawn())

    def drawn(self) -> list[Picture]:
        """Return its charts, of which there is at least one. Raises OutputError."""
        if pictures := self.pictures():
            return pictures
        raise OutputError(f"nothing to draw: {self.undrawn}")

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return "\n".join(map(html_table, self.tables()))

    def __getattr__(self, name: str) -> Any:
        """Take from the network what the result of a single one is asked for and has not itself."""
        several: Sequence[Any] = () if name.startswith("_") or not self.members else getattr(self, self.members)
        if len(several) != 1:
            raise AttributeError(f"{type(self).__name__} of {len(several)} networks has no {name!r}")
        return getattr(several[0], name)
