"""Receptive fields become tables: a row for each model, or for each layer of one."""

from collections.abc import Iterator, Sequence
from typing import Any

from resbench.arch.windows import fixed
from resbench.fields.reading import LayerField
from resbench.fields.result import MASS, Field
from resbench.tables.table import Column, Table
from resbench.units import plural, shape_text

NOTES = (
    "Field: pixels of the input from the first to the last that a position sees; stride: pixels from one position to"
    " the next;",
    "padding: pixels in front of the input that the first position sees (Araujo, Norris & Sim 2019). Without gates.",
)

MODELS = (
    Column("model", "model"),
    Column("input", "input", "shape"),
    Column("layer", "last map"),
    Column("output", "output", "shape"),
    Column("field", "field", "exact"),
    Column("stride", "stride", "exact"),
    Column("padding", "padding", "exact"),
    Column("passes", "larger than the input from"),
    Column("gate", "whole input by gates from"),
    Column("misaligned", "misaligned joins", "exact"),
    Column("effective", "effective", "number"),
    Column("least", "least", "exact"),
    Column("most", "most", "exact"),
    Column("share", "of the field", "share"),
)

LAYERS = (
    Column("model", "model"),
    Column("name", "layer"),
    Column("type", "type"),
    Column("output", "output", "shape"),
    Column("field", "field", "exact"),
    Column("stride", "stride", "exact"),
    Column("padding", "padding", "exact"),
    Column("says", "says"),
)


def model_table(fields: Sequence[Field]) -> Table:
    """A row stands for each model: what a position of its last map sees, and uses."""
    rows = [
        {
            "model": one.model,
            "input": one.input,
            **_of(one.last),
            "layer": one.last.name if one.last else None,
            "passes": one.passes.name if one.passes else None,
            "gate": one.gate.name if one.gate else None,
            "misaligned": len(one.misaligned) or None,
            **_used(one),
        }
        for one in fields
    ]
    notes = [*NOTES, *dict.fromkeys(_conditions(one) for one in fields if one.effective)]
    return _table(MODELS, rows, notes, [line for one in fields for line in cautions(one)])


def layer_table(one: Field) -> Table:
    """A row stands for each layer of a model, in running order."""
    rows = [
        {
            "name": layer.name,
            "type": layer.type,
            **_of(layer),
            "says": ", ".join(_remarks(layer, one)) or None,
        }
        for layer in one.layers
    ]
    return _table(LAYERS, rows, NOTES, [*cautions(one)], f"{one.model}, input {shape_text(one.input)}")


def _table(
    columns: Sequence[Column],
    rows: Sequence[dict[str, Any]],
    notes: Sequence[str],
    warnings: Sequence[str],
    title: str = "",
) -> Table:
    """Put rows under the columns in which there is something; a field of unequal sides is a text, height first."""
    shown = [one for one in columns if any(row.get(one.key) is not None for row in rows)]
    texts = {one.key for one in shown if any(isinstance(row.get(one.key), str) for row in rows)}
    shown = [Column(one.key, one.title) if one.kind == "exact" and one.key in texts else one for one in shown]
    return Table(shown, [[row.get(one.key) for one in shown] for row in rows], title, notes, warnings=warnings)


def _of(layer: LayerField | None) -> dict[str, Any]:
    window = layer.window if layer and layer.window and layer.positions else ()
    values = {
        "field": [span.size for span in window],
        "stride": [span.stride for span in window],
        "padding": [span.padding for span in window],
    }
    return {"output": layer.output if layer else None, **{key: _sides(sizes) for key, sizes in values.items()}}


def _sides(sizes: Sequence[int]) -> int | str | None:
    if len(set(sizes)) < 2:
        return sizes[0] if sizes else None
    return "x".join(map(str, sizes))


def _used(one: Field) -> dict[str, Any]:
    if not one.effective:
        return {}
    found = one.effective
    share = found.side / max(one.size) if one.size else None
    return {"effective": found.side, "least": min(found.sides), "most": max(found.sides), "share": share}


def _conditions(one: Field) -> str:
    assert one.effective
    found = one.effective
    drawn = f"{plural(len(found.sides), 'seed')}, {plural(found.images, 'random image')} each, {found.weights}"
    return (
        f"Effective: side of the centred square with {MASS:.2%} of the squared gradient at the centre of the last map "
        f"(Luo et al. 2016): median, least and most of {drawn}."
    )


def _remarks(layer: LayerField, one: Field) -> Iterator[str]:
    if layer.unknown:
        yield f"unknown: {layer.unknown}"
    if layer.misaligned:
        yield "misaligned paths"
    if one.passes and layer.name == one.passes.name:
        yield "larger than the input from here"
    if one.gate and layer.name == one.gate.name:
        yield "whole input by gates from here"
    if layer.window and not layer.positions:
        yield "sees the whole" if fixed(layer.window) else "sees the whole along an axis"


def cautions(one: Field) -> Iterator[str]:
    """Say what is not known of a network's fields, and what has to be read beside them."""
    if one.unknown:
        more = f" and {len(one.unknown) - 3} more" if len(one.unknown) > 3 else ""
        yield f"{one.model}: it is not known which positions these see: {', '.join(one.unknown[:3])}{more}."
    elif not one.last:
        yield f"{one.model}: no layer gives a map whose positions see different parts of the input."
    if joins := one.misaligned:
        more = f" and {len(joins) - 3} more" if len(joins) > 3 else ""
        yield f"{one.model}: paths join whose middles differ, at {', '.join(joins[:3])}{more}."
    if one.effective and one.size and any(a > b for a, b in zip(one.size, one.input[2:], strict=True)):
        yield f"{one.model}: the input cuts its field, and the effective one with it: a larger --input shows more."
