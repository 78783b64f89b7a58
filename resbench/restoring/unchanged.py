"""A snapshot of a model, and of all that it reaches, puts it back when others have run it.

>>> net = torch.nn.Sequential(torch.nn.Linear(2, 2))
>>> with unchanged(net):
...     handle = net.half().register_forward_hook(print)
...     net.seen = net[0].weight.data.zero_()
>>> net[0].weight.dtype, bool(net[0].weight.any()), hasattr(net, "seen"), len(net._forward_hooks)
(torch.float32, True, False, 0)

The walk goes from the model through containers, instances, the closures and defaults of functions, weak references and
the classes of what it meets; from a function that is in no installed package to the globals that it names. What it
meets is put back in place: whoever else holds a dict, a list or a tensor sees it as it was. The machinery of Python and
of torch is left alone.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.utils._pytree import tree_leaves

from resbench.restoring.holders import (
    ABSENT,
    HOLDERS,
    Undo,
    counted_from,
    keep_slot,
    parts_of,
    refill,
    restore_class,
    restore_names,
    restore_tensor,
    same_entries,
    set_version,
    slots_of,
    storage,
)
from resbench.restoring.machinery import ATOMS, CHANGEABLE, DATA, is_machinery, is_own, names_in
from resbench.workers.switches import process_kept

_KeptTensor = tuple[Tensor, type[Tensor], Tensor, int, int, dict[str, Any]]
"""A tensor stands beside its class, another of the same memory, its address and version, and its attributes."""


@contextmanager
def unchanged(*roots: Any, contents: bool = True) -> Iterator[Snapshot]:
    """Put the roots back, as they are now, when the ``with`` ends, after a failure and Ctrl-C too.

    ``contents=False`` copies no parameter and no buffer beforehand: before an operator writes into one, whoever runs
    the model calls ``writing``.
    """
    snapshot = Snapshot(roots, contents)
    modules = (part for root in roots if isinstance(root, nn.Module) for part in root.modules())
    scripted = [(part, part.training) for part in modules if isinstance(part, torch.jit.ScriptModule)]
    with process_kept():
        try:
            yield snapshot
        finally:
            try:
                snapshot.restore()
            except KeyboardInterrupt:
                snapshot.restore()
                raise
            finally:
                for part, mode in scripted:  # whose mode lies where Python does not see it
                    part.training = mode
                vars(snapshot).clear()  # it holds its own methods: a large model would wait for the garbage collector


class Snapshot:
    """A snapshot keeps what is reachable and how it is, and puts it back.

    ``seen``        the identities of all things; ``alive`` holds those to which there may be weak references alone, so
                    that nothing else takes their place
    ``tables``      dictionaries, each beside its entries
    ``names``       namespaces of which only some names are looked at
    ``bytes``       by storage, its bytes and those that it had
    ``counters``    each beside another that goes on where it was
    ``orders``      what the lists and cells held
    """

    def __init__(self, roots: Iterable[Any], contents: bool = True) -> None:
        self.contents = contents
        self.seen: set[int] = set()
        self.tables: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.names: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.classes: list[tuple[type, dict[str, Any]]] = []
        self.tensors: list[_KeptTensor] = []
        self.undo: list[Undo] = []
        self.alive: list[Any] = []
        self.bytes: dict[int, tuple[Tensor, Tensor]] = {}
        self.counters: list[tuple[itertools.count[Any], itertools.count[Any]]] = []
        self.orders: list[list[Any]] = []
        self._buffers: set[int] = set()
        self._storages: dict[int, Tensor] = {}
        self._keepers: dict[type, Callable[[Any], Iterable[Any]]] = {
            itertools.count: self._counter,
            types.FunctionType: self._function,
            OrderedDict: self._ordered,
            tuple: iter,
            frozenset: iter,
        }
        self.include(*roots, *self._named(vars(hooks), [name for name in vars(hooks) if name.startswith("_global_")]))

    def holds(self, thing: object) -> bool:
        """Tell whether a thing was reachable before."""
        return id(thing) in self.seen

    def writing(self, *arguments: Any) -> None:
        """Keep the contents of tensors before an operator with these arguments writes into one of them."""
        for leaf in tree_leaves(arguments):
            if isinstance(leaf, Tensor) and not leaf.is_meta:
                alias = self._storages.get(storage(leaf))
                if alias is not None:
                    self._copy(alias)

    # -- the walk ------------------------------------------------------------------------------------------------

    def include(self, *roots: Any) -> None:
        """Keep these things too, as they are now, with all that is reachable from them."""
        seen, keepers, waiting = self.seen, self._keepers, list(roots)
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            while waiting:
                thing = waiting.pop()
                kind = type(thing)
                if kind not in ATOMS and id(thing) not in seen:
                    seen.add(id(thing))
                    if kind not in keepers:
                        keepers[kind] = self._keeper(kind)
                    waiting += keepers[kind](thing)

    def _keeper(self, kind: type) -> Callable[[Any], Iterable[Any]]:
        """Return the function that keeps the things of one type, and gives what they hold."""
        if issubclass(kind, types.ModuleType):
            return lambda thing: ()
        if issubclass(kind, type):
            return lambda thing: self._class(thing) if is_own(sys.modules.get(str(thing.__module__))) else ()
        if issubclass(kind, Tensor):
            return self._tensor
        parts: list[Callable[[Any], Iterable[Any]]] = []
        if issubclass(kind, dict):
            parts.append(self._dict)
        known = next((HOLDERS[base] for base in kind.__mro__ if base in HOLDERS), None)
        if known:
            parts.append(lambda thing: self._hold(*known(thing)))
        home = str(kind.__module__)
        attributes = kind.__flags__ & CHANGEABLE or kind.__dictoffset__  # a namespace of C has them too
        is_data = attributes and (not is_machinery(home) or home.startswith(DATA))
        if is_data or issubclass(kind, nn.Module):
            members = slots_of(kind) if is_data else []
            parts.append(lambda thing: self._instance(thing, members))
        return lambda thing: [held for part in parts for held in part(thing)]

    def _hold(self, held: Iterable[Any], undo: Undo | None) -> Iterable[Any]:
        if undo:
            self.undo.append(undo)
            if type(held) is list:
                self.orders.append(held)
        else:
            self.alive.append(held)
        return held

    def _counter(self, counter: itertools.count[Any]) -> Iterable[Any]:
        self.counters.append((counter, counted_from(counter)))
        return ()

    def _dict(self, table: dict[Any, Any]) -> Iterable[Any]:
        saved = self._entries(table)
        return (*saved, *saved.values())

    def _ordered(self, table: OrderedDict[Any, Any]) -> Iterable[Any]:
        """Keep a table as ``_keeper`` would: every module has a dozen, and most are empty."""
        saved, attributes = self._entries(table), self._entries(vars(table))
        return (*saved, *saved.values(), *attributes.values()) if saved or attributes else ()

    def _entries(self, table: dict[Any, Any]) -> dict[Any, Any]:
        saved = table.copy() if type(table) is dict else dict(dict.items(table))
        self.tables.append((table, saved))
        return saved

    def _instance(self, thing: Any, members: list[Any]) -> Iterable[Any]:
        """Keep the attributes of an instance, and its class."""
        kind = type(thing)
        found = list[Any]()
        if id(kind) not in self.seen:
            found += self._class(kind)
        for member in members:
            found += self._hold(*keep_slot(member, thing))
        fields = getattr(thing, "__dict__", None)
        if isinstance(thing, nn.Module):
            self.undo.append(partial(object.__setattr__, thing, "__class__", kind))
            self._buffers.update(map(id, thing._buffers.values()))
        if type(fields) is dict:
            found += self._entries(fields).values()
        return found

    def _class(self, kind: type) -> Iterable[Any]:
        """Keep what a class and its bases hold themselves."""
        found: list[Any] = []
        for base in kind.__mro__:
            if base is kind or id(base) not in self.seen:
                self.seen.add(id(base))
                if base.__flags__ & CHANGEABLE and (
                    base.__module__.startswith("torch.nn") or not is_machinery(base.__module__)
                ):
                    saved = dict(vars(base))
                    self.classes.append((base, saved))
                    found += saved.values()
        return found

    def _function(self, function: types.FunctionType) -> Iterable[Any]:
        """Keep what a function encloses, its defaults and attributes.

        The globals that it names are kept too where it is in no installed package.
        """
        if is_machinery(function.__module__):
            return ()
        found = [*(function.__closure__ or ()), *(function.__defaults__ or ()), function.__kwdefaults__]
        found += self._entries(vars(function)).values()
        space = function.__globals__
        if is_own(sys.modules.get(str(space.get("__name__")))):
            found += self._named(space, names_in(function.__code__))
        return found

    def _named(self, space: dict[str, Any], names: Iterable[str]) -> Iterable[Any]:
        saved = {name: space.get(name, ABSENT) for name in names}
        self.names.append((space, saved))
        return saved.values()

    def _tensor(self, tensor: Tensor) -> Iterable[Any]:
        parts = parts_of(tensor)
        try:
            address, version = tensor.data_ptr(), tensor._version
        except RuntimeError:  # a tensor without memory of its own, or of inference mode
            address = version = -1
        alias = tensor.data
        names = ("requires_grad", "_backward_hooks", "_post_accumulate_grad_hooks")
        attributes = {name: getattr(tensor, name) for name in names}
        if tensor.is_leaf:
            attributes["grad"] = tensor.grad
        self._storages[storage(alias)] = alias
        self.tensors.append((tensor, type(tensor), alias, address, version, attributes))
        if not parts and (self.contents or not (isinstance(tensor, nn.Parameter) or id(tensor) in self._buffers)):
            self._copy(alias)
        return (*parts, *attributes.values(), *self._entries(tensor.__dict__).values())

    def _copy(self, alias: Tensor) -> None:
        """Keep the bytes of a tensor's storage."""
        identity = storage(alias)
        if identity and identity not in self.bytes and not alias.is_meta:
            raw = torch.empty(0, dtype=torch.uint8, device=alias.device).set_(alias.untyped_storage())
            self.bytes[identity] = raw, raw.clone()

    # -- and back ------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Put everything back; nothing is written where nothing has changed."""
        self._turn_back()
        for kind, members in self.classes:
            restore_class(kind, members)
        for table, saved in self.tables:
            if (table or saved) and not same_entries(table, saved):
                refill(table, saved)
        for space, names in self.names:
            restore_names(space, names, space.__setitem__, space.__delitem__)
        for undo in self.undo:
            undo()
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            for kept_tensor in self.tensors:
                restore_tensor(*kept_tensor)
            for raw, before in self.bytes.values():
                if raw.untyped_storage().nbytes() != before.nbytes:
                    raw.untyped_storage().resize_(before.nbytes)
                if not torch.equal(raw, before):
                    raw.copy_(before)
            for tensor, _, _, _, version, *_ in self.tensors:
                if version >= 0 and tensor._version != version:
                    set_version(tensor, version)

    def _turn_back(self) -> None:
        """Put another counter in the place of one that has moved, the same wherever it was held: none turns back."""
        moved = {id(counter): fresh for counter, fresh in self.counters if repr(counter) != repr(fresh)}
        if not moved:
            return
        for _, saved in (*self.tables, *self.classes, *self.names):
            saved.update([(key, moved[id(value)]) for key, value in saved.items() if id(value) in moved])
        for order in self.orders:
            order[:] = [moved.get(id(value), value) for value in order]
