"""Values go to JSON and back: what is read equals what was written, field by field.

A value is made of frozen dataclasses, named tuples, tuples, mappings and plain values, by the types that their fields
state. Numbers that JSON lacks are written as words, and a text that is such a word with a backslash before it:

>>> from typing import NamedTuple
>>> class Point(NamedTuple):
...     name: str
...     place: tuple[float, ...]
>>> written = encoded(Point("NaN", (1.5, float("inf"))))
>>> print(written["name"], written["place"])
\\NaN [1.5, 'Infinity']
>>> decoded(Point, written)
Point(name='NaN', place=(1.5, inf))
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

if TYPE_CHECKING:
    from cattrs import Converter

Value = TypeVar("Value")

Scalar = str | int | float | bool | None

WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": -float("inf")}
"""These words stand for the numbers that JSON lacks."""


def encoded(value: Any, derived: bool = True) -> Any:
    """Turn a value into what JSON has: dictionaries, lists, strings, numbers, booleans and null.

    A class may name properties in ``derived``: they are written for readers, beside its fields, and are not read back.
    """
    return _converter(derived).unstructure(value)


def decoded(kind: type[Value], data: Any) -> Value:
    """Make the value of that class. Raises TypeError, ValueError or LookupError where the data are of another.

    A class may turn what earlier versions wrote into its fields by a class method ``of_earlier``.
    """
    return _converter(False).structure(data, kind)


@cache
def _converter(derived: bool) -> "Converter":
    from cattrs import Converter  # a result that is printed needs none of it
    from cattrs.cols import is_namedtuple, namedtuple_dict_structure_factory, namedtuple_dict_unstructure_factory
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

    converter = Converter(detailed_validation=False)
    converter.register_structure_hook_factory(is_namedtuple, namedtuple_dict_structure_factory)
    converter.register_unstructure_hook_factory(is_namedtuple, namedtuple_dict_unstructure_factory)
    for kind, read in READ.items():
        converter.register_structure_hook(kind, read)
    for kind, write in WRITTEN.items():
        converter.register_unstructure_hook(kind, write)
    converter.register_structure_hook_func(_of_any_type, lambda value, _: _frozen(value))
    converter.register_structure_hook_func(lambda kind: getattr(kind, "__origin__", None) is Literal, _one_of)

    def beside(kind: Any) -> Callable[[Any], Any]:
        fields = make_dict_unstructure_fn(kind, converter)
        return lambda value: {
            **{name: converter.unstructure(getattr(value, name)) for name in kind.derived},
            **fields(value),
        }

    def as_now(kind: Any) -> Callable[[Any, Any], Any]:
        read = make_dict_structure_fn(kind, converter)
        return lambda data, _: read(kind.of_earlier(data), kind)

    converter.register_structure_hook_factory(lambda kind: hasattr(kind, "of_earlier"), as_now)
    if derived:
        converter.register_unstructure_hook_factory(lambda kind: hasattr(kind, "derived"), beside)
    return converter


def _of_any_type(kind: Any) -> bool:
    """Are its values, or those in it, of no stated type or plain?"""
    return kind is Any or kind == Scalar or Any in get_args(kind)


def _exact(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, received {str(value)[:40]!r}")
    return value


def _integer(value: Any, kind: type) -> int:
    number: int = _exact(value, kind)
    if number.bit_length() > 1000:  # a ratio of it is no number any more
        raise ValueError(f"expected an integer of at most 1,000 bits, received {number.bit_length():,}")
    return number


def _text(value: Any, kind: Any = str) -> str:
    """Read a text, which may have been written with a backslash because it is a word for a number."""
    text: str = _exact(value, kind)
    return text[1:] if _is_word(text) and text not in WORDS else text


def _escaped(text: str) -> str:
    return f"\\{text}" if _is_word(text) else text


def _is_word(text: str) -> bool:
    return text.lstrip("\\") in WORDS


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise ValueError(f"expected {' or '.join(map(str, get_args(kind)))}, received {str(value)[:40]!r}")
    return value


def _number(value: Any, _: type) -> float:
    return float(value) if type(value) in (int, float) else WORDS[value]


def _finite(value: float) -> float | str:
    return value if value - value == 0 else next(word for word, number in WORDS.items() if repr(number) == repr(value))


READ: dict[Any, Callable[[Any, Any], Any]] = {
    int: _integer,
    bool: _exact,
    str: _text,
    float: _number,
    Path: lambda value, _: Path(value),
    datetime: lambda value, _: datetime.fromisoformat(value),
}
"""Values of these types are read so from JSON."""

WRITTEN: dict[Any, Callable[[Any], Any]] = {float: _finite, str: _escaped, PurePath: str, datetime: datetime.isoformat}
"""Values of these types are written so."""


def _frozen(value: Any) -> Any:
    """Read a value of no stated type: lists become tuples, and the words numbers."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return {_text(key): _frozen(one) for key, one in value.items()}
    if isinstance(value, str):
        return WORDS[value] if value in WORDS else _text(value)
    return value
