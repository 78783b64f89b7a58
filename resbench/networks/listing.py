"""The question `models` lists the networks that there are, or the options of one.

The counts of all networks take half a second, so that they are kept, with a hash of all files that they follow from:
where one of these has changed, they are counted anew. What is kept needs no import of the catalog.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import source_hash
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from resbench.errors import OptionError, UnknownModelError
from resbench.files import cache, keep
from resbench.result import Result
from resbench.tables.table import Column, Table

if TYPE_CHECKING:
    from resbench.arch.catalog import Entry

COUNTED = Path(__file__).parents[1] / "arch"
"""The counts follow from the files in this folder."""

COLUMNS = (
    Column("model", "model"),
    Column("family", "family"),
    Column("input", "input"),
    Column("params", "params", "exact"),
    Column("macs", "MACs", "exact"),
    Column("source", "published in"),
)

NOTES = (
    "{6n+2}: every such depth, resnet20 resnet32 resnet56 resnet110 resnet1202; where ImageNet or a bottleneck "
    "network has it too (resnet50, resnet164), write cifar_resnet50.",
    "Wherever a model is taken: torchvision:NAME, timm:NAME, hf:ID, package.module:factory, file:path.py:factory, "
    "pt2:FILE, onnx:FILE, and the entry points of the group resbench.models.",
    "Options follow commas: resnet56,shortcut=B,width=2,input=3x64x64; `resbench models resnet56` lists them.",
)

DETAILS = (Column("option", "option"), Column("values", "takes"), Column("default", "default"))


class Listed(NamedTuple):
    """This is one network of the catalog; a pattern of names has no counts."""

    model: str
    family: str
    input: str
    params: int | None
    macs: int | None
    source: str


class Choice(NamedTuple):
    """This is one option of a network."""

    option: str
    values: str
    default: str


@dataclass(frozen=True, repr=False)
class Listing(Result):
    """A listing holds the networks of the catalog that contain a word, or the options of the one of that name."""

    listed: tuple[Listed, ...] = ()
    model: str = ""
    source: str = ""
    options: tuple[Choice, ...] = ()

    kind: ClassVar = "models"
    members: ClassVar = "listed"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**document, "listed": document.get("models", ())}

    def tables(self) -> list[Table]:
        if not self.model:
            return [Table(COLUMNS, self.listed, notes=NOTES)]
        note = f"After commas, without spaces: {self.model},input={self.options[-1].default}"
        return [Table(DETAILS, self.options, f"{self.model} ({self.source})", (note,))]


def listing(filter: str = "") -> Listing:
    """List the networks whose name, family or source contains a word, or the options of a whole name.

    Raises OptionError where nothing contains it.
    """
    every = _kept()
    if filter and [one.model for one in every if one.family == filter] in ([], [filter]):
        try:
            return _options(filter)
        except UnknownModelError:
            pass
    found = tuple(one for one in every if filter.lower() in f"{one.model} {one.family} {one.source}".lower())
    if not found:
        raise OptionError(f"no model, family or source contains {filter!r}; `resbench models` lists them all")
    return Listing(found)


def _kept() -> tuple[Listed, ...]:
    """Read the lines of the catalog as they were kept, or count them where its files have changed since."""
    path, key = cache("models.json"), _key()
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path else {}
        if kept["key"] == key:
            return tuple(Listed(*line) for line in kept["listed"])
    except (OSError, ValueError, TypeError, KeyError):
        pass
    from resbench.arch.catalog import entries

    found = tuple(map(_listed, entries().values()))
    keep(path, json.dumps({"key": key, "listed": found}) + "\n")
    return found


def _key() -> str:
    """Hash the files that the counts follow from, as Python knows by it what it has compiled."""
    files = [Path(__file__), *sorted(COUNTED.rglob("*.py"))]
    return source_hash(b"".join(file.name.encode() + file.read_bytes() for file in files)).hex()


def _listed(entry: "Entry") -> Listed:
    from resbench.arch.catalog import architecture

    total = None if "{" in entry.name else architecture(entry.name).totals()
    params, macs = (total.params, total.macs) if total else (None, None)
    return Listed(entry.name, entry.family, "x".join(map(str, entry.input)), params, macs, entry.source)


def _options(name: str) -> Listing:
    from resbench.arch.catalog import find, option_text, options

    entry = find(name)
    choices = [Choice(o.name, o.takes, option_text(o.default)) for o in options(entry)]
    size = Choice("input", "CxHxW", "x".join(map(str, entry.input)))
    return Listing((), entry.name, entry.source, (*choices, size))
