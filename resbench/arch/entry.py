"""A line of the catalog says what is built under a name, for which input, and where it was published."""

from collections.abc import Callable
from functools import partial
from re import Match
from typing import Any, NamedTuple

from resbench.arch.algebra import Node

Size = tuple[int, int, int]

Renames = tuple[tuple[str, str | Callable[[Match[str]], str]], ...]
"""Patterns within what another library calls a tensor, and what ``re.sub`` puts there, one after the other, until it is
the name here. Of a tensor that the network does without, nothing is left."""

IMAGENET: Size = (3, 224, 224)
CIFAR: Size = (3, 32, 32)

HE15, HE16 = "He et al. 2015", "He et al. 2016"
SZEGEDY14, SZEGEDY15, SZEGEDY16 = (f"Szegedy et al. {year}" for year in (2014, 2015, 2016))


class Entry(NamedTuple):
    """An entry is one line of the catalog. A pattern such as ``resnet{6n+2}`` stands for every depth."""

    name: str
    family: str
    build: partial[Node]
    input: Size
    source: str


def entry(
    family: str, name: str, input: Size, source: str, build: Callable[..., Node], *arguments: Any, **options: Any
) -> Entry:
    """Under this line ``build`` is called with these arguments and options, and those that a user adds."""
    return Entry(name, family, partial(build, *arguments, **options), input, source)
