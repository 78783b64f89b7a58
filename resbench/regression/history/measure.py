"""The history of a suite has one file for each machine and one line for each stored run, and grows at its end.

<fingerprint>.jsonl    {"schema": 1, "environment": {"id", "stable"}}                                 the first line
                       {"digest", "time_utc", "commit", "dirty", "environment", "benchmarks":
                        {name: {"median_s", "iqr_s", "counters"}}}                      one line for each run
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resbench.errors import GateError, OutputError, first_line
from resbench.files import write
from resbench.regression.comparing.measure import benchmark, fingerprint, moment, take
from resbench.regression.comparing.result import Run
from resbench.regression.history.result import Histories, History

SCHEMA = 1
COMPACT = (",", ":")

WAIT_S = 60
"""The wait for another process that appends to the same folder lasts so long."""


def histories(folder: Path) -> Histories:
    """Read all machines of a folder. Raises GateError for a file, and the line in it, that is no history."""
    return Histories(tuple(_read(path) for path in sorted(folder.glob("*.jsonl"))))


def append(folder: Path, runs: Sequence[Run]) -> list[Run]:
    """Append each run to the file of its machine, and return those that were not there yet.

    All are checked before one is written, and a file is replaced in one step. Raises GateError, OutputError.
    """
    from filelock import FileLock, Timeout

    for run in runs:
        if run.fingerprint is None:
            raise GateError(
                f"{run.path} has no fingerprint of the machine, without which its times belong to no history; "
                "run a suite that imports torch, with resbench's pytest plugin"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=WAIT_S):
            texts, new = dict[Path, str](), list[Run]()
            for name in dict.fromkeys(run.fingerprint for run in runs):
                own = [run for run in runs if run.fingerprint == name]
                path = folder / f"{name}.jsonl"
                known = {run.digest for run in _read(path).runs} if path.exists() else set()
                fresh = [run for run in {run.digest: run for run in own}.values() if run.digest not in known]
                head = {"schema": SCHEMA, "environment": {"id": name, "stable": own[0].stable}}
                old = path.read_text(encoding="utf-8") if path.exists() else json.dumps(head, separators=COMPACT)
                texts[path] = "\n".join([*old.splitlines(), *map(_line, fresh)]) + "\n" if fresh else old
                new += fresh
            for path, text in texts.items():
                write(path, text)
            return new
    except Timeout:
        raise OutputError(f"another process appends to {folder} for {WAIT_S} s already; try again") from None
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}; name a folder with --dir") from None


def _line(run: Run) -> str:
    return json.dumps(
        {
            "digest": run.digest,
            "time_utc": run.time.isoformat(),
            "commit": run.commit,
            "dirty": run.dirty,
            "environment": run.fingerprint,
            "benchmarks": {
                name: {"median_s": one.median_s, "iqr_s": one.iqr_s, "counters": one.counters}
                for name, one in run.benchmarks.items()
            },
        },
        separators=COMPACT,
    )


def _read(path: Path) -> History:
    """Read the file of one machine. Raises GateError, which names the line that is no part of a history."""
    number = 1
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines() or [""]
        name, stable = _machine(json.loads(first))
        if name != path.stem:
            raise ValueError(f"it is of the machine {name}")
        runs = []
        for line in rest:
            number += 1
            runs.append(_run(json.loads(line), name, stable, path))
    except OSError as error:
        raise GateError(f"cannot read {path}: {error.strerror or error}; name a folder with --dir") from None
    except (ValueError, RecursionError) as error:
        raise GateError(
            f"{path}, line {number}: expected a line of a history, received another ({first_line(error)}); "
            "mend or delete that line; nothing was written"
        ) from None
    return History(name, stable, tuple(sorted(runs, key=lambda run: run.time)))


def _machine(record: Any) -> tuple[str, dict[str, Any]]:
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"schema {SCHEMA} is known, not {schema!r}; another resbench may know it")
    environment = take(record, "environment", dict)
    return fingerprint(take(environment, "id", str)), take(environment, "stable", dict)


def _run(record: Any, name: str, stable: dict[str, Any], path: Path) -> Run:
    if take(record, "environment", str) != name:
        raise ValueError(f"it is of the machine {record['environment']!r}")
    benchmarks = {
        which: benchmark(which, take(one, "median_s", float), take(one, "iqr_s", float), take(one, "counters", dict))
        for which, one in take(record, "benchmarks", dict).items()
    }
    return Run(
        path,
        moment(take(record, "time_utc", str)),
        take(record, "commit", str),
        take(record, "dirty", bool),
        name,
        stable,
        {},
        benchmarks,
        take(record, "digest", str),
    )
