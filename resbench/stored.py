"""What commands wrote as JSON, read back into the values that it was made of: tables and charts need nothing else.

    resbench latency resnet50 -o results/latency.json     ->  read(Path("results/latency.json"))  ->  Latencies(...)

A document carries the ``schema`` of its command; one that is not known here is refused. Plain or gzipped.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resbench.arch.cost import Cost, Row
from resbench.errors import ResbenchError, StoredError, first_line
from resbench.timing.latency.result import Latencies
from resbench.timing.layers.result import Layers
from resbench.timing.memory.result import Memories

if TYPE_CHECKING:
    from resbench.gradients.measure import Recipe
    from resbench.gradients.result import Flow
    from resbench.gradients.verdicts import Verdict
    from resbench.lessons.measure import Finding
    from resbench.timing.ran import Ran
    from resbench.timing.roofline import Roof
    from resbench.training.result import Outcome
    from resbench.workers.environment import Environment

SCHEMA = 1


class Costs(NamedTuple):
    """Of `flops`."""

    costs: Sequence[Cost]


class Flows(NamedTuple):
    """Of `gradflow`, with the verdicts on each."""

    flows: Sequence[Flow]
    verdicts: Sequence[Sequence[Verdict]]
    recipe: Recipe
    data: str
    limits: str
    """Between the verdicts."""
    here: Environment


class Trainings(NamedTuple):
    """Of `degradation` and `placements`, with what was said of them."""

    command: str
    outcome: Outcome
    said: Sequence[str]
    here: Environment


class Claims(NamedTuple):
    """Of `claims`."""

    findings: Sequence[Finding]
    here: Environment


Result = Costs | Latencies | Layers | Memories | Flows | Trainings | Claims


def models(result: Result) -> list[str]:
    """Of which it says something, each once."""
    match result:
        case Costs(several) | Latencies(several) | Flows(several):
            names = [one.model for one in several]
        case Layers(name):
            names = [name]
        case Memories(reports):
            names = [name for name, *_ in reports]
        case Trainings():
            names = list(result.outcome.models)
        case Claims():
            names = []
    return list(dict.fromkeys(names))


class Stored(NamedTuple):
    """A result and where it was found. ``made_with``: the command line; ``document``: all of it as it was written."""

    path: Path
    result: Result
    made_with: str
    document: Mapping[str, Any]


def find(places: Iterable[Path]) -> list[Stored]:
    """The results in files, and in folders with all that is below them, the oldest first.

    In a folder, JSON that no command of resbench wrote is passed over. Raises StoredError for a file that cannot be
    read, for one whose schema is not known, and where nothing is found.
    """
    places = list(places)
    found = [stored for place in places for stored in (_below(place) if place.is_dir() else [read(place)])]
    found.sort(key=_time)
    if not found:
        where = ", ".join(map(str, places))
        raise StoredError(
            f"nothing stored in {where}: expected what `resbench latency ... -o FILE.json` and others wrote"
        )
    return found


def _time(stored: Stored) -> str:
    """Of the measurement; empty for what was only counted."""
    here = stored.document.get("environment")
    return str(here["volatile"].get("time_utc") or "") if here else ""


def _below(folder: Path) -> Iterator[Stored]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name.endswith((".json", ".json.gz")):
            document = _document(path)
            if _command(document) in READERS:
                yield _stored(path, document)


def read(path: Path) -> Stored:
    """One result. Raises StoredError."""
    document = _document(path)
    command = _command(document)
    if command not in READERS:
        what = f"the JSON of resbench {command}" if command else "no JSON of resbench"
        raise StoredError(f"{path} is {what}; expected that of {', '.join(READERS)}")
    return _stored(path, document)


def _command(document: Any) -> str:
    """What wrote it; empty for JSON of another origin."""
    command = document.get("command") if isinstance(document, dict) else None
    return command if isinstance(command, str) else ""


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
    schema, command = document.get("schema"), document["command"]
    if schema != SCHEMA:
        raise StoredError(f"{path}: expected schema {SCHEMA} of {command}, received {schema!r}; make it anew")
    try:
        result = READERS[command](document)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, ResbenchError) as error:
        said = f"no {error}" if isinstance(error, KeyError) else first_line(error)
        raise StoredError(f"{path} is not what resbench {command} writes ({said}); make it anew") from None
    return Stored(path, result, str(document.get("made_with") or ""), document)


def _costs(document: dict[str, Any]) -> Costs:
    def row(layer: dict[str, Any]) -> Row:
        counts: list[Any] = [*(int(layer[key]) for key in COUNTED), layer["activations"]]
        counts += [layer.get(key) for key in SINCE]
        return Row(layer["name"], layer["type"], tuple(layer["output"]), *counts)

    return Costs(
        [
            Cost(
                model["model"],
                model["source"],
                tuple(model["input"]),
                tuple(row(layer) for layer in model["layers"]),
                tuple(model["uncounted"].items()),
                mode=model.get("mode", "inference"),
                complex=bool(model.get("complex")),
                made=tuple(model.get("made", ())),
            )
            for model in document["models"]
        ]
    )


COUNTED = ("params", "macs", "elementwise")

SINCE = ("trainable", "param_bytes", "buffer_bytes", "activation_bytes", "backward_macs")
"""What earlier versions did not write is not known: None."""


def _here(document: dict[str, Any]) -> Environment:
    from resbench.workers.environment import Environment

    return Environment(dict(document["environment"]["stable"]), dict(document["environment"]["volatile"]))


def _ran(record: dict[str, Any]) -> Ran | None:
    from resbench.timing.ran import Ran

    return Ran.of(record["ran"]) if record.get("ran") else None


def _roof(record: dict[str, Any]) -> Roof:
    from resbench.timing.roofline import Roof

    return Roof(**{**record, "copies": tuple((size, rate) for size, rate in record["copies"])})


def _latencies(document: dict[str, Any]) -> Latencies:
    from resbench.timing.latency.measure import Latency, Reading
    from resbench.workers.workload import Setup

    latencies = [
        Latency(
            model["model"],
            tuple(model["input"]),
            Setup(**model["setup"]),
            tuple(map(Reading.of, model["processes"])),
            model["drift"],
            model["calls"],
        )
        for model in document["models"]
    ]
    if not all(one.readings and all(reading.runs for reading in one.readings) for one in latencies):
        raise ValueError("a network without a run")
    return Latencies(latencies, {name: _roof(roof) for name, roof in document["roofs"].items()}, _here(document))


def _layers(document: dict[str, Any]) -> Layers:
    from resbench.timing.layers.measure import LayerTime, LayerTimes
    from resbench.timing.traffic import Work
    from resbench.workers.workload import Setup

    rows = tuple(
        LayerTime(
            row["name"],
            row["type"],
            row["forward_s"],
            row["backward_s"],
            Work(row["macs"], row["bytes"]),
            Work(0, 0),
            row["saved_bytes"],
            row.get("uncounted"),
        )
        for row in document["layers"]
        if row["forward_s"] is not None
    )
    seconds = document["step_s"], document["total_s"], document["plain_s"]
    times = LayerTimes(rows, *seconds, tuple(document["overheads"]))
    roof = _roof(document["roof"]) if document["roof"] else None
    return Layers(document["model"], times, roof, Setup(**document["setup"]), _here(document), _ran(document))


def _memories(document: dict[str, Any]) -> Memories:
    from resbench.timing.memory.measure import Memory
    from resbench.workers.workload import Setup

    reports = [
        (model["model"], Memory(**model["predicted"]), Memory(**model["measured"])) for model in document["models"]
    ]
    ran = [found for model in document["models"] if (found := _ran(model))]
    return Memories(reports, Setup(**document["setup"]), _here(document), ran)


def _flows(document: dict[str, Any]) -> Flows:
    from resbench.gradients.measure import Recipe
    from resbench.gradients.result import Flow
    from resbench.gradients.statistics import StatisticRow
    from resbench.gradients.verdicts import Verdict

    flows = [
        Flow(
            model["model"],
            tuple(model["input"]),
            tuple(StatisticRow(**{**row, "value": _number(row["value"])}) for row in model["rows"]),
            model["broken"] or "",
            model.get("interrupted", False),
            tuple(model["skipped"]),
        )
        for model in document["models"]
    ]
    verdicts = [[Verdict(**verdict) for verdict in model["verdicts"]] for model in document["models"]]
    recipe = Recipe(**{**document["recipe"], "steps": tuple(document["recipe"]["steps"])})
    return Flows(flows, verdicts, recipe, document["data"], document["limits"], _here(document))


def _number(value: float | None) -> float:
    """What was not finite is null in JSON."""
    return float("nan") if value is None else value


def _trainings(document: dict[str, Any]) -> Trainings:
    from resbench.arch.published import Printed
    from resbench.gradients.statistics import StatisticRow
    from resbench.training.recipe import TrainingRecipe
    from resbench.training.result import Cell, Epoch, Outcome, Result

    results = tuple(
        Result(
            Cell(run["model"], tuple(run["input"]), run["seed"], TrainingRecipe(**run["recipe"])),
            tuple(Epoch(**epoch) for epoch in run["history"]),
            tuple(StatisticRow(**row) for row in run["rows"]),
            run["broken"] or "",
            run["finished"],
        )
        for run in document["runs"]
    )
    data = document["data"]
    printed = {
        model["model"]: Printed(model["published"], model["published_source"])
        for model in document["models"]
        if model["published"] is not None
    }
    outcome = Outcome(results, data["name"], data["train"], data["test"], printed)
    return Trainings(document["command"], outcome, document["verdicts"], _here(document))


def _claims(document: dict[str, Any]) -> Claims:
    from resbench.lessons.lab import Answer
    from resbench.lessons.measure import CLAIMS, Finding

    known = {claim.id: claim for claim in CLAIMS}
    findings = [
        Finding(
            known[record["id"]]._replace(statement=record["statement"], correct=record["correct"]),
            Answer(record["verdict"], record["figure"]),
            record["expected"],
            record["seconds"],
        )
        for record in document["claims"]
    ]
    return Claims(findings, _here(document))


READERS: Mapping[str, Callable[[dict[str, Any]], Result]] = {
    "flops": _costs,
    "latency": _latencies,
    "latency --layers": _layers,
    "latency --memory": _memories,
    "gradflow": _flows,
    "degradation": _trainings,
    "placements": _trainings,
    "claims": _claims,
}
"""By what a document says it is of."""


def document(result: Result) -> dict[str, Any]:
    """What the command writes of such a result: ``read`` of it gives the result again."""
    from resbench.costs.table import cost_document
    from resbench.gradients.table import flow_document
    from resbench.lessons.table import claim_document
    from resbench.timing.tables import latency_document, layer_document, memory_document
    from resbench.training.table import training_document

    match result:
        case Costs(costs):
            return cost_document(costs)
        case Latencies():
            return latency_document(*result)
        case Layers():
            return layer_document(*result)
        case Memories():
            return memory_document(*result)
        case Flows():
            return flow_document(*result)
        case Trainings():
            return training_document(*result)
        case Claims():
            return claim_document(*result)
