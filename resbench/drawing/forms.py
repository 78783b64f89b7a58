"""Nodes of one form look alike but for their widths; one of them is drawn, with what is written on first and last.

>>> from resbench.arch.layers import Conv2d
>>> form(Conv2d(64, 32, 3)) == form(Conv2d(96, 32, 3)), form(Conv2d(64, 32, 3)) == form(Conv2d(64, 32, 1))
(True, False)
>>> span("channels 64-111", "channels 64-127"), span("channels 8-15", "channels 16-23")
('channels 64-111…127', 'channels 8-15…16-23')
"""

import re
from collections.abc import Hashable, Iterable, Iterator
from itertools import groupby

from resbench.arch.algebra import Combinator, Layer, Node

FEW = 3
"""Of fewer neighbours each is drawn: the widths of each Inception module are what a picture of GoogLeNet is for."""

NUMBER = re.compile(r"(?<=[ g-])[0-9]+\b(?!x)")
"""A width or a group count within a label such as ``3x3/2, 64 g32``, but no kernel and no stride."""


def form(node: Node) -> Hashable:
    """It is equal for nodes that look alike but for their widths, and for the numbers behind names."""
    if isinstance(node, Combinator):
        return type(node), tuple((name.rstrip("0123456789"), form(part)) for name, part in node.parts)
    return type(node), NUMBER.sub("", node.brief) if isinstance(node, Layer) else ""


def alike(steps: Iterable[tuple[str, Node]]) -> Iterator[list[tuple[str, Node]]]:
    """Enough neighbours of one form come together, others one by one."""
    for _, run in groupby(steps, key=lambda step: form(step[1])):
        found = list(run)
        yield from [found] if len(found) >= FEW else ([step] for step in found)


def numbers(node: Node) -> Iterator[int]:
    """These are the widths on its layers."""
    if isinstance(node, Combinator):
        for _, part in node.parts:
            yield from numbers(part)
    elif isinstance(node, Layer):
        yield from map(int, NUMBER.findall(node.brief))


def span(first: str, last: str) -> str:
    """Two labels that differ in numbers are one with the numbers from the first to the last."""
    pairs = zip(*(re.split("([0-9]+(?:-[0-9]+)?)", label) for label in (first, last)), strict=True)
    return "".join(map(_to, *zip(*pairs, strict=True)))


def _to(first: str, last: str) -> str:
    """A range of channels whose start stays goes on to another end."""
    if first == last:
        return first
    start, dash, _ = first.partition("-")
    return f"{first}…{last.removeprefix(start + dash) if dash else last}"
