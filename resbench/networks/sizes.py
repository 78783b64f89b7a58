"""The inputs of a graph get their sizes: those that its file leaves free are the batch, or are given by a user.

N x 3 x 224 x 224, batch 8            8x3x224x224
N x 3 x H x W, --input 3x64x64        1x3x64x64
ids: N x T, --input ids=128           1x128, and T is 128 wherever else it stands
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from resbench.arch.algebra import Shape
from resbench.errors import OptionError, SourceError, did_you_mean
from resbench.networks.inputs import ModelInput

if TYPE_CHECKING:
    from resbench.graphs.reading import Declared


def sizes(model: str, declared: Sequence[Declared], inputs: Sequence[ModelInput], batch: int) -> Mapping[str, Shape]:
    """Give every input its shape. ``inputs`` are what a user says, without the batch.

    Raises OptionError for an input that the graph does not have or that does not fit it, and SourceError for a batch
    that it does not take, and a size that nobody says.
    """
    known: dict[str, int] = {}
    shapes: dict[str, Shape] = {}
    for one, given in zip(*_matched(model, declared, inputs), strict=True):
        shapes[one.name] = _fitted(model, one, given, batch, known)
    others = [one for one in declared if one.name not in shapes]
    for one in others:  # whose first size is free has a batch
        first = one.sides[0] if one.sides else 1
        if isinstance(first, str):
            known.setdefault(first or one.name, batch)
        elif batch not in (1, first) and not any(isinstance(two.sides[0], str) for two in declared if two.sides):
            raise SourceError(_fixed(model, one, batch))
    for one in others:
        first = known.get(one.name, one.sides[0]) if one.sides else 1
        sides = [side if isinstance(side, int) else known.get(side) if side else None for side in one.sides]
        if sides and not one.sides[0]:
            sides[0] = int(first)
        if None in sides:
            raise SourceError(_unsaid(model, declared, one))
        shapes[one.name] = tuple(side for side in sides if side is not None)
    return shapes


def _matched(
    model: str, declared: Sequence[Declared], inputs: Sequence[ModelInput]
) -> tuple[Sequence[Declared], Sequence[ModelInput]]:
    """Set what a user says beside the inputs of a graph: by name, or in their order."""
    by_name = {one.name: one for one in declared}
    takes = f"it takes {', '.join(f'{one.name} ({one.text})' for one in declared) or 'none'}"
    if unknown := [one.name for one in inputs if one.name and one.name not in by_name]:
        raise OptionError(f"{model} has no input {unknown[0]!r}{did_you_mean(unknown[0], by_name)}; {takes}")
    if len(inputs) > len(declared):
        raise OptionError(f"{model}: expected at most {len(declared)} inputs, received {len(inputs)}; {takes}")
    named = any(one.name for one in inputs)
    return ([by_name[one.name] for one in inputs] if named else declared[: len(inputs)]), inputs


def _fitted(model: str, one: Declared, given: ModelInput, batch: int, known: dict[str, int]) -> Shape:
    """Give an input the shape that a user says, and note what its free sizes are."""
    first = one.sides[0] if one.sides else ""
    fixed = first if isinstance(first, int) else batch
    if given.batched and batch not in (1, fixed):
        raise SourceError(_fixed(model, one, batch))
    shape = given.full(fixed)
    if given.dtype and given.dtype != one.dtype:
        raise OptionError(f"{model}: its input {one.name} is of {one.dtype}, received {given.text}; leave the type out")
    fits = len(shape) == len(one.sides)
    for side, size in zip(one.sides, shape, strict=False):
        fits = fits and size == (side if isinstance(side, int) else known.setdefault(side, size) if side else size)
    if not fits:
        bound = ", ".join(f"{side} is {known[side]}" for side in one.sides if side in known and side)
        raise OptionError(
            f"{model}: its input {one.name} is {one.text}{f' ({bound})' if bound else ''}, the batch in front; "
            f"received {given.text}; leave out what the file says already"
        )
    return shape


def _fixed(model: str, one: Declared, batch: int) -> str:
    return (
        f"{model}: its input {one.name} is {one.text}, a batch of {one.sides[0]} that the file fixes; received a batch "
        f"of {batch}; drop it, or export the model with a batch that is free"
    )


def _unsaid(model: str, declared: Sequence[Declared], one: Declared) -> str:
    """Tell what is missing, and how it is said."""
    free = [side or f"size {i + 1}" for i, side in enumerate(one.sides) if i and isinstance(side, str)]
    example = "x".join(str(side) if isinstance(side, int) else "224" for side in one.sides[1:])
    name = f"{one.name}=" if len(declared) > 1 else ""
    return (
        f"{model}: its input {one.name} is {one.text}: expected {' and '.join(free)}, which the file leaves free; "
        f"say them without the batch, such as --input {name}{example}"
    )
