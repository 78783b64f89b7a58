"""Each kind of thing that holds others, or a state, has a function that keeps it.

The function takes a thing, and gives what it holds and how it is put back in place: identity and order stay, and
nothing is written where nothing has changed.
"""

from __future__ import annotations

import functools
import itertools
import types
import weakref
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from operator import is_
from random import Random
from typing import Any

import numpy
import torch
from torch import Tensor

Undo = Callable[[], object]
Held = tuple[Iterable[Any], Undo | None]

ABSENT: Any = object()
"""This stands in place of what was not there."""


def same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    """Tell whether both hold the very same things, in order."""
    return all(map(is_, now, before))


def same_entries(table: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return len(table) == len(before) and same(table.values(), before.values()) and same(table, before)


def refill(table: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Give a table those entries in their order, past whatever a subclass does when an item is set."""
    kind: Any = OrderedDict if isinstance(table, OrderedDict) else dict
    kind.clear(table)
    for key, value in before.items():
        kind.__setitem__(table, key, value)


def _sequence(kind: Any, items: Any) -> Held:
    before = list(kind.__iter__(items))

    def put_back() -> None:
        if kind.__len__(items) != len(before) or not same(kind.__iter__(items), before):
            kind.clear(items)
            kind.extend(items, before)

    return before, put_back


def _set(items: set[Any]) -> Held:
    before = set(items)

    def put_back() -> None:
        if set.__len__(items) != len(before) or {*map(id, items)} != {*map(id, before)}:
            set.clear(items)
            set.update(items, before)

    return before, put_back


def _members(items: Iterable[Any]) -> Held:
    return list(items), None


def _attributes(*names: str) -> Callable[[Any], Held]:
    """Return the function for a thing that holds others in these attributes, which nobody can change."""
    return lambda thing: _members(getattr(thing, name) for name in names)


def _bytes(items: Any) -> Held:
    before = items[:]

    def put_back() -> None:
        if bytes(items) != bytes(before):
            items[:] = before

    return (), put_back


def _ndarray(items: Any) -> Held:
    before = items.copy(order="K")

    def put_back() -> None:
        if items.shape != before.shape:
            items.resize(before.shape, refcheck=False)
        if items.tobytes() != before.tobytes():
            items[...] = before

    return list(items.flat) if items.dtype.hasobject else (), put_back


def _state(read: str, put: str) -> Callable[[Any], Held]:
    """Return the function for a generator of random numbers whose state these two methods read and put back."""
    return lambda generator: ((), functools.partial(getattr(generator, put), getattr(generator, read)()))


def _cached(function: Any) -> Held:
    """Keep a function's cache, which nobody can read: it is emptied where it has been filled since."""
    before = function.cache_info().misses

    def put_back() -> None:
        if function.cache_info().misses != before:
            function.cache_clear()

    return (function.__wrapped__,), put_back


def keep_slot(member: Any, thing: Any) -> Held:
    """Keep one attribute of a class with ``__slots__``, or the contents of a closure's cell."""
    before = [slot_value(member, thing)]

    def put_back() -> None:
        if slot_value(member, thing) is not before[0]:
            if before[0] is ABSENT:
                member.__delete__(thing)
            else:
                member.__set__(thing, before[0])

    return before, put_back


def slot_value(member: Any, thing: Any) -> Any:
    try:
        return member.__get__(thing, type(thing))
    except (AttributeError, ValueError):  # of a cell: a variable that has no value yet
        return ABSENT


def slots_of(kind: type) -> list[Any]:
    """Return the slots that a class and its bases name."""
    named = (vars(base) for base in kind.__mro__ if "__slots__" in vars(base))
    members = (member for names in named for member in names.values())
    return [member for member in members if isinstance(member, types.MemberDescriptorType)]


HOLDERS: dict[type, Callable[[Any], Held]] = {
    list: functools.partial(_sequence, list),
    deque: functools.partial(_sequence, deque),
    set: _set,
    tuple: _members,  # of a class of its own; the plain ones need no keeping
    frozenset: _members,
    types.MappingProxyType: lambda table: _members(table.values()),
    bytearray: _bytes,
    array: _bytes,
    Random: _state("getstate", "setstate"),
    torch.Generator: _state("get_state", "set_state"),
    types.CellType: functools.partial(keep_slot, types.CellType.cell_contents),
    types.MethodType: _attributes("__self__", "__func__"),
    staticmethod: _attributes("__func__"),
    classmethod: _attributes("__func__"),
    property: _attributes("fget", "fset", "fdel"),
    functools.partial: _attributes("func", "args", "keywords"),
    functools._lru_cache_wrapper: _cached,
    weakref.ref: lambda reference: _members([reference()]),
    numpy.ndarray: _ndarray,
    numpy.random.RandomState: _state("get_state", "set_state"),
    numpy.random.BitGenerator: _state("__getstate__", "__setstate__"),
    numpy.random.Generator: _attributes("bit_generator"),
}
"""Each kind that is known has its function."""


def counted_from(counter: itertools.count[Any]) -> itertools.count[Any]:
    """Return another counter that goes on where this one is."""
    start, _, step = repr(counter).removeprefix("count(").removesuffix(")").partition(", ")
    number = complex if "j" in repr(counter) else float if "." in repr(counter) else int
    return itertools.count(number(start), number(step or "1"))


def storage(tensor: Tensor) -> int:
    """Return the identity of the storage that a tensor lies in; it is 0 for one that has none."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return 0


def parts_of(tensor: Tensor) -> list[Tensor]:
    """Return the tensors of which another is made that has no memory of its own, such as a sharded one's local part."""
    names = tensor.__tensor_flatten__()[0] if hasattr(tensor, "__tensor_flatten__") else ()
    return [part for part in (getattr(tensor, name) for name in names) if isinstance(part, Tensor)]


def restore_class(kind: type, before: dict[str, Any]) -> None:
    """Give a class those members again, and no others."""
    added = dict.fromkeys(vars(kind).keys() - before.keys(), ABSENT)
    members = functools.partial(type.__setattr__, kind), functools.partial(type.__delattr__, kind)
    restore_names(vars(kind), added | before, *members)


def restore_names(
    space: Mapping[str, Any],
    before: dict[str, Any],
    put: Callable[[str, Any], object],
    drop: Callable[[str], object],
) -> None:
    """Bind the names of a namespace as they were; those that were ABSENT are dropped."""
    for name, value in before.items():
        if space.get(name, ABSENT) is not value:
            if value is ABSENT:
                drop(name)
            else:
                put(name, value)


def restore_tensor(
    tensor: Tensor, kind: type[Tensor], alias: Tensor, address: int, version: int, attributes: dict[str, Any]
) -> None:
    """Put back everything of a tensor but its contents."""
    if type(tensor) is not kind:
        tensor.__class__ = kind
    if not (parts_of(tensor) or _lies_as(tensor, alias, address)):
        tensor.data = alias
    for name, value in attributes.items():
        if getattr(tensor, name) is not value:
            setattr(tensor, name, value)


def set_version(tensor: Tensor, version: int) -> None:
    """Put back how often a tensor was written into."""
    put_back = torch._C._autograd._unsafe_set_version_counter
    try:
        put_back((tensor,), (version,))
    except TypeError:  # torch before 2.7 takes one at a time
        put_back(tensor, version)  # type: ignore[arg-type]


def _lies_as(tensor: Tensor, alias: Tensor, address: int) -> bool:
    """Tell whether a tensor lies in the same memory, in the same way."""
    return (
        address >= 0  # else it has no memory of its own, and may have no stride
        and tensor.dtype == alias.dtype
        and tensor.size() == alias.size()
        and tensor.data_ptr() == address
        and tensor.stride() == alias.stride()
    )
