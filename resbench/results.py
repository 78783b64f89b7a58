"""A result is a value: what a question finds, as one frozen object of which everything else is a reading.

    run(...) -> Result -> tables, figures, pictures, JSON          load(path) -> Result

``KINDS`` names every kind of result by its module, and imports none: a new question is one folder and one line of it.
"""

from __future__ import annotations

import gzip
import json
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from resbench.codec import decoded, encoded
from resbench.drawing.charts import SUFFIXES as DRAWN
from resbench.drawing.charts import Picture, save, whole
from resbench.errors import AllFailed, Failures, OptionError, OutputError, ResbenchError, StoredError, first_line
from resbench.files import write
from resbench.tables.render import SUFFIXES, Format, html_table, plain, render
from resbench.tables.table import Kind, Table

if TYPE_CHECKING:
    import pandas


Progress = Callable[[str, float], object]
"""This is told what is at hand, and the share of all the work that is done."""


def silent(line: str, share: float) -> None:
    """The progress of whom nobody watches."""


class Metric(NamedTuple):
    """What networks are compared by. ``better`` is -1 where less is better, 1 where more is, and 0 where neither is."""

    key: str
    title: str
    kind: Kind
    better: int


class Figure(NamedTuple):
    """One number of one network. ``spread`` is half of the 95 % interval, in the unit of the value."""

    model: str
    metric: str
    value: float
    spread: float | None = None
    conditions: str = ""
    """Setup, data and machine; empty for what needs none. Figures of equal conditions can be held together."""
    remark: str = ""
    """What bounds a roof, and where a published figure stands."""
    least: bool = False
    """The value is a lower bound, for operators ran that nobody could count: it orders nothing and has no ratio."""


@dataclass(frozen=True)
class Section:
    """One part of a page; ``drawings`` are SVG by title."""

    key: str
    title: str
    lead: str
    verdicts: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    drawings: Mapping[str, str] = field(default_factory=dict)

    def with_more(self, other: Section) -> Section:
        """The section with what another one of its key holds behind it."""
        return replace(
            self,
            tables=[*self.tables, *other.tables],
            pictures=[*self.pictures, *other.pictures],
            drawings={**self.drawings, **other.drawings},
        )


class Result:
    """What every result can do; a kind of it is a frozen dataclass that states what is its own."""

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
    def measured(cls, models: Sequence[str], batch: int, device: str, failures: Failures, progress: Progress) -> Result:
        """The result as its command makes it by default, for a comparison or a page. Raises AllFailed."""
        raise OptionError(f"{cls.kind} is not measured for a comparison: expected it with --from")

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of schema 2, encoded, of a document of schema 1."""
        raise StoredError(f"expected schema {cls.schema} of {cls.kind}, received 1; make it anew")

    @classmethod
    def joined(cls, results: Sequence[Self]) -> Sequence[Self]:
        """The results as a page shows them: those of several files may stand in one table."""
        return results

    def models(self) -> list[str]:
        """The networks of which it says something, each once."""
        return list(dict.fromkeys(one.model for one in getattr(self, self.members))) if self.members else []

    def only(self, models: Sequence[str]) -> Self | None:
        """The result of these networks alone; None where it says nothing of them."""
        if not self.members:
            return self
        wanted = tuple(one for one in getattr(self, self.members) if one.model in models)
        return replace(self, **{self.members: wanted}) if wanted else None  # type: ignore[type-var]

    def tables(self) -> list[Table]:
        """The tables that its command prints."""
        raise NotImplementedError

    def flat(self) -> Table:
        """The one table of CSV, TSV and pandas, with every number."""
        return self.tables()[0]

    def figures(self) -> Iterator[Figure]:
        """What it says of each network in one number, by metric."""
        yield from ()

    def not_counted(self) -> Mapping[str, Mapping[str, int]]:
        """By network, the operators that ran and have no formula, with their calls."""
        return {}

    def cautions(self, models: Sequence[str]) -> list[str]:
        """What has to be read beside its figures of these networks."""
        return []

    def pictures(self) -> list[Picture]:
        """Its charts."""
        return []

    def sketch(self, width: int, colour: bool) -> str:
        """A picture of characters for a terminal of that width."""
        return ""

    def verdicts(self) -> Iterator[str]:
        """What a summary has to say of it, a line each."""
        yield from ()

    def sections(self) -> list[Section]:
        """Its part of a page."""
        return [Section(*self.heading, (), self.tables(), self.pictures())]

    def to_pandas(self) -> pandas.DataFrame:
        """Every number as a DataFrame, with the keys of the columns."""
        return self.flat().to_pandas()

    def document(self, made_with: str | None = None) -> dict[str, Any]:
        """The whole result, as JSON has it. ``made_with`` is a command line."""
        return {"kind": self.kind, "schema": self.schema, **encoded(self), "made_with": made_with}

    def to_json(self, made_with: str | None = None) -> str:
        """The document as text."""
        return json.dumps(self.document(made_with), indent=1, allow_nan=False)

    def text(
        self, format: Format = "table", made_with: str | None = None, tables: Sequence[Table] | None = None
    ) -> str:
        """It gives the result, or others of its tables, in a format of the command line; CSV and TSV hold one table."""
        if format == "json":
            return self.to_json(made_with)
        if tables is None:
            tables = [self.flat()] if format in ("csv", "tsv") else self.tables()
        return "\n\n".join(render(table, format) for table in tables)

    def save(self, path: str | Path) -> None:
        """Write a file as its name says: JSON (.json, .json.gz), tables (.csv, .tsv, .md, .tex, .html) or charts (.svg,
        .png, .pdf). Raises OptionError for another name, and OutputError."""
        path = Path(path)
        suffix = path.suffix.lower()
        if path.name.endswith(".json.gz"):
            write(path, gzip.compress(self.to_json().encode(), mtime=0))
        elif suffix in SUFFIXES:
            write(path, self.text(SUFFIXES[suffix]) + "\n")
        elif suffix in DRAWN:
            save(self.drawn(), path)
        else:
            known = ", ".join(dict.fromkeys((".json.gz", *SUFFIXES, *DRAWN)))
            raise OptionError(f"expected a file that ends in {known}; received {path.name!r}")

    def plot(self) -> Any:
        """Its charts as one altair chart. Raises OutputError where there is nothing to draw."""
        return whole(self.drawn())

    def drawn(self) -> list[Picture]:
        """Its charts, of which there is at least one. Raises OutputError."""
        if pictures := self.pictures():
            return pictures
        raise OutputError(f"nothing to draw: {self.undrawn}")

    def __repr__(self) -> str:
        return "\n\n".join(map(plain, self.tables()))

    def _repr_html_(self) -> str:
        return "\n".join(map(html_table, self.tables()))

    def __getattr__(self, name: str) -> Any:
        """What the result of a single network is asked for, and has not itself, is that of the network."""
        several: Sequence[Any] = () if name.startswith("_") or not self.members else getattr(self, self.members)
        if len(several) != 1:
            raise AttributeError(f"{type(self).__name__} of {len(several)} networks has no {name!r}")
        return getattr(several[0], name)


class Entry(NamedTuple):
    """A kind of result: its class as ``module:class``, and the metrics of its figures, with spaces between."""

    where: str
    metrics: str = ""

    def load(self) -> type[Result]:
        kind: type[Result] = resolve_name(self.where)
        return kind


KINDS = {
    "flops": Entry("resbench.costs.result:Costs", "params macs elementwise activations"),
    "latency": Entry("resbench.timing.latency.result:Latencies", "memory latency throughput roof"),
    "latency --layers": Entry("resbench.timing.layers.result:Layers"),
    "latency --memory": Entry("resbench.timing.memory.result:Memories"),
    "profile": Entry("resbench.timing.profile.result:Profile"),
    "gradflow": Entry("resbench.gradients.result:Flows", "gradient"),
    "degradation": Entry("resbench.training.result:Degradation", "train_error error"),
    "placements": Entry("resbench.training.result:Placements"),
    "published": Entry("resbench.pages.published:Published", "published"),
    "claims": Entry("resbench.lessons.result:Claims"),
    "flops --verify": Entry("resbench.costs.checks:Checks"),
    "models": Entry("resbench.networks.listing:Listing"),
    "show": Entry("resbench.costs.structure:Structure"),
    "doctor": Entry("resbench.workers.doctor:Diagnosis"),
    "compare-runs": Entry("resbench.regression.comparing.result:RunComparison"),
    "history": Entry("resbench.regression.history.result:Histories"),
    "compare": Entry("resbench.pages.compare:Comparison"),
    "gate": Entry("resbench.regression.gating.result:Gate"),
}
"""The kinds in the order of a page, and their metrics in the order of a comparison."""


def metric_names() -> list[str]:
    """Every metric that networks can be compared by."""
    return [name for entry in KINDS.values() for name in entry.metrics.split()]


def measured_by(metric: str) -> str:
    """The kind of result that holds it."""
    return next(kind for kind, entry in KINDS.items() if metric in entry.metrics.split())


def measured(
    kind: str, models: Sequence[str], batch: int, device: str, failures: Failures, progress: Progress
) -> list[Result]:
    """What the commands of a kind find of these networks by default; nothing of those that fail. Ctrl-C ends it."""
    made = KINDS[kind].load()
    found: list[Result] = []
    if made.of_one:
        found = failures.each(models, lambda name: made.measured([name], batch, device, failures, progress))
    else:
        with suppress(AllFailed):
            found = [made.measured(models, batch, device, failures, progress)]
    if any(getattr(one, "interrupted", False) for one in found):
        raise KeyboardInterrupt
    return found


@cache
def metric_of(name: str) -> Metric:
    """The metric of that name."""
    return KINDS[measured_by(name)].load().metrics[name]


def uncounted(results: Iterable[Result], models: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """What nobody could count, of these networks or of all: operators with their calls, the most that a result says."""
    found: dict[str, Counter[str]] = {}
    for result in results:
        for model, calls in result.not_counted().items():
            if calls and (model in models or not models):
                found[model] = found.get(model, Counter()) | Counter(calls)
    return {model: dict(calls) for model, calls in found.items()}


class Stored(NamedTuple):
    """A result and the file that it was found in. ``document`` is all of it as it was written."""

    path: Path
    result: Result
    document: Mapping[str, Any]

    @property
    def made_with(self) -> str:
        """The command line that made it; empty where Python did."""
        return str(self.document.get("made_with") or "")

    @property
    def time(self) -> str:
        """When it was measured; empty for what was only counted."""
        machine = self.document.get("environment")
        return str(machine["volatile"].get("time_utc") or "") if machine else ""

    @property
    def remark(self) -> str:
        """What an earlier version did not write; empty where nothing is missing."""
        missing = self.result.left_out if self.document["schema"] < self.result.schema else ""
        return f"{self.path} is of an earlier version, which did not say {missing}" if missing else ""


def load(path: str | Path) -> Result | list[Result]:
    """The result in a file, or those in a folder, the oldest first, whatever command or ``save`` has written them.

    What a file of an earlier version does not say is a warning. Raises StoredError.
    """
    found = find([Path(path)])
    for remark in filter(None, (one.remark for one in found)):
        warnings.warn(remark, stacklevel=2)
    return [one.result for one in found] if Path(path).is_dir() else found[0].result


def find(places: Iterable[Path]) -> list[Stored]:
    """The results in files, and in folders with all that is below them, the oldest first.

    In a folder, JSON of other origin is passed over. Raises StoredError for a file that cannot be read, for one of an
    unknown schema, and where nothing is found.
    """
    places = list(places)
    found = [stored for place in places for stored in (_below(place) if place.is_dir() else [read(place)])]
    if not found:
        raise StoredError(
            f"nothing stored in {', '.join(map(str, places))}: "
            "expected what `resbench latency ... -o FILE.json` and others wrote"
        )
    return sorted(found, key=lambda stored: stored.time)


def _below(folder: Path) -> Iterator[Stored]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith((".json", ".json.gz")):
            document = _document(path)
            if _kind(document) in KINDS:
                yield _stored(path, document)


def read(path: Path) -> Stored:
    """The result in a file, plain or gzipped. Raises StoredError."""
    document = _document(path)
    kind = _kind(document)
    if kind not in KINDS:
        what = f"the JSON of resbench {kind}" if kind else "no JSON of resbench"
        raise StoredError(f"{path} is {what}; expected that of {', '.join(KINDS)}")
    return _stored(path, document)


def _kind(document: Any) -> str:
    """The kind of result that a document says it is; empty for JSON of other origin."""
    kind = document.get("kind", document.get("command")) if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def _document(path: Path) -> Any:
    try:
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except OSError as error:
        raise StoredError(
            f"cannot read {path}: {error.strerror or error}; name a file or a folder of results"
        ) from None
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise StoredError(f"{path} is no JSON, or was cut off ({first_line(error)}); make it anew") from None


def _stored(path: Path, document: dict[str, Any]) -> Stored:
    kind, schema = _kind(document), document.get("schema")
    made = KINDS[kind].load()
    if schema not in (1, made.schema):
        raise StoredError(f"{path}: expected schema {made.schema} of {kind}, received {schema!r}; make it anew")
    try:
        fields = document if schema == made.schema else made.migrated(document)
        return Stored(path, decoded(made, fields), document)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, ResbenchError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else first_line(error)
        raise StoredError(f"{path} is not what resbench {kind} writes ({reason}); make it anew") from None
