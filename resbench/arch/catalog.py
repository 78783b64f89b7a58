"""name -> architecture: one line per row of a paper's table, and options after commas.

>>> net = architecture("resnet56,shortcut=B,classes=100")
>>> net.name, net.input, net.source
('resnet56,shortcut=B,classes=100', (3, 32, 32), 'He et al. 2015, sec. 4.2')

The keyword-only parameters of the function that builds a network *are* its options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from inspect import Parameter, signature
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from resbench.arch import blocks, examples, inception, resnet, vgg
from resbench.arch.algebra import Node
from resbench.arch.cost import Cost, Mode, cost
from resbench.arch.fields import MAX_SIZE
from resbench.arch.orders import Order
from resbench.errors import ArchitectureError, OptionError, UnknownModelError

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """A named network: its expression, the input (C, H, W) that it is meant for, and where it was published."""

    name: str
    body: Node
    input: Size
    source: str

    def cost(self, *, batch: int = 1, mode: Mode = "inference") -> Cost:
        """Rows for this input; see ``resbench.arch.cost``."""
        return cost(self.body, self.input, batch=batch, model=self.name, source="catalog", mode=mode)

    def __str__(self) -> str:
        return f"{self.name} = {self.body}"


class Entry(NamedTuple):
    """One line of the catalog. A pattern such as ``resnet{6n+2}`` stands for every depth."""

    name: str
    family: str
    build: Callable[..., Node]
    input: Size
    source: str


class Option(NamedTuple):
    """A keyword of the building function, as a user writes it."""

    name: str
    values: tuple[str, ...]
    """The words that it takes; empty for a whole number."""
    default: Any
    kind: type


IMAGENET: Size = (3, 224, 224)
CIFAR: Size = (3, 32, 32)

_HE15, _HE16 = "He et al. 2015", "He et al. 2016"
_SZEGEDY = "Szegedy et al. 2014"
_PREACT: Order = "full-preact"


def _catalog() -> Iterator[Entry]:
    imagenet, cifar = resnet.imagenet_resnet, resnet.cifar_resnet
    for depth in (18, 34):
        yield Entry(f"plain{depth}", "plain", partial(resnet.imagenet_plain, depth), IMAGENET, f"{_HE15}, Table 2")
    for depth in (18, 34, 50, 101, 152):
        yield Entry(f"resnet{depth}", "resnet", partial(imagenet, depth), IMAGENET, f"{_HE15}, Table 1")
    for depth in (18, 34, 50, 101, 152, 200):
        build = partial(imagenet, depth, order=_PREACT)
        yield Entry(f"preact_resnet{depth}", "preact_resnet", build, IMAGENET, f"{_HE16}, Table 5")
    for depth, groups, width in ((50, 32, 4), (101, 32, 8), (101, 64, 4)):
        build = partial(imagenet, depth, groups=groups, group_width=width)
        yield Entry(f"resnext{depth}_{groups}x{width}d", "resnext", build, IMAGENET, "Xie et al. 2017, Table 1")
    for depth in (50, 101):
        build = partial(imagenet, depth, group_width=128)
        yield Entry(f"wide_resnet{depth}_2", "wide_resnet", build, IMAGENET, "Zagoruyko & Komodakis 2016, Table 8")
    yield Entry("plain{6n+2}", "plain", resnet.cifar_plain, CIFAR, f"{_HE15}, sec. 4.2")
    yield Entry("resnet{6n+2}", "resnet", cifar, CIFAR, f"{_HE15}, sec. 4.2")
    yield Entry("preact_resnet{6n+2}", "preact_resnet", partial(cifar, order=_PREACT), CIFAR, f"{_HE16}, Table 2")
    for depth in (164, 1001):
        # the two published bottleneck networks; cifar_resnet164 is the basic-block one of that depth
        build = partial(cifar, depth, block="bottleneck", shortcut="B")
        yield Entry(f"resnet{depth}", "resnet", build, CIFAR, f"{_HE16}, Table 3")
        build = partial(build, order=_PREACT)
        yield Entry(f"preact_resnet{depth}", "preact_resnet", build, CIFAR, f"{_HE16}, Table 3")
    for depth in vgg.CONVS:
        for suffix, bn in (("", False), ("_bn", True)):
            build = partial(vgg.vgg, depth, bn)
            yield Entry(f"vgg{depth}{suffix}", "vgg", build, IMAGENET, "Simonyan & Zisserman 2014, Table 1")
    yield Entry("googlenet", "inception", inception.googlenet, IMAGENET, f"{_SZEGEDY}, Table 1")
    yield Entry("inception_v3", "inception", inception.inception_v3, (3, 299, 299), "Szegedy et al. 2015, Table 1")

    def lesson(name: str, build: Callable[..., Node], size: Size, source: str) -> Entry:
        return Entry(name, "lesson", build, size, source)

    yield lesson("conv5x5_direct", examples.conv5x5_direct, (192, 28, 28), f"{_SZEGEDY}, sec. 5")
    yield lesson("conv5x5_reduced", examples.conv5x5_reduced, (192, 28, 28), f"{_SZEGEDY}, sec. 5")
    yield lesson("inception_naive", examples.inception_3a_naive, (192, 28, 28), f"{_SZEGEDY}, figure 2a")
    yield lesson("inception_reduced", examples.inception_3a_reduced, (192, 28, 28), f"{_SZEGEDY}, figure 2b")
    yield lesson("two_3x3_64", partial(examples.two_3x3, 64), (64, 56, 56), f"{_HE15}, figure 5")
    yield lesson("two_3x3_256", partial(examples.two_3x3, 256), (256, 56, 56), f"{_HE15}, figure 5")
    yield lesson("bottleneck_256", examples.bottleneck_256, (256, 56, 56), f"{_HE15}, figure 5")
    yield lesson("conv1x1", examples.conv1x1, (64, 56, 56), "arithmetic")
    yield lesson("conv3x3", examples.conv3x3, (64, 56, 56), "arithmetic")

    def block(name: str, build: Callable[..., Node], size: Size, source: str) -> Entry:
        return Entry(name, "block", build, size, source)

    yield block("plain_block", partial(blocks.plain_block, 64, 64), (64, 56, 56), f"{_HE15}, figure 3")
    yield block("basic_block", partial(blocks.basic_block, 64, 64), (64, 56, 56), f"{_HE15}, figure 5")
    yield block("basic_block_down", partial(blocks.basic_block, 64, 128, 2), (64, 56, 56), f"{_HE15}, figure 3")
    yield block("bottleneck_block", partial(blocks.bottleneck_block, 256, 64), (256, 56, 56), f"{_HE15}, figure 5")
    build = partial(blocks.bottleneck_block, 256, 128, 2)
    yield block("bottleneck_block_down", build, (256, 56, 56), f"{_HE15}, Table 1")
    build = partial(blocks.basic_block, 64, 64, order=_PREACT)
    yield block("preact_basic_block", build, (64, 56, 56), f"{_HE16}, figure 4e")
    build = partial(blocks.bottleneck_block, 256, 64, order=_PREACT)
    yield block("preact_bottleneck_block", build, (256, 56, 56), f"{_HE16}, figure 4e")
    yield block("resnext_block", partial(blocks.resnext_block, 256, 128), (256, 56, 56), "Xie et al. 2017, figure 3c")
    yield block("se_block", partial(blocks.se_block, 64, 64), (64, 56, 56), "Hu et al. 2018, figure 3")
    for letter, args, size in (
        ("a", (192, 32), (192, 35, 35)),
        ("b", (288,), (288, 35, 35)),
        ("c", (768, 128), (768, 17, 17)),
        ("d", (768,), (768, 17, 17)),
        ("e", (1280,), (1280, 8, 8)),
    ):
        build = partial(getattr(inception, f"inception_{letter}"), *args)
        yield block(f"inception_{letter}", build, size, "Szegedy et al. 2015, Table 1")
    build = partial(inception.residual_inception_block, 384)
    yield block("residual_inception_block", build, (384, 35, 35), "Szegedy et al. 2016, figure 16")


@cache
def entries() -> Mapping[str, Entry]:
    """Every line of the catalog by name, patterns included."""
    return {entry.name: entry for entry in _catalog()}


def find(name: str) -> Entry:
    """The entry of a plain name; a depth is bound into its pattern. Raises UnknownModelError."""
    known = entries()
    if name in known and "{" not in name:
        return known[name]
    family = re.fullmatch(r"(?:cifar_)?([a-z_]+?)([1-9][0-9]{0,8})", name)
    pattern = known.get(f"{family[1]}{{6n+2}}") if family else None
    if family is None or pattern is None:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), [n for n in known if "{" not in n], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`resbench models` lists what there is"
        raise UnknownModelError(f"unknown model {name[:80]!r}; {hint}")
    return pattern._replace(name=name, build=partial(pattern.build, int(family[2])))


def options(entry: Entry) -> tuple[Option, ...]:
    """What may follow the name: the keyword-only parameters of the function behind it."""
    call = entry.build
    function: Any = call
    while isinstance(function, partial):
        function = function.func
    hints = get_type_hints(function)
    found = []
    for name, parameter in signature(call).parameters.items():
        if parameter.kind is Parameter.KEYWORD_ONLY:
            kind = hints[name]
            words = get_args(kind) if get_origin(kind) is Literal else ("yes", "no") if kind is bool else ()
            found.append(Option(name, words, parameter.default, kind))
    return tuple(found)


def architecture(text: str) -> Architecture:
    """The network that ``name,option=value,...`` says, under its canonical name.

    Raises UnknownModelError, OptionError, or ArchitectureError where the values do not go together.
    """
    name, *given = text.strip().split(",")
    entry = find(name)
    available = {option.name: option for option in options(entry)}
    size = entry.input
    values: dict[str, Any] = {}
    for item in given:
        key, equals, word = item.partition("=")
        if not equals or not key:
            raise OptionError(f"{name}: expected option=value, received {item[:80]!r}; see `resbench models {name}`")
        if key in values or (key == "input" and size != entry.input):
            raise OptionError(f"{name}: the option {key!r} is given twice; keep one")
        if key == "input":
            size = parse_size(word, f"{name}: input")
        elif key in available:
            values[key] = _value(name, available[key], word)
        else:
            raise OptionError(f"{name}: unknown option {key[:80]!r}; expected {_one_of([*available, 'input'])}")
    try:
        body = entry.build(**values)
    except ArchitectureError as error:
        raise ArchitectureError(f"{text.strip()}: {error}") from None
    changed = [
        f"{o.name}={option_text(values[o.name])}"
        for o in available.values()
        if values.get(o.name, o.default) != o.default
    ]
    if size != entry.input:
        changed.append(f"input={'x'.join(map(str, size))}")
    return Architecture(",".join([name, *changed]), body, size, entry.source)


def parse_size(word: str, what: str = "input") -> Size:
    """``3x224x224`` as (3, 224, 224). Raises OptionError."""
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
            expected = _one_of(list(option.values))
            raise OptionError(f"{model}: {option.name} takes {expected}; received {word[:80]!r}")
        return word == "yes" if option.kind is bool else word
    least = min(option.default, 1) if option.default >= 0 else -1000
    if not re.fullmatch(r"-?[0-9]{1,9}", word) or not least <= int(word) <= MAX_SIZE:
        raise OptionError(
            f"{model}: {option.name} takes a whole number from {least} to {MAX_SIZE}; received {word[:80]!r}"
        )
    return int(word)


def option_text(value: object) -> str:
    """A value as it is written after the equals sign."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
