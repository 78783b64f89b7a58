"""name -> architecture: one line per row of a paper's table, and options after commas.

>>> net = architecture("resnet56,shortcut=B,classes=100")
>>> net.name, net.input, net.source
('resnet56,shortcut=B,classes=100', (3, 32, 32), 'He et al. 2015, sec. 4.2')

The keyword-only parameters of the function that builds a network *are* its options.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from inspect import Parameter, signature
from pkgutil import iter_modules
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from resbench.arch import families
from resbench.arch.acyclic import acyclic, remembered
from resbench.arch.algebra import Node
from resbench.arch.cost import cost
from resbench.arch.entry import Entry as Entry
from resbench.arch.entry import Renames as Renames
from resbench.arch.entry import Size as Size
from resbench.arch.fields import MAX_SIZE
from resbench.arch.rows import Cost, Mode, Row
from resbench.arch.totals import totals
from resbench.errors import ArchitectureError, OptionError, UnknownModelError


@dataclass(frozen=True)
class Architecture:
    """It is a named expression, with the input (C, H, W) that it is meant for, and where it was published."""

    name: str
    body: Node
    input: Size
    source: str

    def cost(self, *, batch: int = 1, mode: Mode = "inference") -> Cost:
        """Its rows are counted for this input; see ``resbench.arch.cost``."""
        return cost(self.body, self.input, batch=batch, model=self.name, source="catalog", mode=mode)

    def totals(self, *, batch: int = 1, mode: Mode = "inference") -> Row:
        """They are summed for this input; see ``resbench.arch.totals``."""
        return totals(self.body, self.input, batch=batch, model=self.name, mode=mode)

    def __str__(self) -> str:
        return f"{self.name} = {self.body}"


class Option(NamedTuple):
    """An option is a keyword of the building function, as a user writes it."""

    name: str
    values: tuple[str, ...]
    """It takes these words; where there are none, a number of the kind of its default, or several."""
    default: Any
    least: int
    """A number is not below this: 1, or what the function itself has where nobody says."""

    @property
    def takes(self) -> str:
        """Say in words what it takes."""
        numbers = {float: "a number", tuple: "whole numbers, such as 2-4-8"}
        return " ".join(self.values) or numbers.get(type(self.default), "a whole number")


@cache
def _files() -> tuple[str, ...]:
    """The files of families are called so."""
    return tuple(sorted(module.name for module in iter_modules(families.__path__)))


@cache
def _lines(file: str) -> Mapping[str, Entry]:
    """Import a file, and give its lines by name."""
    return {entry.name: entry for entry in import_module(f"{families.__name__}.{file}").ENTRIES}


MOST_NUMBERS = 64
"""An option that takes several numbers takes no more."""

LAST = {"lesson": 1, "block": 2}
"""These families stand behind the networks, in this order."""


@cache
def entries() -> Mapping[str, Entry]:
    """The catalog holds these lines by name, patterns included: networks, lessons, blocks."""
    every = [entry for file in _files() for entry in _lines(file).values()]
    return {entry.name: entry for entry in sorted(every, key=lambda entry: LAST.get(entry.family, 0))}


@cache
def renames() -> tuple[Renames, ...]:
    """Other libraries' names of layers become ours by one of these: the ``NAMES`` of every file that has some."""
    files = [import_module(f"{families.__name__}.{file}") for file in _files()]
    return tuple(way for file in files for way in getattr(file, "NAMES", ()))


@remembered(1024)
def find(name: str) -> Entry:
    """A plain name has this entry; a depth is bound into its pattern. Raises UnknownModelError.

    A file whose own name is within it is imported before the others.
    """
    depth = re.fullmatch(r"(?:cifar_)?([a-z_]+?)([1-9][0-9]{0,8})", name)
    pattern = f"{depth[1]}{{6n+2}}" if depth else ""
    for file in sorted(_files(), key=lambda file: (file not in name, -len(file))):
        lines = _lines(file)
        if name in lines and "{" not in name:
            return lines[name]
        if depth and pattern in lines:
            return lines[pattern]._replace(name=name, build=partial(lines[pattern].build, int(depth[2])))
    known = [n for n in entries() if "{" not in n]
    begun = [n for n in known if n.startswith(name.lower())]
    near = begun[:3] or get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`resbench models` lists what there is"
    raise UnknownModelError(f"unknown model {name[:80]!r}; {hint}")


def options(entry: Entry) -> tuple[Option, ...]:
    """These may follow the name: the keyword-only parameters of the function behind it."""
    return _options(entry.build.func, tuple(entry.build.keywords.items()))


@cache
def _options(build: Callable[..., Node], bound: tuple[tuple[str, Any], ...]) -> tuple[Option, ...]:
    """Read them from its signature; those that are bound have other defaults."""
    hints = get_type_hints(build)
    return tuple(
        Option(
            name,
            ("yes", "no")
            if hints[name] is bool
            else get_args(hints[name])
            if get_origin(hints[name]) is Literal
            else (),
            parameter.default,
            _least(signature(build).parameters[name].default),
        )
        for name, parameter in signature(partial(build, **dict(bound))).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    )


def _least(default: Any) -> int:
    if type(default) is not int:
        return 1
    return min(default, 1) if default >= 0 else -1000


def architecture(text: str) -> Architecture:
    """``name,option=value,...`` says this network, which has its canonical name.

    Raises UnknownModelError, OptionError, or ArchitectureError where the values do not go together.
    """
    name, *given = (part.strip() for part in text.split(","))
    return network(name, (option_pair(name, item) for item in given))[0]


def option_pair(model: str, item: str) -> tuple[str, str]:
    """``key=value`` as its two parts. Raises OptionError, or UnknownModelError."""
    key, equals, word = item.partition("=")
    if not equals or not key.strip():
        find(model)  # a name that nobody knows is said first
        raise OptionError(f"{model}: expected option=value, received {item[:80]!r}; see `resbench models {model}`")
    return key.strip(), word.strip()


@acyclic
def network(name: str, given: Iterable[tuple[str, str]]) -> tuple[Architecture, tuple[tuple[str, str], ...]]:
    """The network of a plain name with these options, and those of them that are not its defaults, in its order.

    ``input`` is one of the options that may be given; what comes back has it in the architecture alone. Raises as
    ``architecture`` does.
    """
    entry = find(name)
    available = {option.name: option for option in options(entry)}
    words: dict[str, str] = {}
    values: dict[str, Any] = {}
    size = entry.input
    for key, word in given:
        if key in words:
            raise OptionError(f"{name}: the option {key!r} is given twice; keep one")
        words[key] = word
        if key == "input":
            size = parse_size(word, f"{name}: input")
        elif key in available:
            values[key] = _value(name, available[key], word)
        else:
            raise OptionError(f"{name}: unknown option {key[:80]!r}; expected {_one_of([*available, 'input'])}")
    changed = tuple((o.name, values[o.name]) for o in available.values() if values.get(o.name, o.default) != o.default)
    try:
        body = _body(name, changed)
    except ArchitectureError as error:
        raise ArchitectureError(f"{_joined(name, words.items())}: {error}") from None
    written = tuple((key, option_text(value)) for key, value in changed)
    resized = [("input", "x".join(map(str, size)))] if size != entry.input else []
    return Architecture(_joined(name, [*written, *resized]), body, size, entry.source), written


@remembered(64)
def _body(name: str, options: tuple[tuple[str, Any], ...]) -> Node:
    """Build a network; a name is read, and checked by that, a moment before it is asked for its architecture."""
    return find(name).build(**dict(options))


def _joined(name: str, given: Iterable[tuple[str, str]]) -> str:
    return ",".join([name, *(f"{key}={word}" for key, word in given)])


def parse_size(word: str, what: str = "input") -> Size:
    """``3x224x224`` is read as (3, 224, 224). Raises OptionError."""
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})x([0-9]{1,9})", word)
    sizes = tuple(int(side) for side in match.groups()) if match else ()
    if len(sizes) != 3 or not all(1 <= side <= MAX_SIZE for side in sizes):
        raise OptionError(
            f"{what}: expected CxHxW, each from 1 to {MAX_SIZE}, such as 3x224x224; received {word[:80]!r}"
        )
    return sizes


def _value(model: str, option: Option, word: str) -> Any:
    if option.values:
        if word not in option.values:
            raise OptionError(f"{model}: {option.name} takes {_one_of(option.values)}; received {word[:80]!r}")
        return word == "yes" if isinstance(option.default, bool) else word
    if isinstance(option.default, tuple):
        parts = word.split("-")
        if len(parts) > MOST_NUMBERS:
            raise OptionError(f"{model}: {option.name} takes at most {MOST_NUMBERS} numbers; received {len(parts)}")
        return tuple(_whole(model, option, part) for part in parts)
    if isinstance(option.default, float):
        if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,12})?", word):
            raise OptionError(f"{model}: {option.name} takes a number such as 2.5; received {word[:80]!r}")
        return float(word)
    return _whole(model, option, word)


def _whole(model: str, option: Option, word: str) -> int:
    """Read a whole number. Raises OptionError."""
    if not re.fullmatch(r"-?[0-9]{1,9}", word) or not option.least <= int(word) <= MAX_SIZE:
        raise OptionError(
            f"{model}: {option.name} takes a whole number from {option.least} to {MAX_SIZE}; received {word[:80]!r}"
        )
    return int(word)


def option_text(value: object) -> str:
    """A value is written like this after the equals sign."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
