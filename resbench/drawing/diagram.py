"""`draw` reads a network as a block diagram, in SVG.

>>> from resbench.arch.catalog import architecture
>>> picture = draw(architecture("plain34"), architecture("resnet34"))
>>> picture[:4], picture.count('data-shortcut="projection"')
('<svg', 3)

Stages are bands in columns, read down and then to the right. What equals its neighbour is drawn once, with the number
of times that it stands there. Numbers are params / MACs.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from resbench.arch.algebra import Combinator, Layer, Node, Operator, Seq, Shape, dotted, walk
from resbench.arch.catalog import Architecture
from resbench.arch.structure import Block, blocks
from resbench.drawing.bars import Leaf, bar_width, bars, grouped
from resbench.drawing.boxes import TINTS, Drawing, Mark, Rect, Text, line, svg, text_width
from resbench.drawing.branches import Opening, opening
from resbench.drawing.growth import flow_of, grown, name_of
from resbench.drawing.joins import aside
from resbench.drawing.sheet import PAD, Band, Item, Panel, cost_text, layout
from resbench.units import count_text, shape_text


def draw(*archs: Architecture) -> str:
    """A network becomes a block diagram; several stand below each other, stages in line where they have as many.

    Raises ShapeError where shapes do not fit.
    """
    panels = [panel(arch) for arch in archs]
    title = " and ".join(arch.name for arch in archs)
    return svg(layout(panels), f"Block diagram of {title}", " ".join(_summary(p) for p in panels))


def panel(arch: Architecture) -> Panel:
    """A network becomes bands of blocks that are drawn but not yet placed."""
    found, whole = blocks(arch), arch.cost()
    if found and not any(isinstance(block.node, Combinator) or "." in block.first for block in found):
        # an architecture without levels is itself one block
        totals = whole.total.output, whole.params, whole.macs
        found = [Block(arch.name, 1, arch.body, whole.input, *totals, first=arch.name, aux=False, path=arch.name)]
    branches = (block.node for block in found if not isinstance(block.node, Layer) and not block.aux)
    before = next(filter(None, map(opening, branches)), ())
    facts = f"input {shape_text(arch.input)} · {count_text(whole.params)} params · {count_text(whole.macs)} MACs"
    bands = [_band(name, members, before, whole.macs) for name, members in _stages(found)]
    return Panel(arch.name, f"{facts} · {arch.source}", tuple(bands))


def _band(name: str, members: Sequence[Block], before: Opening, whole: int) -> Band:
    macs = sum(block.macs for block in members)
    params = sum(block.params for block in members)
    return Band(name, tuple(_items(members, before)), params, macs, share=macs / whole if whole else 0)


def _summary(panel: Panel) -> str:
    stages = ", ".join(band.name for band in panel.bands if band.name)
    return f"{panel.name}: {panel.facts}{f'; from input to output {stages}' if stages else ''}."


# -- stages -------------------------------------------------------------------------------------------------


def _stages(found: Sequence[Block]) -> Iterator[tuple[str, list[Block]]]:
    """Numbered blocks go by the name of their stage; others are stem or head, or go by the size of their maps."""
    real = [i for i, block in enumerate(found) if not block.aux and (_stage(block) or _operates(block.node))]
    keys: list[tuple[str, Shape]] = []
    for i, block in enumerate(found):
        if block.aux and keys:
            keys.append(keys[-1])  # a head stands in the stage that it taps
        elif _stage(block):
            keys.append((_stage(block), _maps(block)))
        elif real and real[0] <= i <= real[-1]:
            keys.append(("", _maps(block)))
        else:
            keys.append(("" if not real else "stem" if i < real[0] else "head", ()))
    runs = [(key, [block for _, block in run]) for key, run in groupby(zip(keys, found, strict=True), lambda x: x[0])]
    for (name, maps), members in runs:
        if name and [key[0] for key, _ in runs].count(name) > 1:
            first, last = members[0].first, _last(members[-1])
            yield first if first == last else f"{first} to {last}", members
        elif name:
            yield name, members
        else:
            yield (f"{maps[0]}x{maps[1]} maps" if maps and len(runs) > 1 else ""), members


def _last(block: Block) -> str:
    """Return the path of the last of equal blocks: ``features.3.2`` of ``features.3.0-2``."""
    if block.repeat == 1:
        return block.name
    return dotted(block.first.rpartition(".")[0], block.name[len(block.first) + 1 :])


def _stage(block: Block) -> str:
    stage, dot, _ = block.first.partition(".")
    return stage if dot else ""


def _maps(block: Block) -> Shape:
    """The maps that a block makes, or a pool takes, have this size: a pool closes its stage, all others open one."""
    pools = isinstance(block.node, Layer) and TINTS.get(block.node.kind) == "pool"
    return (block.input if pools else block.output)[2:]


def _operates(node: Node) -> bool:
    return any(isinstance(part, Operator) for _, part in walk(node))


# -- blocks -------------------------------------------------------------------------------------------------


def _items(members: Sequence[Block], before: Opening) -> Iterator[Item]:
    """Blocks stand in frames; layers and single convolutions have their name and cost beside them."""
    for bare, run in groupby(members, lambda block: isinstance(block.node, Layer) and not block.aux):
        if bare:
            yield from _loose([Leaf(b.name, b.node, b.input, b.output) for b in run if isinstance(b.node, Layer)])
            continue
        for alike in grown(run):
            block = alike[0]
            leaves = _single(block)
            if leaves and len(alike) == 1:
                yield from _loose(leaves, block.name)
            else:
                framed = _frame(flow_of(alike, before), alike)
                output = block.input if block.aux else alike[-1].output
                yield Item(aside(framed) if block.aux else framed, block.input, output)


def _single(block: Block) -> list[Leaf]:
    """A block that is no more than one convolution and what goes with it has these layers, any other none."""
    leaves: list[Leaf] = []
    shape = block.input
    for name, part in block.node.parts if isinstance(block.node, Seq) else ():
        if block.aux or _stage(block) or not isinstance(part, Layer):
            return []
        leaves.append(Leaf(f"{block.first}.{name}", part, shape, shape := part.output(shape)))
    return leaves if len(grouped(leaves)) == 1 else []


def _loose(leaves: Sequence[Leaf], name: str = "") -> Iterator[Item]:
    groups = grouped(leaves)
    width = max(bar_width(group) for group in groups)
    for group in groups:
        carrier = next((leaf for leaf in group if not leaf.is_strip), group[0])
        cost = cost_text(sum(leaf.layer.params for leaf in group), sum(leaf.layer.macs(leaf.output) for leaf in group))
        box = _beside(bars(group, width), name or carrier.path, cost)
        yield Item(box, group[0].input, group[-1].output)


def _beside(box: Drawing, name: str, cost: str) -> Drawing:
    """The box has its name and cost at its right."""
    x, middle = box.width + 6, box.height / 2 + 3
    above = 5.5 if cost else 0
    texts = [Text(x, middle - above, name, "small"), *([Text(x, middle + above, cost, "small")] if cost else [])]
    width = x + max(text_width(text.text, "small") for text in texts)
    top = max(0.0, 24 - box.height) / 2 if cost else 0
    marks = tuple(text._replace(y=text.y + top) for text in texts)
    through = (
        line((box.axis, 0), (box.axis, top)),
        line((box.axis, top + box.height), (box.axis, 2 * top + box.height)),
    )
    return Drawing(width, box.height + 2 * top, box.axis, (*marks, *(through if top else ())), ((0, top, box),))


HEAD = 32
"""The name and cost of a frame take this height."""
COPY = 3
"""The copies behind a repeated block stand out by this."""


def _frame(inner: Drawing, alike: Sequence[Block]) -> Drawing:
    """The block stands under its name and cost; one that is repeated, or grows, has copies behind it."""
    block, several = alike[0], len(alike) > 1
    count = len(alike) if several else block.repeat
    times = f"× {count}" if count > 1 else ""
    params, macs = sum(one.params for one in alike), sum(one.macs for one in alike)
    cost = f"{cost_text(params, macs)} together" if several else cost_text(params // count, macs // count)
    cost += " each" if times and not several else ""
    name = f"{name_of(alike)}, in training" if block.aux else name_of(alike)
    head = text_width(name, "name") + (10 + text_width(times, "heading") if times else 0)
    need = max(head, text_width(cost, "small")) + 2 * PAD
    axis, right = inner.axis + PAD, inner.right + PAD
    if axis + right < need:  # a narrow block under a long name stands in the middle
        axis, right = axis + (need - axis - right) / 2, right + (need - axis - right) / 2
    width, bottom = axis + right, HEAD + inner.height + PAD
    behind = 2 * COPY if times else 0
    copies = [Rect(d, d, width, bottom, "copy", radius=4) for d in (2 * COPY, COPY) if times]
    marks: tuple[Mark, ...] = (
        *copies,
        Rect(0, 0, width, bottom, "aux" if block.aux else "block", radius=4),
        Text(PAD, 14, name, "name"),
        *([Text(width - PAD, 15, times, "heading", "end")] if times else []),
        Text(PAD, 25, cost, "small"),
        line((axis, HEAD - 3), (axis, HEAD)),
        line((axis, HEAD + inner.height), (axis, bottom)),
    )
    return Drawing(width + behind, bottom + behind, axis, marks, ((axis - inner.axis, HEAD, inner),))
