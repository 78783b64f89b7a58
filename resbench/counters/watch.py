"""One run is counted, not timed: the numbers are the same in every process and on every machine of one torch.

By layer (the path of the innermost module that was open; ``""`` is the model itself), whatever is zero left out:

    params, macs, macs_backward       parameters where they are held; multiply-accumulates
    read_bytes, written_bytes         of each operator's tensors; views move nothing
    saved_bytes                       kept for the backward pass
    peak_bytes                        the most that was alive at one time, on the layer that was open then
    retained_bytes                    still alive after the run, and not before it
    copies, copied_bytes              clone, contiguous, copy_, a cast
    relayouts, channels_last          4-d results laid out otherwise than their input; laid out in channels_last
    upcasts                           results of a wider floating type than an input's
    syncs                             values brought to the host: ``.item()``, ``.tolist()``, ``.numpy()``, ``bool(x)``
    graph_breaks                      places where torch.compile leaves its graph
    kernels                           launches on an NVIDIA GPU
    onednn_off, cudnn_off,            1 where the process was left so: all operators are the same, and slower
    deterministic, anomaly_detection
    aten.add, backward aten.mul ...   how often each operator ran: in the forward pass, the backward pass, the step
"""

import gc
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resbench.arch.kinds import Kind
from resbench.counters.counts import Counted
from resbench.counters.graphs import graph_breaks
from resbench.counters.ledger import Ledger, storage_of
from resbench.counters.owner import Owner
from resbench.operators.boundaries import Modules
from resbench.operators.complexes import WholeConvolutions
from resbench.operators.composites import by_parts
from resbench.operators.dispatch import operator_of
from resbench.operators.macs import macs_of
from resbench.operators.moves import is_view
from resbench.operators.products import packed_weights
from resbench.operators.rules import CountedOperator
from resbench.workers.compiled import as_written
from resbench.workers.control_flow import ControlFlow, is_hidden
from resbench.workers.sampling import uncollected
from resbench.workers.switches import SWITCHES, attribute, put_back
from resbench.workers.threads import ELSEWHERE, started
from resbench.workers.workload import Workload

COPIES = frozenset("clone copy_ copy _to_copy contiguous".split())

SYNCS = frozenset("_local_scalar_dense equal nonzero masked_select _unique2 unique_dim unique_consecutive".split())
"""A GPU's host has to wait for the result of these operators."""

READ_BY_HOST = frozenset(
    (Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.cpu, Tensor.__repr__, Tensor.__format__)
)
"""The host waits for these too, where no operator tells."""

PASSES = ("forward", "backward")
"""The MACs of these phases are a network's: an optimiser's step has none."""

ALLOCATIONS = frozenset(("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach"))
"""These take memory that is not yet written, and so move nothing."""


def count(work: Workload, *, graph: bool = True) -> Counted:
    """Run a workload that is ready, some times over, and count. ``graph``: look for graph breaks too (seconds)."""
    with _passed_over(), uncollected():  # when Python collects its garbage would show in the peak
        return _count(work, graph)


@contextmanager
def _passed_over() -> Iterator[None]:
    """Let the collector pass over what is there already: it is no garbage of a run, and takes half a second to look at.

    Whoever has frozen objects keeps them so: ``gc.unfreeze`` would give all of them back.
    """
    ours = not gc.get_freeze_count()
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()


def _count(work: Workload, graph: bool) -> Counted:
    modules = Modules(work.model)
    found: defaultdict[int, Counter[str]] = defaultdict(Counter)
    with put_back(attribute(torch.backends.cudnn, "benchmark")):
        torch.backends.cudnn.benchmark = False  # cuDNN takes what it always takes, not what was fastest this time
        watch(work, modules)  # lazy state: an optimiser's momentum, cached tables, and what imports leave in cycles
        watched = watch(work, modules)
        for phase, books in watched.books.items():
            for number, book in books.items():
                found[number].update(_named(phase, book))
        found[watched.peak_owner]["peak_bytes"] = watched.peak
        found[0]["retained_bytes"] = watched.retained
        found[0].update(name for name, on in SWITCHES.items() if on())
        for number, nbytes in saved(work, modules).items():
            found[number]["saved_bytes"] = nbytes
        if work.setup.kind == "cuda":
            found[0]["kernels"] = _kernels(work)
    numbers = {name: number for number, name in enumerate(modules.names)}
    for name, parameter in work.model.named_parameters():  # a tied one belongs to the first
        found[numbers[name.rpartition(".")[0]]]["params"] += parameter.numel()
    if graph:
        found[0].update(graph_breaks(work))
    return Counted({modules.names[n]: dict(sorted((+found[n]).items())) for n in sorted(found) if +found[n]})


def _named(phase: str, book: Counter[str]) -> dict[str, int]:
    """Put operators and MACs under the name of the phase that is not the forward pass."""
    if phase == "forward":
        return dict(book)
    return {(f"macs_{phase}" if k == "macs" else f"{phase} {k}" if "." in k else k): v for k, v in book.items()}


@dataclass
class Watched:
    """One run is booked by phase and module number."""

    books: dict[str, defaultdict[int, Counter[str]]]
    callers: set[int]
    """These modules call others."""
    peak: int
    peak_owner: int
    retained: int
    uncounted: defaultdict[int, Counter[str]]
    """These operators of both passes have no formula for their MACs, by module number."""
    kinds: defaultdict[int, set[Kind]]
    """Operators of these kinds ran in the forward pass, by module number."""


def watch(work: Workload, modules: Modules) -> Watched:
    """Run once; book each operator on the module that is open, in the backward pass on the one that made the node."""
    call, watched = work.call, _watched(work, modules)
    return watched if work.call is call else _watched(work, modules)  # the run began again, with gradients


def _watched(work: Workload, modules: Modules) -> Watched:
    whose = Owner()
    ledger = Ledger(_held(work))
    books: dict[str, defaultdict[int, Counter[str]]] = {}
    before = ledger.now
    booking = _Booking(whose, ledger)
    with as_written(), modules.watched(whose.pass_on):
        for phase, run in work.phases:
            booking.books = books[phase] = defaultdict(Counter)
            booking.phase = phase
            whose.backward = phase == "backward"
            with booking, booking.calls, started() as threads:
                run()
            for thread, called in whose.elsewhere.items():
                threads.pop(thread, None)
                for number in called:
                    booking.uncounted[number][f"{modules.names[number]} {ELSEWHERE}"] += 1
            if threads:
                booking.uncounted[0].update(threads.values())
            whose.elsewhere.clear()
    gc.collect()
    retained = max(0, ledger.now - before)
    return Watched(books, whose.callers, ledger.most, ledger.owner, retained, booking.uncounted, booking.kinds)


def _held(work: Workload) -> list[Tensor]:
    """List what is there before a run begins."""
    state = work.optimizer.state.values() if hasattr(work, "optimizer") else ()
    states = [value for entry in state for value in entry.values() if isinstance(value, Tensor)]
    return [*work.model.parameters(), *work.model.buffers(), *work.tensors, *states]


class _Booking(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Each operator is booked on its owner."""

    supports_higher_order_operators = True

    def __init__(self, whose: Owner, ledger: Ledger) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.whose, self.ledger = whose, ledger
        self.books: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.uncounted: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self.kinds: defaultdict[int, set[Kind]] = defaultdict(set)
        self.phase = ""
        self.calls = _Calls(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_hidden(func):
            self.uncounted[self.whose()][func.__name__] += 1
            return func(*args, **(kwargs or {}))
        if (out := by_parts(self, func, args, kwargs)) is not NotImplemented:
            return out
        out = func(*args, **(kwargs or {}))
        if func.namespace == "profiler":
            return out
        owner = self.whose()
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        book, name = self.books[owner], func.overloadpacket._qualified_op_name.replace("::", ".")
        plain = name.rpartition(".")[2]
        book[name] += 1
        book["macs"] += self._macs(func, args, kwargs, out, owner)
        if self.phase == "forward" and not is_view(func):
            operator = operator_of(func)
            self.kinds[owner].add(operator.kind if operator else "unknown")
        if not is_view(func) and plain not in ALLOCATIONS:
            self._book_moves(book, plain, [*given, *packed_weights(args)], results)
        if func._schema.is_mutable:
            for tensor in given:
                self.ledger.seen(tensor)
        for tensor in results:
            self.ledger.add(tensor, owner)
        return out

    def _book_moves(self, book: Counter[str], name: str, given: list[Tensor], results: list[Tensor]) -> None:
        written = _bytes(results)
        book["read_bytes"] += _bytes({id(tensor): tensor for tensor in given}.values())
        book["written_bytes"] += written
        book["syncs"] += name in SYNCS
        if name in COPIES:
            book["copies"] += 1
            book["copied_bytes"] += written
        if not results:
            return
        layout, before = layout_of(results[0]), next((layout_of(t) for t in given if t.dim() == 4), None)
        book["channels_last"] += layout == "channels_last"
        book["relayouts"] += layout is not None and before is not None and layout != before
        widths = [tensor.element_size() for tensor in given if tensor.is_floating_point()]
        book["upcasts"] += results[0].is_floating_point() and bool(widths) and results[0].element_size() > min(widths)

    def _macs(self, func: Any, args: Any, kwargs: Any, out: Any, owner: int) -> int:
        if self.calls.inside:
            return 0
        macs = macs_of(func, args, kwargs, out, backward=self.phase == "backward", node=self.whose.node())
        if macs is None and self.phase in PASSES:
            self.uncounted[owner][str(func.overloadpacket)] += 1
        return self.calls.counted(macs or 0, owner)

    def book(self, operator: CountedOperator, args: Any, out: Any) -> None:
        """Book what was seen whole, beside its parts: they move what they move."""
        self.books[self.whose()]["macs"] += operator.work(args, out)[0]


class _Calls(WholeConvolutions):
    """It books what no operator shows: what reaches the host, and a complex convolution that torch takes apart."""

    def __init__(self, booking: _Booking) -> None:
        super().__init__(booking.book)
        self.booking = booking

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READ_BY_HOST:
            self.booking.books[self.booking.whose()]["syncs"] += 1
        return super().__torch_function__(func, types, args, kwargs)


def saved(work: Workload, modules: Modules) -> Counter[int]:
    """Count the bytes that each module keeps for the backward pass, each storage once, by module number."""
    whose, sizes = Owner(), Counter[int]()
    before = (*work.model.parameters(), *work.model.buffers(), *work.tensors)
    held = {storage.data_ptr() for storage in map(storage_of, before) if storage is not None}
    alive: list[Tensor] = []  # so that no storage is taken for another that came to lie in its place

    def pack(tensor: Tensor) -> Tensor:
        storage = storage_of(tensor)
        if storage is not None and storage.data_ptr() not in held:
            held.add(storage.data_ptr())
            alive.append(tensor.detach())
            sizes[whose()] += storage.nbytes()
        return tensor

    kept = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with as_written(), modules.watched(whose.pass_on), ControlFlow():
        for phase, run in work.phases:
            with kept if phase == "forward" else nullcontext():
                run()
    return sizes


def _kernels(work: Workload) -> int:
    """Count the launches on the GPU in one run."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    # it warns that its events are cleared at the end of a cycle
    with warnings.catch_warnings(action="ignore"), profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work.run()
        torch.cuda.synchronize()
    done = [event for event in profiler.events() if event.device_type.name == "CUDA"]
    # a span that somebody named, such as an optimiser's step, is none; older torch does not say
    launches = [event for event in done if not getattr(event, "is_user_annotation", False)]
    return sum(not str(event.name).startswith(("Memcpy", "Memset")) for event in launches)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def layout_of(tensor: Tensor) -> str | None:
    """Tell the layout of four dimensions; None where it is both, or nothing tells."""
    if tensor.dim() != 4:
        return None
    plain, last = tensor.is_contiguous(), tensor.is_contiguous(memory_format=torch.channels_last)
    if plain and last:
        return None
    return "contiguous" if plain else "channels_last" if last else "other"
