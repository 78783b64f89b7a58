"""Neighbours of one form, each of which gives more channels than the one before, stand in one frame: a dense block is a
layer, with the numbers that grow from its first to its last, and so is a stage of a PyramidNet.

>>> from resbench.arch.catalog import architecture
>>> from resbench.arch.structure import blocks
>>> [(name_of(run), len(run)) for run in grown(blocks(architecture("densenet121"))) if len(run) > 1][:2]
[('features.denseblock1.denselayer1-6', 6), ('features.denseblock2.denselayer1-12', 12)]
>>> span("channels 64-111", "channels 64-127"), span("channels 8-15", "channels 16-23")
('channels 64-111…127', 'channels 8-15…16-23')
"""

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence

from resbench.arch.algebra import Combinator, Layer, Node
from resbench.arch.structure import Block
from resbench.drawing.block import Labels, Opening, flow
from resbench.drawing.boxes import Drawing

FEW = 3
"""Of fewer neighbours each is drawn: the widths of each Inception module are what a picture of GoogLeNet is for."""

NUMBER = re.compile(r"(?<=[ g-])[0-9]+\b(?!x)")
"""A width or a group count within a label such as ``3x3/2, 64 g32``, but no kernel and no stride."""


def grown(found: Iterable[Block]) -> Iterator[Sequence[Block]]:
    """Runs of neighbours that grow, and single blocks, come in order."""
    run: list[Block] = []
    for block in found:
        if run and not _grows(run[-1], block):
            yield from _enough(run)
            run = []
        run.append(block)
    yield from _enough(run)


def _enough(run: list[Block]) -> Iterator[Sequence[Block]]:
    if len(run) < FEW:
        yield from ([block] for block in run)
    else:
        yield run


def _grows(one: Block, other: Block) -> bool:
    if one.aux or other.aux or isinstance(one.node, Layer) or _form(one.node) != _form(other.node):
        return False
    widths = zip(_numbers(one.node), _numbers(other.node), strict=True)
    return one.repeat == other.repeat == 1 and one.output[1] < other.output[1] and all(a <= b for a, b in widths)


def _form(node: Node) -> Hashable:
    """It is equal for nodes that look alike but for their widths."""
    if isinstance(node, Combinator):
        return type(node), tuple((name, _form(part)) for name, part in node.parts)
    return type(node), NUMBER.sub("", node.brief) if isinstance(node, Layer) else ""


def _numbers(node: Node) -> Iterator[int]:
    if isinstance(node, Combinator):
        for _, part in node.parts:
            yield from _numbers(part)
    elif isinstance(node, Layer):
        yield from map(int, NUMBER.findall(node.brief))


def name_of(run: Sequence[Block]) -> str:
    """``layer1.0`` and ``layer1.3`` are together ``layer1.0-3``, ``conv4_2`` and ``conv4_12`` are ``conv4_2-12``."""
    if len(run) == 1:
        return run[0].name
    first, last = run[0].first, run[-1].name
    stem = first.rstrip("0123456789")
    return f"{first}-{last.removeprefix(stem) if last.startswith(stem) else last.rpartition('.')[2]}"


def flow_of(run: Sequence[Block], before: Opening) -> Drawing:
    """The first is drawn, with what is written on the last beside it where it differs."""
    ends = []
    for block in (run[0], run[-1]) if len(run) > 1 else ():
        labels = Labels()
        flow(block.node, block.first, block.input, before, labels)
        ends.append(labels.written)
    return flow(run[0].node, run[0].first, run[0].input, before, Labels([*map(span, *ends)] if ends else ()))[0]


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
