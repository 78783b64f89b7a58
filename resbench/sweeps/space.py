"""A space is the networks that a sweep draws from: lines of the catalog, whose options have values or ranges.

    [[networks]]                                  # several stand side by side: a union
    model = "resnet{depth}"                       # a name of `resbench models`, its depth perhaps among the options
    depth = { from = 8, to = 110, step = 6 }
    width = { from = 1, to = 4, scale = "powers of two" }
    order = ["original", "full-preact"]
    input = "3x16x16"
    weight = 2                                    # drawn twice as often as another that says nothing

    [[networks]]
    model = "file:space.py:network"               # runs its code: a function of options that gives an expression
    layers = { from = 2, to = 9 }

A draw is a pure function of seed and index: each option has a random number of its own, so that one that is added, or a
range that grows, leaves the draws of the others where they were.

>>> space = Space.of("residual")
>>> space.drawn(seed=0, index=0) == space.drawn(seed=0, index=0)
True
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import blake2b
from importlib.resources import files
from itertools import count, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from resbench.arch.catalog import Architecture, find, network, option_text, options
from resbench.errors import ArchitectureError, OptionError, ResbenchError, ShapeError, SourceError, did_you_mean
from resbench.files import is_file
from resbench.sweeps.choices import Choice, Value, common, read

MOST_DRAWS = 10_000
"""After so many draws in a row that do not fit, there is most likely none that does."""

Fits = Callable[[Architecture], bool]
"""It tells whether a network is within the limits."""

Draw = tuple[Any, ...]
"""A draw is the place of a line in its space, and a value for each of the line's options."""


class Point(NamedTuple):
    """A point of a space is a network, and the values that gave it."""

    network: Architecture
    model: str
    """The line of the catalog, as the space has it: ``resnet{depth}``."""
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Networks:
    """These networks are one line of the catalog, with a choice for some of its options."""

    model: str
    choices: Mapping[str, Choice]
    weight: float = 1.0

    @property
    def fields(self) -> list[str]:
        """These options stand in the name: ``depth`` of ``resnet{depth}``."""
        return _fields(self.model)

    def name(self, values: Mapping[str, Value]) -> tuple[str, list[tuple[str, str]]]:
        """Return the plain name and its options for these values."""
        words = {key: option_text(value) for key, value in values.items()}
        plain = self.model.format(**{key: words.pop(key) for key in self.fields})
        return plain, [*words.items()]

    def text(self, values: Mapping[str, Value]) -> str:
        """Write the name of the network of these values as a command takes it, every option said."""
        plain, given = self.name(values)
        return ",".join([plain, *("=".join(one) for one in given)])

    def built(self, values: Mapping[str, Value]) -> Architecture:
        """Build the network of these values. Raises ArchitectureError where they do not go together, and SourceError
        where a file's function fails.
        """
        return _made(self.text(values)) if self.runs_code else network(*self.name(values))[0]

    @property
    def runs_code(self) -> bool:
        """Tell whether a Python file makes its networks: ``file:space.py:function``."""
        return self.model.startswith("file:")


def _made(text: str) -> Architecture:
    """Let a function of a file make a network, under the name by which every command makes it again."""
    from resbench.networks.load import load

    try:
        found = load(text)
    except (ArchitectureError, ShapeError):
        raise
    except ResbenchError as error:  # of what the function calls of ours, too
        raise SourceError(str(error)) from None
    if found.architecture is None:
        raise SourceError(f"{text} gives a module: expected an architecture, or an expression of layers")
    return replace(found.architecture, name=text)


@dataclass(frozen=True)
class Space:
    """A space is a union of networks, under a name."""

    name: str
    networks: tuple[Networks, ...]

    @classmethod
    def of(cls, text: str) -> "Space":
        """Find the space of a name, or read that of a TOML file. Raises OptionError or SourceError."""
        built_in = built_ins()
        if text in built_in:
            return cls.read(text, built_in[text])
        if not text.endswith(".toml"):
            hint = did_you_mean(text, built_in, f"expected {', '.join(built_in)} or a file such as space.toml")
            raise OptionError(f"no space is called {text!r}{hint}")
        path = Path(text)
        if not is_file(path):
            raise SourceError(f"no file {text}; expected a space as TOML, or {', '.join(built_in)}")
        return cls.read(path.stem, path.read_bytes(), text)

    @classmethod
    def read(cls, name: str, content: bytes, file: str = "") -> "Space":
        """Read a space, and build a network of each line, so that what cannot be is said before anything is drawn."""
        where = file or name
        try:
            document = tomllib.loads(content.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SourceError(
                f"{where}: cannot be read as TOML: {error}; expected tables [[networks]] with a model and its options"
            ) from None
        lines = document.pop("networks", None)
        if document or not isinstance(lines, list) or not lines or not all(isinstance(one, dict) for one in lines):
            received = f"received {', '.join(map(repr, document))}" if document else f"received {lines!r:.60}"
            received = "there is none" if lines is None and not document else received
            raise SourceError(f"{where}: a space is tables [[networks]] and nothing else; {received}")
        return cls(name, tuple(_networks(f"{where}, networks {i + 1}", line) for i, line in enumerate(lines)))

    def draw(self, seed: int, index: int, attempt: int) -> Draw:
        """Draw a line and a value for each of its options."""
        place = f"{seed}/{index}/{attempt}"
        number = self._line(_share(place, ""))
        choices = self.networks[number].choices.items()
        return number, *(choice.drawn(partial(_share, f"{place}/{key}")) for key, choice in choices)

    def combined(self) -> Iterator[Draw]:
        """Yield a draw for each combination of values. Raises OptionError for a choice of real numbers."""
        for number, line in enumerate(self.networks):
            for values in product(*(choice.values() for choice in line.choices.values())):
                yield number, *values

    def values(self, draw: Draw) -> tuple[Networks, Mapping[str, Value]]:
        """Return the line of a draw, and its values by their options."""
        line = self.networks[draw[0]]
        return line, dict(zip(line.choices, draw[1:], strict=True))

    def point(self, draw: Draw, fits: Fits = lambda one: True) -> Point:
        """Build the network of a draw. Raises ArchitectureError or ShapeError where it cannot exist or does not fit,
        and SourceError where a file's function fails.
        """
        line, values = self.values(draw)
        found = line.built(values)
        if not fits(found):
            raise ArchitectureError(f"{found.name} is outside of the limits")
        return Point(found, line.model, values)

    def drawn(self, seed: int, index: int, fits: Fits = lambda one: True) -> Point:
        """Draw until a network can exist and fits. Raises OptionError when MOST_DRAWS gave none."""
        why = ""
        for attempt in range(MOST_DRAWS):
            try:
                return self.point(self.draw(seed, index, attempt), fits)
            except (ArchitectureError, ShapeError, SourceError) as error:
                why = str(error)
        raise self.empty(why)

    def empty(self, why: str, tried: str = f"{MOST_DRAWS:,} draws") -> OptionError:
        """Say that there are no networks in what was tried of it, and what the last draw gave instead."""
        return OptionError(f"the space {self.name} gave no network within the limits in {tried}; {why}")

    def distinct(self, seed: int, fits: Fits = lambda one: True) -> Iterator[Point]:
        """Draw networks one after the other, each only once, until no others come."""
        seen, again = set[str](), 0
        for index in count():
            one = self.drawn(seed, index, fits)
            again += 1
            if one.network.name not in seen:
                seen.add(one.network.name)
                again = 0
                yield one
            elif again >= MOST_DRAWS:
                return

    @cached_property
    def kinds(self) -> Mapping[str, type]:
        """Return the type that holds all values of each option."""
        every: dict[str, list[type]] = {}
        for line in self.networks:
            for key, choice in line.choices.items():
                every.setdefault(key, []).append(choice.kind)
        return {key: common(kinds) for key, kinds in every.items()}

    @property
    def size(self) -> int | None:
        """Count the combinations of all values, also those that cannot exist; None where there are real numbers."""
        try:
            return sum(prod(len(one.values()) for one in line.choices.values()) for line in self.networks)
        except OptionError:
            return None

    def _line(self, share: float) -> int:
        """Choose a line by its weight, and return its place."""
        left = share * sum(line.weight for line in self.networks)
        for number, line in enumerate(self.networks[:-1]):
            if left < line.weight:
                return number
            left -= line.weight
        return len(self.networks) - 1


def built_ins() -> Mapping[str, bytes]:
    """Return the spaces that come with the package, by name."""
    spaces = sorted((files(__package__) / "spaces").iterdir(), key=lambda one: one.name)
    return {one.name.removesuffix(".toml"): one.read_bytes() for one in spaces}


def _share(place: str, key: str) -> float:
    """Return a number from 0 to just below 1 that belongs to a place and a key, whatever the version and machine."""
    digest = blake2b(f"{place}{key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _networks(where: str, line: dict[str, Any]) -> Networks:
    """Read one line of a space, each option of which the catalog has to know. Raises OptionError or SourceError."""
    given = dict(line)
    model, weight = given.pop("model", None), given.pop("weight", 1.0)
    if not isinstance(model, str) or "," in model or not re.fullmatch(r"(?:[^{}]|\{[^\W\d]\w*\})+", model):
        raise SourceError(f'{where}: expected model = "resnet{{depth}}", or another name; received {model!r}')
    if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 < weight < float("inf"):
        raise OptionError(f"{where}: expected a weight above 0, received {weight!r}")
    choices = {key: read(f"{where}: {key}", value) for key, value in given.items()}
    for key in _fields(model):
        if key not in choices:
            raise OptionError(f"{where}: {model} needs values for {key}; expected {key} = [...] or {{from, to}}")
    found = Networks(model, choices, float(weight))
    _checked(where, found)
    return found


def _checked(where: str, line: Networks) -> None:
    """Try the first value of each choice against the catalog. Raises OptionError."""
    first = {key: choice.at(0.0) for key, choice in line.choices.items()}
    plain, _ = line.name(first)
    if line.runs_code:
        try:
            line.built(first)
        except ResbenchError as error:
            raise OptionError(f"{where}: {error}") from None
        return
    try:
        known = {option.name: option for option in options(find(plain))}
        for key, choice in line.choices.items():
            if key in line.fields:
                continue
            if key == "input":
                network(plain, [(key, option_text(choice.at(0.0)))])
                continue
            if key not in known:
                hint = did_you_mean(key, known, f"expected {', '.join(known)}")
                raise OptionError(f"unknown option {key!r}{hint}")
            words = choice.values() if known[key].values else (choice.at(0.0), choice.at(1 - 2**-53))
            for word in words:
                network(plain, [(key, option_text(word))])
    except ArchitectureError:
        return  # this depth goes with other values
    except ResbenchError as error:
        raise OptionError(f"{where}: {error}") from None


def _fields(model: str) -> list[str]:
    """Return the options that stand in a name: ``depth`` of ``resnet{depth}``."""
    return [part.partition("}")[0] for part in model.split("{")[1:]]
