"""Every kind of result stands here by its module; files and folders are read as the results that they hold.

    load(path) -> Result

``KINDS`` imports none of them: a new question is one folder and one line of it.
"""

import json
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from resbench.codec import decoded
from resbench.errors import AllFailed, Failures, ResbenchError, StoredError, first_line
from resbench.files import Unfit, is_folder, unpacked
from resbench.given import public
from resbench.progress import Progress, Step
from resbench.result import Metric, Result, Where
from resbench.units import plural


class Entry(NamedTuple):
    """An entry names a kind's class as ``module:class``, and the metrics of its figures, with spaces between."""

    where: str
    metrics: str = ""

    def load(self) -> type[Result]:
        return resolve_name(self.where)  # type: ignore[no-any-return]


KINDS = {
    "flops": Entry("resbench.costs.result:Costs", "params macs elementwise activations"),
    "field": Entry("resbench.fields.result:Fields", "field"),
    "latency": Entry("resbench.timing.latency.result:Latencies", "memory latency throughput roof"),
    "latency --layers": Entry("resbench.timing.layers.result:Layers"),
    "latency --memory": Entry("resbench.timing.memory.result:Memories"),
    "latency --fits": Entry("resbench.timing.memory.fits:Fits"),
    "profile": Entry("resbench.timing.profile.result:Profile"),
    "gradflow": Entry("resbench.gradients.result:Flows", "gradient"),
    "degradation": Entry("resbench.training.result:Degradation", "train_error error"),
    "landscape": Entry("resbench.landscapes.result:Landscapes", "basin"),
    "placements": Entry("resbench.training.result:Placements"),
    "published": Entry("resbench.pages.published:Published", "published"),
    "claims": Entry("resbench.lessons.result:Claims"),
    "flops --verify": Entry("resbench.costs.check:Checks"),
    "models": Entry("resbench.networks.listing:Listing"),
    "models --audit": Entry("resbench.networks.audit:Audit"),
    "show": Entry("resbench.costs.structure:Structure"),
    "doctor": Entry("resbench.workers.doctor:Diagnosis"),
    "compare-runs": Entry("resbench.regression.comparing.result:RunComparison"),
    "history": Entry("resbench.regression.history.result:Histories"),
    "compare": Entry("resbench.pages.compare:Comparison"),
    "sweep": Entry("resbench.sweeps.result:Sweep"),
    "sweep --dry-run": Entry("resbench.sweeps.result:Plan"),
    "sweep --report": Entry("resbench.sweeps.readings.result:Readings"),
    "search": Entry("resbench.sweeps.searching.result:Search"),
    "gate": Entry("resbench.regression.gating.result:Gate"),
}
"""The kinds stand in the order of a page, and their metrics in the order of a comparison."""


def metric_names() -> list[str]:
    """Return every metric that networks can be compared by."""
    return [name for entry in KINDS.values() for name in entry.metrics.split()]


def measured_by(metric: str) -> str:
    """Return the kind of result that holds a metric."""
    return next(kind for kind, entry in KINDS.items() if metric in entry.metrics.split())


def measured(kind: str, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> list[Result]:
    """Measure networks as the command of a kind does by default, without those that fail.

    Ctrl-C gives what is done, and ``failures`` knows that it stopped there.
    """
    made = KINDS[kind].load()
    found: list[Result] = []
    groups = [[name] for name in models] if made.of_one else [[*models]]
    for i, names in enumerate(groups):

        def told(line: str, share: float, i: int = i) -> None:
            earlier = [plural(i, "network")] if i else []
            own = [line.keeps] if isinstance(line, Step) and line.keeps else []
            progress(Step(line, " and ".join(earlier + own)), (i + share) / len(groups))

        if failures.stopped:
            break
        try:
            with failures.of(names[0]) if made.of_one else suppress(AllFailed):
                found.append(made.measured(names, where, failures, told))
                failures.stopped = failures.stopped or bool(getattr(found[-1], "interrupted", False))
        except KeyboardInterrupt:
            failures.stopped = True
    return found


def finished(results: Iterable[Result]) -> str:
    """Say what was finished when Ctrl-C came: ``flops of 3 networks, latency of 2 networks``."""
    networks: dict[str, dict[str, None]] = {}
    for one in results:
        networks.setdefault(one.kind, {}).update(dict.fromkeys(one.models()))
    return ", ".join(f"{kind} of {plural(len(names), 'network')}" for kind, names in networks.items() if names)


@cache
def metric_of(name: str) -> Metric:
    """Look up the metric of that name."""
    return KINDS[measured_by(name)].load().metrics[name]


def uncounted(results: Iterable[Result], models: Sequence[str] = ()) -> dict[str, dict[str, int]]:
    """Collect the operators that nobody could count, of these networks or of all, with the most calls of a result."""
    found: dict[str, Counter[str]] = {}
    for result in results:
        for model, calls in result.not_counted().items():
            if calls and (model in models or not models):
                found[model] = found.get(model, Counter()) | Counter(calls)
    return {model: dict(calls) for model, calls in found.items()}


class Stored(NamedTuple):
    """A stored result knows the file that it was found in. ``document`` is all of it as it was written."""

    path: Path
    result: Result
    document: Mapping[str, Any]

    @property
    def made_with(self) -> str:
        """This command line made it; it is empty where Python did."""
        return str(self.document.get("made_with") or "")

    @property
    def time(self) -> str:
        """It was measured then; the time is empty for what was only counted."""
        machine = self.document.get("environment")
        return str(machine["volatile"].get("time_utc") or "") if machine else ""

    @property
    def remark(self) -> str:
        """An earlier version did not write this; it is empty where nothing is missing."""
        missing = self.result.left_out if self.document["schema"] < self.result.schema else ""
        return f"{self.path} is of an earlier version, which did not say {missing}" if missing else ""


@public
def load(path: str | Path) -> Result | list[Result]:
    """Read the result in a file, or those in a folder, the oldest first, whatever command or ``save`` wrote them.

    What a file of an earlier version does not say is a warning. Raises StoredError.
    """
    found = find([Path(path)])
    for remark in filter(None, (one.remark for one in found)):
        warnings.warn(remark, stacklevel=2)
    return [one.result for one in found] if is_folder(Path(path)) else found[0].result


def find(places: Sequence[Path]) -> list[Stored]:
    """Read the results in files, and in folders with all that is below them, the oldest first.

    In a folder, JSON of other origin is passed over. Raises StoredError for a file that cannot be read, for one of an
    unknown schema, and where nothing is found.
    """
    found = [stored for place in places for stored in (_below(place) if is_folder(place) else [read(place)])]
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
    """Read the result in a file, plain or gzipped. Raises StoredError."""
    document = _document(path)
    kind = _kind(document)
    if kind not in KINDS:
        what = f"the JSON of resbench {kind}" if kind else "no JSON of resbench"
        raise StoredError(f"{path} is {what}; expected that of {', '.join(KINDS)}")
    return _stored(path, document)


def _kind(document: Any) -> str:
    """Return the kind of result that a document says it is; it is empty for JSON of other origin."""
    kind = document.get("kind", document.get("command")) if isinstance(document, dict) else None
    return kind if isinstance(kind, str) else ""


def _document(path: Path) -> Any:
    try:
        return json.loads(unpacked(path))
    except OSError as error:
        raise StoredError(
            f"cannot read {path}: {error.strerror or error}; name a file or a folder of results"
        ) from None
    except Unfit as error:
        raise StoredError(f"cannot read {path}: {error}") from None
    except (ValueError, EOFError, zlib.error, RecursionError) as error:
        raise StoredError(f"{path} is no JSON, or was cut off ({first_line(error)}); make it anew") from None


def _stored(path: Path, document: dict[str, Any]) -> Stored:
    kind, schema = _kind(document), document.get("schema")
    made = KINDS[kind].load()
    if schema not in (1, made.schema):
        later = type(schema) is int and schema > made.schema
        next_step = "a later resbench wrote it: read it with that one" if later else "make it anew"
        raise StoredError(f"{path}: expected schema {made.schema} of {kind}, received {schema!r}; {next_step}")
    try:
        fields = document if schema == made.schema else made.migrated(document)
        return Stored(path, decoded(made, fields), document)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, ResbenchError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else first_line(error)
        raise StoredError(f"{path} is not what resbench {kind} writes ({reason}); make it anew") from None
