"""Neighbours of one form, each of which gives more channels than the one before, stand in one frame: a dense block is a
layer, with the numbers that grow from its first to its last, and so is a stage of a PyramidNet.

>>> from resbench.arch.catalog import architecture
>>> from resbench.arch.structure import blocks
>>> [(name_of(run), len(run)) for run in grown(blocks(architecture("densenet121"))) if len(run) > 1][:2]
[('features.denseblock1.denselayer1-6', 6), ('features.denseblock2.denselayer1-12', 12)]
"""

from collections.abc import Iterable, Iterator, Sequence

from resbench.arch.algebra import Layer
from resbench.arch.structure import Block
from resbench.drawing.block import Labels, flow
from resbench.drawing.boxes import Drawing
from resbench.drawing.branches import Opening
from resbench.drawing.forms import FEW, form, numbers, span


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
    if one.aux or other.aux or isinstance(one.node, Layer) or form(one.node) != form(other.node):
        return False
    widths = zip(numbers(one.node), numbers(other.node), strict=True)
    return one.repeat == other.repeat == 1 and one.output[1] < other.output[1] and all(a <= b for a, b in widths)


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
        flow(block.node, block.path, block.input, before, labels)
        ends.append(labels.written)
    return flow(run[0].node, run[0].path, run[0].input, before, Labels([*map(span, *ends)] if ends else ()))[0]
