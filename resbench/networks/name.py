"""A model's name is parsed once into its parts, and ``str()`` writes it again.

    resnet56,shortcut=B,input=3x64x64,weights=FILE      the catalog's network with its options
    resnet50,weights=timm:resnet50.a1_in1k              the same, with another library's weights
    torchvision:resnet50,num_classes=10                 source:name with what the source's factory takes
    file:net.py:net,input=x=3x8x8,input=ids=9:int64     a forward of several inputs

>>> str(ModelName.parse("resnet56,classes=100,shortcut=B,width=1", "3x64x64"))
'resnet56,shortcut=B,classes=100,input=3x64x64'
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture, find, network, option_pair, options, parse_size
from resbench.errors import OptionError, SourceError, UnknownModelError
from resbench.networks.inputs import NO_BATCH, Input, ModelInput, checked, parse_input, parse_inputs
from resbench.units import legible

BARE = " without BN"
"""This stands behind the name of a network whose BN is taken out of its module."""

VALID = "torchvision:NAME, timm:NAME, hf:NAME, package.module:factory, file:path.py:factory, pt2:path or onnx:path"


@dataclass(frozen=True)
class ModelName:
    """A model's name is a value: two names that say the same of a catalog network are equal.

    ``base`` is the name within its ``source`` (``resnet56``, ``path.py:factory``), which is empty for the catalog and
    else torchvision, timm, hf, file, pt2, onnx, a plugin or a Python module. ``options`` are keys and values as they
    are written: of a catalog network those that are not its defaults, in the catalog's order. ``inputs`` are those of
    one image, and empty where the model's own hold. ``norm`` is ``none`` where the BN of a network that has no option
    for it is taken out of the module. ``weights`` is the file, or the library's network, that those of a catalog
    network come from; empty for random ones.
    """

    base: str
    source: str = ""
    options: tuple[tuple[str, str], ...] = ()
    inputs: tuple[ModelInput, ...] = ()
    norm: str = "bn"
    weights: str = ""

    @classmethod
    def parse(cls, text: str, input: Input = None, *, classes: int | None = None) -> Self:
        """Read a name that a user writes, and check it as far as that needs no code but the catalog's.

        ``input`` comes before what the name says; a catalog network has ``classes`` where it says nothing else. Raises
        UnknownModelError, OptionError, ArchitectureError, and SourceError for a form that no source has.
        """
        name = cls.stored(text)
        if legible(text) != text or "\n" in text.strip():
            raise OptionError(f"expected a model's name of characters that can be printed, received {text[:80]!r}")
        if input is not None:
            given = parse_inputs(input) if name.source else (ModelInput("", parse_input(input)),)
            name = replace(name, inputs=given)
        if name.source:
            return name
        own = find(name.base).input
        if classes and "classes" not in dict(name.options) and _has_option(name.base, "classes"):
            name = replace(name, options=(*name.options, ("classes", str(classes))))
        arch, changed = network(name.base, name.given)
        return replace(name, options=changed, inputs=() if arch.input == own else name.inputs)

    @classmethod
    def stored(cls, text: str) -> Self:
        """Read the name that an earlier result is stored under, which no catalog has to know any more.

        Raises OptionError or SourceError for what is no name at all.
        """
        plain = text.strip()
        head, *items = (part.strip() for part in plain.removesuffix(BARE).split(","))
        source, base = head.split(":", 1) if ":" in head else ("", head)
        if not head or head.startswith(":"):
            raise UnknownModelError(
                f"expected a model's name or its source first, received {text[:80]!r}; see `resbench models`"
            )
        if not base:
            raise SourceError(f"{source}: expected a name after the colon, such as {VALID}")
        inputs: tuple[ModelInput, ...] = ()
        if source:
            said, items = _inputs_in(items)
            inputs = _inputs_of(head, said)
        pairs = [_argument(item) if source else option_pair(base, item) for item in items]
        files = [] if source else [word for key, word in pairs if key == "weights"]
        if len(files) > 1 or "" in files:
            raise OptionError(f"{base}: expected one weights=FILE, received {len(files)} with {files[-1]!r} last")
        twice = [key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i])]
        if twice:
            raise OptionError(f"{head}: the option {twice[0]!r} is given twice; keep one")
        given = dict(pairs)
        if "input" in given:  # of a catalog network
            inputs = (ModelInput("", parse_size(given.pop("input"), f"{base}: input")),)
        weights = "" if source else given.pop("weights", "")
        return cls(
            base,
            source,
            options=tuple(given.items()),
            inputs=inputs,
            norm="none" if plain.endswith(BARE) else "bn",
            weights=weights,
        )

    def __str__(self) -> str:
        weights = [("weights", self.weights)] if self.weights else []
        pairs = (f"{key}={word}" for key, word in (*self.given, *weights))
        return ",".join([self.head, *pairs]) + (BARE if self.norm == "none" else "")

    @property
    def head(self) -> str:
        """This stands before the first comma."""
        return f"{self.source}:{self.base}" if self.source else self.base

    @property
    def given(self) -> tuple[tuple[str, str], ...]:
        """The inputs are options here, the last."""
        return (*self.options, *(("input", one.text) for one in self.inputs))

    @property
    def title(self) -> str:
        """This stands in tables and results: which weights a network starts from changes no count."""
        return str(replace(self, weights=""))

    @property
    def catalogued(self) -> bool:
        """The name is the catalog's, and the network is taken as it stands there."""
        return not self.source and self.norm == "bn"

    @property
    def family(self) -> str:
        """A family is the catalog's, or the source; it is empty for a name that no catalog has."""
        with suppress(UnknownModelError):
            return self.source or find(self.base).family
        return ""

    @property
    def stem_and_depth(self) -> tuple[str, int]:
        """The depth is told apart from the name; it is 0 where there is none.

        >>> [ModelName.stored(n).stem_and_depth for n in ("plain56", "resnet110,shortcut=B", "torchvision:vgg16")]
        [('plain', 56), ('resnet,shortcut=B', 110), ('torchvision:vgg16', 0)]
        """
        match = None if self.source else re.fullmatch(r"([a-z_]+?)(\d+)", self.base)
        return (str(replace(self, base=match[1])), int(match[2])) if match else (str(self), 0)

    def architecture(self) -> Architecture:
        """Build the catalog's network of this name. Raises UnknownModelError, OptionError or ArchitectureError."""
        return network(self.base, self.given)[0]

    def without_norm(self) -> Self:
        """Leave BN out: by the catalog's option where there is one, else it is taken out of the module."""
        if self.source or not _has_option(self.base, "norm"):
            return replace(self, norm="none")
        others = [pair for pair in self.options if pair[0] != "norm"]
        return replace(self, options=network(self.base, [*others, ("norm", "none")])[1])


def names_of(models: Any) -> list[str]:
    """List the names that a caller gives, one or several. Raises OptionError for what is no name."""
    several = [*models] if isinstance(models, Iterable) and not isinstance(models, str | bytes | Node) else [models]
    for one in several:
        if not isinstance(one, str):
            raise OptionError(f"expected the names of models, such as 'resnet50'; received {type(one).__name__}")
    return several


def _inputs_in(items: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part what follows a source's name into the texts of its inputs, and the rest. ``batch=none`` belongs to the input
    that it stands behind."""
    said: list[str] = []
    others: list[str] = []
    behind = False
    for item in items:
        key, _, word = item.partition("=")
        if behind and item == NO_BATCH:
            said[-1] += f",{NO_BATCH}"
        elif behind := key.strip() == "input":
            said.append(word)
        else:
            others.append(item)
    return said, others


def _inputs_of(head: str, said: Sequence[str]) -> tuple[ModelInput, ...]:
    """Read the inputs that a source's name says. Raises OptionError."""
    try:
        return checked([one for text in said for one in parse_inputs(text)])
    except OptionError as error:
        raise OptionError(f"{head}: {error}") from None


def _argument(item: str) -> tuple[str, str]:
    """Split ``key=value``, which goes to the factory of a source. Raises SourceError."""
    key, equals, word = item.partition("=")
    if not equals or not key.strip().isidentifier():
        raise SourceError(f"expected key=value after a comma, received {item!r}")
    return key.strip(), word


def _has_option(base: str, key: str) -> bool:
    return any(option.name == key for option in options(find(base)))
