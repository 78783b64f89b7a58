"""The committed counters of a suite are read, written, and compared with those of now.

One line a layer, so that a review shows which layer changed, and what about it.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from resbench.counters.counts import MOST, Counted
from resbench.errors import GateError, did_you_mean
from resbench.files import write

SCHEMA = 1


@dataclass(frozen=True)
class SuiteCounts:
    """A suite's counters stand here by benchmark, with the version of torch that ran it and each benchmark's file.

    ``skipped`` gives the reason why a benchmark did not run; a file that skips itself stands under its own name.
    ``alone``: nothing of the tree was imported but the suite, so the code under test may be an installed copy.
    """

    torch: str
    benchmarks: Mapping[str, Counted]
    skipped: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False

    def by_work(self) -> list[str]:
        """Return the names of the benchmarks, those that are exported and then those with the most operators first."""
        return sorted(self.benchmarks, key=lambda name: -self.benchmarks[name].totals.get("operators", inf))


def spared(expected: SuiteCounts, counts: SuiteCounts) -> list[str]:
    """Return the expected benchmarks that were skipped, by name or with their file."""
    return [
        name for name in expected.benchmarks if name in counts.skipped or expected.files.get(name) in counts.skipped
    ]


class CounterChange(NamedTuple):
    """A counter of a layer has changed; a side is None where it has no such layer or counter."""

    benchmark: str
    layer: str
    counter: str
    before: int | None
    after: int | None


def changes(before: Mapping[str, Counted], after: Mapping[str, Counted]) -> list[CounterChange]:
    """Return the changes of the benchmarks that both sides have, in their order.

    A peak that is as high in another layer is no change: which of equally high moments is named is chance.
    """
    return [
        CounterChange(name, layer, counter, *values)
        for name in before
        if name in after
        for same in [{most for most in MOST if before[name].totals.get(most) == after[name].totals.get(most)}]
        for layer in dict.fromkeys([*before[name].layers, *after[name].layers])
        for counter, values in differences(before[name].layers.get(layer, {}), after[name].layers.get(layer, {}))
        if counter not in same
    ]


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the names whose values are not equal, with both values; None stands for that of a side without the name."""
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield name, (a.get(name), b.get(name))


def release(torch: str) -> str:
    """Return ``2.13`` of ``2.13.0+cpu``: operators change between releases."""
    return ".".join(torch.split(".")[:2])


def store(path: Path, counts: SuiteCounts) -> None:
    """Replace the file of expectations. Raises OutputError."""
    names, files = sorted(counts.benchmarks), sorted(set(counts.files.values()))
    within = {file: [name for name in names if counts.files.get(name) == file] for file in files}
    where = ",\n".join(f"  {json.dumps(file)}: {json.dumps(own)}" for file, own in within.items() if own)
    benchmarks = ",\n".join(f"  {json.dumps(name)}: {{\n{_lines(counts.benchmarks[name])}\n  }}" for name in names)
    runtimes = dict.fromkeys(one.runtime for one in counts.benchmarks.values() if one.runtime)
    ran = {runtime: [name for name in names if counts.benchmarks[name].runtime == runtime] for runtime in runtimes}
    in_runtimes = ",\n".join(f"  {json.dumps(runtime)}: {json.dumps(own)}" for runtime, own in sorted(ran.items()))
    beside = f' "runtimes": {{\n{in_runtimes}\n }},\n' if ran else ""
    with suppress(OSError):  # then writing says what is wrong
        path.parent.mkdir(parents=True, exist_ok=True)
    write(
        path,
        f'{{\n "schema": {SCHEMA},\n "torch": {json.dumps(release(counts.torch))},\n'
        f' "files": {{\n{where}\n }},\n{beside} "benchmarks": {{\n{benchmarks}\n }}\n}}\n',
    )


def _lines(counted: Counted) -> str:
    return ",\n".join(f"   {json.dumps(layer)}: {json.dumps(values)}" for layer, values in counted.layers.items())


def load(path: Path) -> SuiteCounts | None:
    """Read the file of expectations; the answer is None where there is none. Raises GateError for another file."""
    try:
        document = json.loads(path.read_text())
        if document["schema"] != SCHEMA:
            raise GateError(
                f"{path} is of schema {document['schema']}; expected {SCHEMA}: take the resbench that wrote it"
            )
        files = {name: file for file, names in document.get("files", {}).items() for name in names}
        ran = {name: runtime for runtime, names in document.get("runtimes", {}).items() for name in names}
        benchmarks = {name: Counted(layers, ran.get(name, "")) for name, layers in document["benchmarks"].items()}
        return SuiteCounts(document["torch"], benchmarks, files=files)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GateError(f"cannot read {path}: {error}; `resbench gate --update` writes it anew") from None
    except (KeyError, TypeError, AttributeError):
        raise GateError(f"{path} holds no counters of a suite; `resbench gate --update` writes it anew") from None


def check_release(expected: SuiteCounts, counts: SuiteCounts, path: Path, where: str = "and review") -> None:
    """Raise GateError where another release of torch counted the expectations."""
    if expected.torch != release(counts.torch):
        raise GateError(
            f"{path} was counted with torch {expected.torch}, here is {release(counts.torch)}: take that one, "
            f"or `resbench gate --update` {where}"
        )


class Incomparable(NamedTuple):
    """The kernels of a benchmark were counted with something else than is here; torch alone where a side is empty."""

    benchmark: str
    before: str
    after: str

    @property
    def line(self) -> str:
        before, after = (side or "torch itself" for side in (self.before, self.after))
        return (
            f"{self.benchmark} was counted with {before}, here is {after}: not compared; take that one, or "
            "`resbench gate --update` and review"
        )


def incomparable(expected: SuiteCounts, counts: SuiteCounts) -> tuple[Incomparable, ...]:
    """Return the benchmarks whose kernels belong to another runtime, version or instruction set than those here."""
    pairs = [(name, one.runtime, counts.benchmarks.get(name)) for name, one in expected.benchmarks.items()]
    return tuple(Incomparable(name, ran, now.runtime) for name, ran, now in pairs if now and now.runtime != ran)


def meant(stored: SuiteCounts, counts: SuiteCounts) -> set[str]:
    """Return the benchmarks of which the stored counters are those of now; what other versions counted says nothing."""
    if stored.torch != release(counts.torch):
        return set()
    changed = {one.benchmark for one in changes(stored.benchmarks, counts.benchmarks)}
    return stored.benchmarks.keys() - changed - {one.benchmark for one in incomparable(stored, counts)}


class Excess(NamedTuple):
    """A total is above the limit that the suite sets."""

    benchmark: str
    counter: str
    limit: int
    total: int


def over(limits: Mapping[str, Mapping[str, int]], counts: SuiteCounts) -> Iterator[Excess]:
    """Yield every total above its limit. Raises GateError for a benchmark or a counter that does not exist."""
    for name, wanted in limits.items():
        if name not in counts.benchmarks and not counts.skipped:
            hint = did_you_mean(name, counts.benchmarks, f"expected one of {', '.join(counts.benchmarks)}")
            raise GateError(f"[benchmarks] names {name!r}, which the suite does not have{hint}")
        totals = counts.benchmarks[name].totals if name in counts.benchmarks else {}
        for counter, limit in wanted.items():
            if totals and counter not in totals and counter not in RARE and "kernels " not in counter:
                hint = did_you_mean(counter, totals, f"expected one of {', '.join(totals)}")
                raise GateError(f"limits of {name}: {counter!r} is no total of it{hint}")
            if totals.get(counter, 0) > limit:
                yield Excess(name, counter, limit, totals[counter])


RARE = ("kernels", "graph_failures", "onednn_off", "cudnn_off", "deterministic", "anomaly_detection")
"""Only some runs have these totals."""
