"""The question `report` puts everything about some networks on one page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resbench.costs.result import Costs
from resbench.errors import Failures, OptionError, StoredError
from resbench.files import write
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.load import result_name
from resbench.networks.name import ModelName, names_of
from resbench.pages.compare import counted, settle, side_by_side
from resbench.pages.comparison import View
from resbench.pages.lead import lead
from resbench.pages.page import page
from resbench.progress import Progress, of_part, silent
from resbench.result import Result, Section, Where
from resbench.results import KINDS, Stored, finished, measured, metric_names
from resbench.units import plural

PARTS = {
    "cost": "flops",
    "latency": "latency",
    "layers": "latency --layers",
    "gradient": "gradflow",
    "training": "degradation",
    "claims": "claims",
}
"""What can be measured for a page, and the kind of result that it is."""

QUICK = tuple(PARTS)[:4]
"""These parts take seconds, the others minutes."""


@dataclass(frozen=True)
class Page:
    """A page about networks has sections, and the results that it was made of."""

    title: str
    models: tuple[str, ...]
    stored: tuple[Stored, ...]
    made_with: str | None = None
    unnamed: tuple[str, ...] = ()
    """The results speak of these networks too, which were not named."""
    interrupted: str = ""
    """This was finished when Ctrl-C ended it; it is empty where all was."""

    @property
    def sections(self) -> list[Section]:
        """They are the answer, a summary, and then a section for each kind of result."""
        summary, *others = sections(self.stored, self.models)
        results = [
            found for one in self.stored if (found := one.result.only(self.models) if self.models else one.result)
        ]
        answer = lead(results, self.models, summary.pictures)
        return [*([answer] if answer.verdicts else []), replace(summary, pictures=()), *others]

    @property
    def html(self) -> str:
        """The page is one file that loads nothing."""
        title = f"{self.title} (interrupted after {self.interrupted})" if self.interrupted else self.title
        return page(title, self.sections, self.stored, self.made_with)

    def save(self, path: str | Path) -> None:
        """Write the page to a file. Raises OptionError for a name of another kind of file, and OutputError."""
        check_page(Path(path))
        write(Path(path), self.html)

    def _repr_html_(self) -> str:
        return self.html


def check_page(path: Path) -> None:
    """Raise OptionError where a file's name says that it is no page."""
    if path.suffix.lower() not in (".html", ".htm", ""):
        raise OptionError(f"a page is HTML: expected a file that ends in .html, received {path.name!r}")


@public
def report(
    models: str | Sequence[str] = (),
    input: Input = None,
    *,
    results: Sequence[Result | Stored] | None = None,
    parts: Sequence[str] = QUICK,
    title: str = "",
    batch: int = 1,
    device: str = "cpu",
    runtime: str | Sequence[str] = "eager",
    made_with: str | None = None,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Page:
    """Make a page of results that are given, or of what is measured here and now, part by part.

    ``parts`` are some of cost, latency, layers, gradient, training and claims; the last two take minutes. Without names
    the page shows all that the results speak of. Raises OptionError, StoredError and what the steps raise.
    """
    if unknown := [part for part in parts if part not in PARTS]:
        raise OptionError(f"--parts takes {','.join(PARTS)}, with commas between; received {unknown[0]!r}")
    asked = names_of(models)
    failures = failures or Failures()
    if results is None:
        names = [*dict.fromkeys(failures.each(asked, lambda name: result_name(name, input)))]
        where = Where(batch, device, [runtime] if isinstance(runtime, str) else runtime)
        found = [*_measured(names, parts, where, failures, progress)]
        if failures.stopped and not found:
            raise KeyboardInterrupt
        shown = {name for one in found for name in one.result.models()}
        names = [name for name in names if name not in failures.reasons or name in shown]
    else:
        given = [one if isinstance(one, Stored) else as_stored(one) for one in results]
        names, found = _named(given, asked, input, failures)
    failures.left(names)
    progress("drawing", 0.0)
    unnamed = dict.fromkeys(name for one in found for name in one.result.models() if name not in names)
    title = title or " and ".join(names if asked else ()) or "resbench report"
    done = finished(one.result for one in found) if failures.stopped else ""
    return Page(title, tuple(names), tuple(found), made_with, tuple(unnamed), done)


def as_stored(result: Result, name: str = "") -> Stored:
    """Make the result look as if it had been stored under its command's name."""
    return Stored(Path(f"{name or result.kind}.json"), result, result.document())


def _measured(
    names: Sequence[str], parts: Sequence[str], where: Where, failures: Failures, progress: Progress
) -> Iterator[Stored]:
    """Measure part by part; a network that fails in one is left out of the next."""
    due = [part for part in PARTS if part in parts]
    settle(PARTS[part] for part in due)
    for i, part in enumerate(due):
        told = of_part(progress, f"part {i + 1} of {len(due)}", plural(i, "part") if i else "")
        for result in measured(PARTS[part], failures.without(names), where, failures, told):
            yield as_stored(result, f"layers-{result.models()[0]}" if result.of_one else "")


def _named(
    found: list[Stored], asked: Sequence[str], input: Input, failures: Failures
) -> tuple[list[str], list[Stored]]:
    """Return the names, all where none is given, and what is stored; costs too, where they need no measuring."""
    if found and not any(one.result.heading[0] for one in found):
        raise StoredError(f"{found[0].path} is the JSON of resbench {found[0].result.kind}, which no page shows")
    found = [one for one in found if one.result.heading[0]]
    known = list(dict.fromkeys(name for one in found for name in one.result.models()))

    def named(name: str) -> str:
        full = name if name in known else result_name(name, input)
        if full not in known and not ModelName.stored(full).catalogued:
            raise StoredError(f"nothing is stored of {full!r}; expected some of {', '.join(known) or 'none'}")
        return full

    names = [*dict.fromkeys(failures.each(asked, named))] if asked else known
    missing = tuple(counted(names, [one.result for one in found], 1, failures))
    return names, [*([as_stored(Costs(missing))] if missing else []), *found]


def sections(stored: Sequence[Stored], models: Sequence[str] = ()) -> list[Section]:
    """Show all that is known of these networks, or of all: a summary first, then each kind of result."""
    results = [result for one in stored if (result := one.result.only(models) if models else one.result)]
    found = {"summary": _summary(results, models)}
    for kind in KINDS:
        same = [result for result in results if result.kind == kind]
        for section in (section for one in type(same[0]).joined(same) for section in one.sections()) if same else ():
            found[section.key] = found[section.key].with_more(section) if section.key in found else section
    return list(found.values())


def _summary(results: Sequence[Result], order: Sequence[str]) -> Section:
    """Write one table of every metric that is known, and every verdict; without a metric, the verdicts."""
    verdicts = [line for result in results for line in result.verdicts()]
    figures = [figure for result in results for figure in result.figures()]
    has_any = dict.fromkeys(figure.model for figure in figures)
    models = [*(name for name in order if name in has_any), *(name for name in has_any if name not in order)]
    if not models:
        return Section("summary", "Summary", "", verdicts)
    metrics = {figure.metric for figure in figures} - {"elementwise", "roof"}
    found = side_by_side(models, results, View([metric for metric in metric_names() if metric in metrics]))
    drawn = (
        replace(found, axes=("macs", metric), latencies=()).pictures() for metric in ("latency", "error", "activations")
    )
    pictures = next(filter(None, drawn), [])
    return Section(
        "summary", "Summary", f"Each figure beside its ratio to {models[0]}.", verdicts, [found.table], pictures
    )
