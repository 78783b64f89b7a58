"""A layer's fields take the values that their types state; any other is refused where the layer is made."""

from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from typing import Annotated, Any, NamedTuple, NoReturn, get_type_hints

from resbench.errors import ArchitectureError

Pair = tuple[int, int]

MAX_SIZE = 2**20
"""No width, side or depth of a real network comes near; beyond it, it is a slip of the keyboard."""


class Wanted(NamedTuple):
    """A field takes these values; a field's type says so with ``Annotated``."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(least: int, value: object) -> bool:
    return type(value) is int and least <= value <= MAX_SIZE


def _is_sides(least: int, value: object) -> bool:
    if type(value) is int:
        return least <= value <= MAX_SIZE
    return type(value) is tuple and len(value) == 2 and _is_whole(least, value[0]) and _is_whole(least, value[1])


def _sides(least: int) -> Wanted:
    return Wanted(f"one or two whole numbers from {least} to {MAX_SIZE}", partial(_is_sides, least))


Whole = Annotated[int, Wanted(f"a whole number from 1 to {MAX_SIZE}", partial(_is_whole, 1))]
WholeOrNone = Annotated[int, Wanted(f"a whole number from 0 to {MAX_SIZE}", partial(_is_whole, 0))]
Sides = Annotated[int | Pair, _sides(1)]
Padding = Annotated[int | Pair, _sides(0)]
Number = Annotated[float, Wanted("a finite number", lambda value: type(value) in (int, float) and -1e9 < value < 1e9)]
Epsilon = Annotated[Number, Wanted("at least 0", lambda eps: eps >= 0)]
Flag = Annotated[bool, Wanted("True or False", lambda value: type(value) is bool)]


@cache
def _checks(kind: type) -> tuple[tuple[str, object, Wanted, bool], ...]:
    """List what the fields of a class must be: the name, the default, what its type wants, and whether it becomes a
    pair."""
    hints = get_type_hints(kind, include_extras=True)
    defaults = {field.name: field.default for field in fields(kind)}
    return tuple(
        (name, defaults[name], wanted, hint in (Sides, Padding))
        for name, hint in hints.items()
        for wanted in getattr(hint, "__metadata__", ())
    )


def check_fields(layer: object) -> None:
    """Each field holds a value of its type, or the default, which is taken as it is; a single number of ``Sides`` or
    ``Padding`` becomes (height, width)."""
    for field, default, wanted, is_pair in _checks(type(layer)):  # type: ignore[arg-type]
        value = getattr(layer, field)
        if value is not default and not wanted.holds(value):
            refuse(layer, field, wanted.words, value)
        if is_pair and type(value) is int:
            object.__setattr__(layer, field, (value, value))


def refuse(layer: object, field: str, wanted: str, value: object) -> NoReturn:
    raise ArchitectureError(f"{type(layer).__name__}: {field} must be {wanted}, received {value!r}")
