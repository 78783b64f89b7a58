"""A model's name, parsed once into its parts, and written again by ``str()``.

    resnet56,shortcut=B,input=3x64x64,weights=FILE      the catalog's network with its options
    torchvision:resnet50,num_classes=10                 source:name with what the source's factory takes

>>> str(ModelName.parse("resnet56,classes=100,shortcut=B,width=1", "3x64x64"))
'resnet56,shortcut=B,classes=100,input=3x64x64'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from resbench.arch.catalog import Architecture, Size, find, network, option_pair, options, parse_size
from resbench.errors import OptionError, SourceError, UnknownModelError

Input = str | Iterable[int] | None
"""An input as a caller gives it: ``3x224x224``, its three numbers, or None for the model's own."""

BARE = " without BN"
"""This stands behind the name of a network whose BN is taken out of its module."""

VALID = "torchvision:NAME, timm:NAME, hf:NAME, package.module:factory, file:path.py:factory or pt2:path"


class ModelInput(NamedTuple):
    """One input of a model: its name (empty for the only one), its shape without the batch, and its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


@dataclass(frozen=True)
class ModelName:
    """What a model's name says. Two names that say the same of a catalog network are equal."""

    base: str
    """The name within its source: ``resnet56``, ``path.py:factory``."""
    source: str = ""
    """Empty for the catalog; else torchvision, timm, hf, file, pt2, a plugin, or a Python module."""
    options: tuple[tuple[str, str], ...] = ()
    """Keys and values as they are written: those that differ from the catalog's defaults, in the catalog's order."""
    inputs: tuple[ModelInput, ...] = ()
    """One image; empty where the model's own input holds."""
    norm: str = "bn"
    """``none`` where the BN is taken out of the module, for a network that has no option for it."""
    weights: str = ""
    """The file that the weights of a catalog network come from; empty for random ones."""

    @classmethod
    def parse(cls, text: str, input: Input = None, *, classes: int | None = None) -> Self:
        """The name that a user writes, checked as far as that needs no code but the catalog's.

        ``input`` comes before what the name says; a catalog network has ``classes`` where it says nothing else. Raises
        UnknownModelError, OptionError, ArchitectureError, and SourceError for a form that no source has.
        """
        head, items, norm = _cut(text)
        size = None if input is None else parse_input(input)
        source, colon, base = head.partition(":")
        if colon:
            if not source or not base:
                missing = "a name after" if source else "a source before"
                raise SourceError(f"{source}: expected {missing} the colon, such as {VALID}")
            given = _argument_pairs(head, items)
            size = size or (parse_size(given["input"]) if "input" in given else None)
            passed = tuple((key, word) for key, word in given.items() if key != "input")
            return cls(base, source, passed, _image(size), norm)
        if not head:
            raise UnknownModelError(
                f"expected a model's name before the first comma, received {text[:80]!r}; `resbench models` lists them"
            )
        files = [item.removeprefix("weights=") for item in items if item.startswith("weights=")]
        if len(files) > 1 or "" in files:
            raise OptionError(f"{head}: expected one weights=FILE, received {len(files)} with {files[-1]!r} last")
        pairs = [option_pair(head, item) for item in items if not item.startswith("weights=")]
        entry = find(head)
        if classes and "classes" not in dict(pairs) and _has_option(head, "classes"):
            pairs.append(("classes", str(classes)))
        arch, changed = network(head, pairs)
        size = size or arch.input
        return cls(head, "", changed, _image(size if size != entry.input else None), norm, *files)

    @classmethod
    def stored(cls, text: str) -> Self:
        """The name that an earlier result is stored under, which no catalog has to know any more."""
        head, items, norm = _cut(text)
        source, colon, base = head.partition(":")
        pairs = [(key, word) for key, _, word in (item.partition("=") for item in items)]
        own = {"input"} if colon else {"input", "weights"}
        given = dict(pairs)
        return cls(
            base if colon else head,
            source if colon else "",
            tuple(pair for pair in pairs if pair[0] not in own),
            _image(parse_size(given["input"]) if "input" in given else None),
            norm,
            "" if colon else given.get("weights", ""),
        )

    def __str__(self) -> str:
        pairs = [*self.options, *(("input", "x".join(map(str, one.shape))) for one in self.inputs)]
        if self.weights:
            pairs.append(("weights", self.weights))
        head = f"{self.source}:{self.base}" if self.source else self.base
        return ",".join([head, *(f"{key}={word}" for key, word in pairs)]) + (BARE if self.norm == "none" else "")

    @property
    def title(self) -> str:
        """The name that stands in tables and results: which weights a network starts from changes no count."""
        return str(replace(self, weights=""))

    @property
    def catalogued(self) -> bool:
        """Whether the name is the catalog's, of a network that is taken as it stands there."""
        return not self.source and self.norm == "bn"

    @property
    def family(self) -> str:
        """The catalog's family, or the source; empty for a name that no catalog has."""
        with suppress(UnknownModelError):
            return self.source or find(self.base).family
        return ""

    @property
    def stem_and_depth(self) -> tuple[str, int]:
        """The name without its depth, and the depth; 0 where it has none.

        >>> [ModelName.stored(n).stem_and_depth for n in ("plain56", "resnet110,shortcut=B", "torchvision:vgg16")]
        [('plain', 56), ('resnet,shortcut=B', 110), ('torchvision:vgg16', 0)]
        """
        match = None if self.source else re.fullmatch(r"([a-z_]+?)(\d+)", self.base)
        return (str(replace(self, base=match[1])), int(match[2])) if match else (str(self), 0)

    def architecture(self) -> Architecture:
        """The catalog's network of this name. Raises UnknownModelError, OptionError or ArchitectureError."""
        resized = [("input", "x".join(map(str, one.shape))) for one in self.inputs]
        return network(self.base, [*self.options, *resized])[0]

    def without_norm(self) -> Self:
        """The same network without its BN: by the catalog's option where it has one, else taken out of the module."""
        if self.source or not _has_option(self.base, "norm"):
            return replace(self, norm="none")
        kept = [pair for pair in self.options if pair[0] != "norm"]
        return replace(self, options=network(self.base, [*kept, ("norm", "none")])[1])


def parse_input(input: str | Iterable[int]) -> Size:
    """``3x224x224`` or its three numbers. Raises OptionError."""
    parts = [input] if isinstance(input, str) or not isinstance(input, Iterable) else input
    return parse_size("x".join(map(str, parts)))


def _cut(text: str) -> tuple[str, list[str], str]:
    """What stands before the first comma, what stands between the others, and the normalisation."""
    text = text.strip()
    head, *items = text.removesuffix(BARE).split(",")
    return head, items, "none" if text.endswith(BARE) else "bn"


def _argument_pairs(head: str, items: Iterable[str]) -> dict[str, str]:
    """What goes to the factory of a source, by name."""
    given: dict[str, str] = {}
    for item in items:
        key, equals, word = item.partition("=")
        if not equals or not key.isidentifier():
            raise SourceError(f"expected key=value after a comma, received {item!r}")
        if key in given:
            raise OptionError(f"{head}: the option {key!r} is given twice; keep one")
        given[key] = word
    return given


def _image(size: Size | None) -> tuple[ModelInput, ...]:
    return (ModelInput("", size),) if size else ()


def _has_option(base: str, key: str) -> bool:
    return any(option.name == key for option in options(find(base)))
