"""How each kind of thing that holds others, or a state, is kept and put back in place.

Each function takes a thing, and gives what it holds and how it is put back: identity and order stay, and nothing is
written where nothing has changed.
"""

from __future__ import annotations

import functools
import itertools
import sys
import types
import weakref
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from operator import is_
from random import Random
from typing import Any

import torch
from torch import Tensor

Undo = Callable[[], None]
Held = tuple[Iterable[Any], Undo | None]

OfTensor = tuple[Tensor | None, Any, Any]
"""Its gradient, and its two tables of hooks."""

ABSENT: Any = object()
"""In place of what was not there."""


def same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    """The very same things, in order."""
    return all(map(is_, now, before))


def same_entries(table: dict[Any, Any], before: dict[Any, Any]) -> bool:
    return len(table) == len(before) and same(table.values(), before.values()) and same(table, before)


def refill(table: dict[Any, Any], before: dict[Any, Any]) -> None:
    """Those entries in their order, past whatever a subclass does when an item is set."""
    kind: Any = OrderedDict if isinstance(table, OrderedDict) else dict
    kind.clear(table)
    for key, value in before.items():
        kind.__setitem__(table, key, value)


def _list(items: list[Any]) -> Held:
    before = list(list.__iter__(items))

    def put_back() -> None:
        if list.__len__(items) != len(before) or not same(list.__iter__(items), before):
            list.__setitem__(items, slice(None), before)

    return before, put_back


def _deque(items: deque[Any]) -> Held:
    before = list(items)

    def put_back() -> None:
        if len(items) != len(before) or not same(items, before):
            deque.clear(items)
            deque.extend(items, before)

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


def _random(generator: Random) -> Held:
    before = generator.getstate()
    return (), lambda: generator.setstate(before)


def _torch_generator(generator: torch.Generator) -> Held:
    before = generator.get_state()

    def put_back() -> None:
        generator.set_state(before)

    return (), put_back


def _random_state(generator: Any) -> Held:
    before = generator.get_state()
    return (), lambda: generator.set_state(before)


def _bit_generator(generator: Any) -> Held:
    before = generator.state
    return (), lambda: setattr(generator, "state", before)


def _generator(generator: Any) -> Held:
    return (generator.bit_generator,), None


def _cell(cell: types.CellType) -> Held:
    before = [_contents(cell)]

    def put_back() -> None:
        if _contents(cell) is before[0]:
            return
        if before[0] is ABSENT:
            del cell.cell_contents
        else:
            cell.cell_contents = before[0]

    return before, put_back


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a variable that has no value yet
        return ABSENT


def _method(method: types.MethodType) -> Held:
    return (method.__self__, method.__func__), None


def _descriptor(method: Any) -> Held:
    return (method.__func__,), None


def _property(one: property) -> Held:
    return (one.fget, one.fset, one.fdel), None


def _partial(call: functools.partial[Any]) -> Held:
    return (call.func, call.args, call.keywords), None


def _cached(function: Any) -> Held:
    """Of a cache that nobody can read: empty where it was filled."""
    before = function.cache_info().misses

    def put_back() -> None:
        if function.cache_info().misses != before:
            function.cache_clear()

    return (function.__wrapped__,), put_back


def _slot(member: Any, thing: Any) -> Held:
    """One attribute of a class with ``__slots__``."""
    before = slot_value(member, thing)

    def put_back() -> None:
        if slot_value(member, thing) is before:
            return
        if before is ABSENT:
            member.__delete__(thing)
        else:
            member.__set__(thing, before)

    return (before,), put_back


def slot_value(member: Any, thing: Any) -> Any:
    try:
        return member.__get__(thing, type(thing))
    except AttributeError:
        return ABSENT


def slots(thing: Any, members: Iterable[Any]) -> tuple[list[Any], list[Undo]]:
    """The attributes of those slots."""
    held = [_slot(member, thing) for member in members]
    return [value for values, _ in held for value in values], [undo for _, undo in held if undo]


def slots_of(kind: type) -> list[Any]:
    """The slots that a class and its bases name."""
    named = (vars(base) for base in kind.__mro__ if "__slots__" in vars(base))
    members = (member for names in named for member in names.values())
    return [member for member in members if isinstance(member, types.MemberDescriptorType)]


HOLDERS: dict[type, Callable[[Any], Held]] = {
    list: _list,
    deque: _deque,
    set: _set,
    tuple: _members,  # of a class of its own; the plain ones need no keeping
    frozenset: _members,
    types.MappingProxyType: lambda table: _members(table.values()),
    bytearray: _bytes,
    array: _bytes,
    Random: _random,
    torch.Generator: _torch_generator,
    types.CellType: _cell,
    types.MethodType: _method,
    staticmethod: _descriptor,
    classmethod: _descriptor,
    property: _property,
    functools.partial: _partial,
    functools._lru_cache_wrapper: _cached,
    weakref.ref: lambda reference: _members([reference()]),
}


def holders() -> dict[type, Callable[[Any], Held]]:
    """The kinds that are known; numpy's too where it is in use."""
    numpy = sys.modules.get("numpy")
    if not numpy:
        return HOLDERS
    theirs = {
        numpy.ndarray: _ndarray,
        numpy.random.RandomState: _random_state,
        numpy.random.BitGenerator: _bit_generator,
        numpy.random.Generator: _generator,
    }
    return HOLDERS | theirs


def counted_from(counter: itertools.count[Any]) -> itertools.count[Any]:
    """Another counter that goes on where this one is."""
    start, _, step = repr(counter).removeprefix("count(").removesuffix(")").partition(", ")
    number = complex if "j" in repr(counter) else float if "." in repr(counter) else int
    return itertools.count(number(start), number(step or "1"))


def storage(tensor: Tensor) -> int:
    """Which storage a tensor lies in; 0 for one that has none."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (RuntimeError, NotImplementedError):
        return 0


def restore_class(kind: type, before: dict[str, Any]) -> None:
    now = dict(vars(kind))
    if same_entries(now, before):
        return
    for name in now.keys() - before.keys():
        type.__delattr__(kind, name)
    for name, value in before.items():
        if now.get(name, ABSENT) is not value:
            type.__setattr__(kind, name, value)


def restore_names(space: dict[str, Any], before: dict[str, Any]) -> None:
    for name, value in before.items():
        if space.get(name, ABSENT) is value:
            continue
        if value is ABSENT:
            del space[name]
        else:
            space[name] = value


def restore_tensor(
    tensor: Tensor, kind: type[Tensor], alias: Tensor, address: int, version: int, requires_grad: bool, held: OfTensor
) -> None:
    """Everything but the contents."""
    if type(tensor) is not kind:
        tensor.__class__ = kind
    if not _lies_as(tensor, alias, address):
        tensor.data = alias
    if tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)
    grad, hooks, accumulated = held
    if tensor.is_leaf and tensor.grad is not grad:
        tensor.grad = grad
    if tensor._backward_hooks is not hooks:
        tensor._backward_hooks = hooks
    if tensor._post_accumulate_grad_hooks is not accumulated:
        tensor._post_accumulate_grad_hooks = accumulated


def _lies_as(tensor: Tensor, alias: Tensor, address: int) -> bool:
    """In the same memory, in the same way."""
    if address < 0 or tensor.dtype != alias.dtype or tensor.size() != alias.size():
        return False
    return tensor.data_ptr() == address and tensor.stride() == alias.stride()
