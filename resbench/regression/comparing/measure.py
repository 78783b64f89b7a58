"""Stored runs, as `pytest --benchmark-json FILE` wrote them, are read, checked and paired by benchmark.

No torch is needed. A run of a suite with resbench's plugin holds two things more: the fingerprint of the machine under
``machine_info``, and the counters of each benchmark under ``extra_info``. Counters of two runs are always compared;
their wall times only where the fingerprints are equal.
"""

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

from resbench.errors import GateError, first_line
from resbench.files import unpacked
from resbench.regression.comparing.result import Benchmark, Pair, Run, RunComparison
from resbench.regression.expectations import differences

T = TypeVar("T")

OWN = ("node", "processor", "machine", "python_version", "release", "system", "cpu")
"""pytest-benchmark itself describes a machine by these."""


def read(path: Path) -> Run:
    """Read a stored run, plain or gzipped. Raises GateError for a file that is missing or no such thing."""
    try:
        return _run(json.loads(unpacked(path)), path)
    except OSError as error:
        raise GateError(
            f"cannot read {path}: {error.strerror or error}; name a file that pytest --benchmark-json wrote"
        ) from None
    except (ValueError, OverflowError, EOFError, zlib.error, RecursionError) as error:
        raise GateError(
            f"{path} is no stored run ({first_line(error)}); expected what pytest --benchmark-json FILE writes"
        ) from None


def _run(document: Any, path: Path) -> Run:
    machine, commit = take(document, "machine_info", dict), take(document, "commit_info", dict)
    benchmarks: dict[str, Benchmark] = {}
    for record in take(document, "benchmarks", list):
        name, stats = take(record, "fullname", str), take(record, "stats", dict)
        if not name.isprintable():
            raise ValueError(f"expected a name that can be printed, received {_cut(ascii(name))}")
        if name in benchmarks:
            raise ValueError(f"{name} is there twice")
        extra = take({"extra_info": {}, **record}, "extra_info", dict)
        runtime = take({"counted_with": "", **extra}, "counted_with", str)
        one = benchmark(name, stats.get("median"), stats.get("iqr"), extra.get("counters", {}))
        benchmarks[name] = one._replace(runtime=runtime)
    ours = machine.get("resbench")
    return Run(
        path,
        moment(take(document, "datetime", str)),
        take(commit, "id", str),
        bool(commit.get("dirty")),
        None if ours is None else fingerprint(take(ours, "id", str)),
        {} if ours is None else take(ours, "stable", dict),
        {key: machine.get(key) for key in OWN},
        benchmarks,
        hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16],
    )


def benchmark(name: str, median_s: Any, iqr_s: Any, counters: Any) -> Benchmark:
    """Return one benchmark from JSON. Raises ValueError."""
    for what, value, least in (("median", median_s, "above 0"), ("iqr", iqr_s, "from 0 up")):
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not number or value < 0 or (value == 0 and what == "median"):
            raise ValueError(f"{what} of {name}: expected seconds {least}, received {_cut(value)}")
    if not isinstance(counters, dict) or not all(type(value) is int for value in counters.values()):
        raise ValueError(f"counters of {name}: expected names and integers, received {_cut(counters)}")
    return Benchmark(name, float(median_s), float(iqr_s), counters)


def take(record: Any, key: str, kind: type[T]) -> T:
    """Return a field of a JSON object. Raises ValueError where it is missing or of another type."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"expected {key} to be a {kind.__name__}, received {_cut(value)}")
    return value


def moment(text: str) -> datetime:
    """Return a time in UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def fingerprint(text: str) -> str:
    """Return the id of a machine, which is also the name of a file. Raises ValueError."""
    if not re.fullmatch("[0-9a-f]{12}", text):
        raise ValueError(f"expected a fingerprint of 12 hex digits, received {_cut(text)}")
    return text


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def compare(a: Run, b: Run) -> RunComparison:
    """Pair two runs by benchmark. Raises GateError where they have none in common.

    As in the gate, a benchmark is known by its name behind the file, which may have been renamed or moved.
    """
    known = same_benchmarks(a.benchmarks, b.benchmarks)
    pairs = tuple(Pair(one, b.benchmarks[known[name]]) for name, one in a.benchmarks.items() if name in known)
    if not pairs:
        raise GateError(
            f"expected two runs of one suite, received {a.path} and {b.path}, which have no benchmark in common "
            f"({len(a.benchmarks)} and {len(b.benchmarks)})"
        )
    machines = _machines(a, b)
    return RunComparison(a, b, pairs, not machines, (*machines, *_missing(a, b, pairs)))


def same_benchmarks(a: Iterable[str], b: Iterable[str]) -> dict[str, str]:
    """Return the full names of the first run with those of the second, by file and name, or else by a name that is
    the only one of both.

    >>> same_benchmarks(["a.py::test_x", "a.py::test_y", "b.py::test_z"], ["a.py::test_x", "c.py::test_y"])
    {'a.py::test_x': 'a.py::test_x', 'a.py::test_y': 'c.py::test_y'}
    """
    first, second = [*a], [*b]
    alone = [name for name in first if name not in second], [name for name in second if name not in first]
    counts = [Counter(map(_short, names)) for names in alone]
    there = {_short(name): name for name in alone[1]}
    moved = {name: there[_short(name)] for name in alone[0] if all(count[_short(name)] == 1 for count in counts)}
    return {name: moved.get(name, name) for name in first if name in second or name in moved}


def _short(name: str) -> str:
    """Return the part of a full name behind the file."""
    return name.partition("::")[2] or name


def _machines(a: Run, b: Run) -> list[str]:
    """Return why the wall times of two runs cannot be compared; the list is empty where they can."""
    without = [str(run.path) for run in (a, b) if run.fingerprint is None]
    if without:
        other = [key for key in OWN if a.machine[key] != b.machine[key]]
        own = f"differs in {', '.join(other)}" if other else "is the same, which leaves out threads, quotas and torch"
        return [
            f"No fingerprint of the machine in {' and '.join(without)}: wall times are not compared "
            f"(what pytest-benchmark itself says of the machines {own})."
        ]
    if a.fingerprint == b.fingerprint:
        return []
    fields = "; ".join(f"{key} {old} -> {new}" for key, (old, new) in differences(a.stable, b.stable))
    return [
        f"Another machine or installation ({a.fingerprint} and {b.fingerprint}): wall times are not compared. "
        f"{fields or 'No stable field tells why'}."
    ]


def _missing(a: Run, b: Run, pairs: Sequence[Pair]) -> Iterator[str]:
    """Say what only one of the runs has."""
    paired = [{pair[i].name for pair in pairs} for i in (0, 1)]
    for run, common in zip((a, b), paired, strict=True):
        alone = [name for name in run.benchmarks if name not in common]
        if alone:
            yield f"Only in {run.path}: {', '.join(alone)}."
    for pair in pairs:
        if not pair.comparable:
            ran = (one.runtime or "torch itself" for one in pair)
            yield f"{pair.a.name} was counted with {' and with '.join(ran)}: its counters are not compared."
    counted = [pair for pair in pairs if pair.a.counters and pair.b.counters]
    for i, run in enumerate((a, b)):
        bare = [pair.a.name for pair in pairs if not pair[i].counters]
        if bare:
            yield f"No counters in {run.path}: {', '.join(bare)}."
        lacks = {
            pair.a.name: [name for name, both in pair.differing.items() if both[1 - i] is None] for pair in counted
        }
        for counter in dict.fromkeys(chain.from_iterable(lacks.values())):
            where = ", ".join(name for name, counters in lacks.items() if counter in counters)
            yield f"Counter {counter} only in {run.path}: {where}."
