"""The question `models` lists the networks that there are, or the options of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from resbench.arch.catalog import Entry, architecture, entries, find, option_text, options
from resbench.errors import OptionError, UnknownModelError
from resbench.result import Result
from resbench.tables.table import Column, Table

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
    if filter and filter not in {entry.family for entry in entries().values()}:
        try:
            return _options(find(filter))
        except UnknownModelError:
            pass
    every = entries().values()
    found = [one for one in every if filter.lower() in f"{one.name} {one.family} {one.source}".lower()]
    if not found:
        raise OptionError(f"no model, family or source contains {filter!r}; `resbench models` lists them all")
    return Listing(tuple(map(_listed, found)))


def _listed(entry: Entry) -> Listed:
    total = None if "{" in entry.name else architecture(entry.name).totals()
    params, macs = (total.params, total.macs) if total else (None, None)
    return Listed(entry.name, entry.family, "x".join(map(str, entry.input)), params, macs, entry.source)


def _options(entry: Entry) -> Listing:
    choices = [Choice(o.name, " ".join(o.values) or "a whole number", option_text(o.default)) for o in options(entry)]
    size = Choice("input", "CxHxW", "x".join(map(str, entry.input)))
    return Listing((), entry.name, entry.source, (*choices, size))
