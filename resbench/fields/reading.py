"""The windows of rows, one behind the other, are the receptive fields of layers: this reads them, and nothing runs.

A row sees other rows through windows (``Row.sees``), and those see the network's input. Where paths join, the field is
the union of theirs (Araujo, Norris & Sim 2019): their strides have to be equal, and where their middles are not, they
are misaligned. A path that saw the whole map, beside one that did not, makes the union the whole map; where
it is a gate, as in squeeze-and-excitation, it may be left out.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from resbench.arch.algebra import Shape
from resbench.arch.rows import Cost, Row
from resbench.arch.windows import INPUT, Span, Window, behind, fixed


class LayerField(NamedTuple):
    """A position of a layer's output sees this of the network's input."""

    name: str
    type: str
    output: Shape
    window: Window | None
    """It is the field without gates: stride, low and high along each axis; None where it is not known."""
    gated: bool = False
    """With gates it is the whole input: such a path joins here, or before."""
    misaligned: bool = False
    """Paths join here whose middles differ."""
    unknown: str = ""
    """This is why nobody knows it, or why nobody knows it of a layer before."""

    @property
    def positions(self) -> bool:
        """Whether its output is a map, whose positions see different parts of the input."""
        return bool(self.window) and all(span.stride for span in self.window or ())


def layer_fields(cost: Cost) -> tuple[LayerField, ...]:
    """Read the field of each row of a cost that has one, in running order."""
    sides = cost.input[2:]
    start = tuple(Span() for _ in sides)
    with_gates, without = ({INPUT: LayerField("input", "", cost.input, start)} for _ in range(2))
    found = []
    for place, row in enumerate(cost.layers):
        if not row.output or row.sees == ():
            continue
        with_gates[place] = whole = _field(row, with_gates, sides, gates=True)
        without[place] = own = _field(row, without, sides, gates=False)
        found.append(own._replace(gated=whole.window != own.window))
    return tuple(found)


def _field(row: Row, before: Mapping[int, LayerField], sides: Sequence[int], gates: bool) -> LayerField:
    """Join what a row sees; without gates what multiplies all positions of a path alike is left out."""
    field = LayerField(row.name, row.type, row.output, None)
    if row.sees is None:
        return field._replace(unknown=f"{row.name}: an earlier version counted it, and did not say what it sees")
    sources = [before.get(sight.place) for sight in row.sees]
    windows = [behind(sight.window, source and source.window) for sight, source in zip(row.sees, sources, strict=True)]
    known = [window for window in windows if window is not None]
    if len(known) < len(windows):
        earlier = next((source.unknown for source in sources if source and source.unknown), "")
        return field._replace(unknown=earlier or f"{row.name} ({row.type})")
    gated = [sight.gate or (row.kind == "product" and fixed(one)) for sight, one in zip(row.sees, known, strict=True)]
    if not gates and not all(gated):
        known = [window for window, gate in zip(known, gated, strict=True) if not gate]
    along = [*zip(*known, strict=True)]
    spans = [_union(one, row.output[2 + axis :][:1], sides[axis]) for axis, one in enumerate(along)]
    if None in spans:
        strides = " and ".join(sorted({"x".join(str(span.stride) for span in window) for window in known}))
        return field._replace(unknown=f"{row.name} ({row.type}): paths of the strides {strides} join there")
    misaligned = any(len({span.low + span.high for span in one if span.stride}) > 1 for one in along)
    return field._replace(window=tuple(filter(None, spans)), misaligned=misaligned)


def _union(paths: Sequence[Span], positions: Sequence[int], side: int) -> Span | None:
    """Join the spans of paths along one axis. None where positions of theirs move at different strides, unless one
    sees all that any position of the others sees."""
    strides = {span.stride for span in paths}
    low, high = min(span.low for span in paths), max(span.high for span in paths)
    if len(strides) == 1:
        return Span(strides.pop(), low, high)
    fixed = [span for span in paths if not span.stride]
    last = positions[0] - 1 if positions else 0
    ends = [(max(span.low, 0), min(last * span.stride + span.high, side - 1)) for span in paths]
    first, end = min(a for a, _ in ends), max(b for _, b in ends)
    if any(max(span.low, 0) <= first and span.high >= end for span in fixed):
        return Span(0, low, max(high, end))
    return None
