"""A TOML file beside the benchmarks says what a gate runs, and what it lets pass.

files = ["bench_gate.py"]                  # relative to this file, as all paths here
pythonpath = [".."]                        # where the code under test is imported from
expectations = "../results/expectations"   # the committed counters
build = "python setup.py build_ext -i"     # run once in each side
threads = 1                                # of torch, on the CPU
margin = 0.01                              # slower by less is not a regression
target = 0.05                              # a benchmark passes only where as much would have been seen
unpaired = ["test_new"]                    # on one side only, and that is meant; a file stands for all in it

[benchmarks."test_block[basic]"]
margin = 0.02
limits = { peak_bytes = 50_000_000 }       # counters: totals that must not be above
"""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resbench.errors import GateError, did_you_mean
from resbench.regression.verdict import GateRules

SUITE = Path("suites/ci.toml")

LARGEST = 10.0
"""A margin above it is a slip: 5 for 5 %."""

Check = tuple[Callable[[Any], bool], str]
STRINGS: Check = (lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value), "a list of strings")
STRING: Check = (lambda value: isinstance(value, str), "a string")
SHARE: Check = (
    lambda value: type(value) in (int, float) and 0 < value < LARGEST,
    "a fraction above 0, such as 0.01 for 1 %",
)
TAKES: dict[str, Check] = {
    "files": STRINGS,
    "pythonpath": STRINGS,
    "expectations": STRING,
    "build": STRING,
    "threads": (lambda value: type(value) is int and value >= 1, "an integer of at least 1"),
    "margin": SHARE,
    "target": SHARE,
    "unpaired": STRINGS,
}
"""Each entry has to pass a check, and an error says in these words what the entry takes."""


@dataclass(frozen=True)
class Suite:
    """A suite is the file's content; ``path`` says where the file lies in a tree.

    ``rules`` are those of its duel, and ``limits`` those of totals, by benchmark.
    """

    path: Path
    files: list[str]
    pythonpath: list[str] = field(default_factory=lambda: ["."])
    expectations: str = "expectations"
    build: str = ""
    threads: int = 1
    rules: GateRules = field(default_factory=GateRules)
    unpaired: list[str] = field(default_factory=list)
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def stored(self, root: Path) -> Path:
        """Return the path of a tree's committed counters."""
        return root / self.path.parent / self.expectations / f"{self.path.stem}.json"


def read(root: Path, path: Path) -> Suite:
    """Read the suite of the tree at ``root``. Raises GateError for a file that is missing, no TOML, or malformed."""
    try:
        content = tomllib.loads((root / path).read_text(encoding="utf-8"))
    except OSError as error:
        raise GateError(
            f"cannot read {path}: {error.strerror}; expected the suite of a gate, such as files = [...] in {SUITE}"
        ) from None
    except ValueError as error:
        raise GateError(
            f"{path} is not TOML: {error}; expected the suite of a gate, such as files = [...] in {SUITE}"
        ) from None
    _check(path, content, [*TAKES, "benchmarks"])
    special = content.pop("benchmarks", {})
    if not isinstance(special, dict) or not all(isinstance(v, dict) for v in special.values()):
        raise GateError(f"{path}: expected a table [benchmarks.NAME], received {special!r}")
    for name, entry in special.items():
        _check(path, entry, ["margin", "limits"], f"benchmarks.{name}: ")
        limits = entry.get("limits", {})
        if not isinstance(limits, dict) or not all(type(v) is int for v in limits.values()):
            raise GateError(f"{path}: expected limits = {{ COUNTER = INTEGER }}, received {limits!r}")
    if not content.get("files"):
        raise GateError(f'{path}: expected files = ["bench_....py", ...], received none')
    rules = GateRules(
        margins={name: entry["margin"] for name, entry in special.items() if "margin" in entry},
        **{name: content.pop(name) for name in ("margin", "target") if name in content},
    )
    largest = max([rules.margin, *rules.margins.values()])
    if largest >= rules.target:
        raise GateError(f"{path}: expected margins below the target of {rules.target:g}, received {largest:g}")
    limits = {name: entry.get("limits", {}) for name, entry in special.items()}
    return Suite(path, rules=rules, limits=limits, **content)


def _check(path: Path, entries: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
    """Raise GateError for an entry of another name, or with a value that it does not take."""
    for name, value in entries.items():
        if name not in known:
            hint = did_you_mean(name, known, f"expected {', '.join(known)}")
            raise GateError(f"{path}: {where}{name!r} is not known{hint}")
        if name in TAKES and not TAKES[name][0](value):
            raise GateError(f"{path}: {name} takes {TAKES[name][1]}; received {value!r}")
