"""Ray runs the cells of a sweep on a cluster: it schedules them, ships the code, and retries those whose worker died.

The driver alone writes rows. A cell asks for one core, for a GPU where it runs on one, and for the memory that is
predicted for it; so many are handed out as the cluster has room for, and half as many wait at the nodes.
"""

import builtins
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from resbench.errors import MeasureError, OptionError, first_line
from resbench.interrupts import noted
from resbench.sweeps.questions import Cell

if TYPE_CHECKING:
    from resbench.sweeps.answers import Answer

ANSWERS_S = 5.0
"""An address answers within so many seconds, or nobody is there."""

TRIES = 3
"""Starting a cluster of this machine takes ten seconds, and fails on a busy one: so often it is tried."""

RETRIES = 2
"""A cell is run again so often where its worker or its node died."""

DEATHS = 6
"""So often it is handed out anew where Ray gave it up for that: a node that dies takes a while to be known as dead."""

Bytes = Callable[[Cell], int]


@contextmanager
def connected(address: str, root: str | None) -> Iterator[None]:
    """Join the cluster at an address: ``auto``, ``HOST:PORT``, or ``local`` for one of this machine alone.

    What workers import of resbench is this copy; the folder of the data is their working folder. Raises MeasureError.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address not in ("auto", "local"):
        _reached(address, host, port)
    code = {"py_modules": [str(Path(__file__).parents[1])], "env_vars": {"OMP_NUM_THREADS": "1"}}
    shipped = {**code, **({"working_dir": root} if root else {})}
    quiet: dict[str, Any] = {"logging_level": "error", "log_to_driver": False, "configure_logging": False}
    quiet |= {"include_dashboard": False} if address == "local" else {}
    own_print = builtins.print
    try:
        begins = noted("stopping when the cluster has begun")
        with begins as interrupted, _own_handlers():  # one that is half begun leaves processes
            _begun(address, partial(ray.init, runtime_env=shipped, **quiet))
        if interrupted():
            raise KeyboardInterrupt
        yield
    finally:
        ray.shutdown()
        builtins.print = own_print  # which Ray replaces by its own, and leaves so


@contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep the handlers of signals: Ray sets one that ends the process where SIGTERM comes."""
    own = signal.signal
    signal.signal = lambda signalnum, handler: signal.getsignal(signalnum)
    try:
        yield
    finally:
        signal.signal = own


def _begun(address: str, begin: Callable[..., Any]) -> None:
    """Begin, again where it fails for a cluster of this machine. Raises MeasureError."""
    for left in reversed(range(TRIES)):
        try:
            begin(address=address)
            return
        except Exception as error:  # of many kinds, with pages of C++ behind some
            ray.shutdown()
            if address != "local" or not left:
                raise MeasureError(
                    f"no Ray cluster at {address}: {first_line(error)}; expected one that runs"
                ) from None


def _reached(address: str, host: str, port: str) -> None:
    """Ask whether somebody listens. Raises MeasureError."""
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise OptionError(f"--ray takes auto, local, or HOST:PORT with a port up to 65535; received {address!r}")
    try:
        socket.create_connection((host, int(port)), ANSWERS_S).close()
    except OSError as error:
        raise MeasureError(
            f"no Ray cluster at {address}: {first_line(error)}; expected auto, local, or HOST:PORT of a head node"
        ) from None


def each(
    work: "Callable[[Cell], Answer]",
    cells: Iterable[Cell],
    died: "Callable[[Cell, str], Answer]",
    memory: Bytes,
    patience_s: Callable[[Cell], float] = lambda _: inf,
) -> "Iterator[tuple[Cell, Answer]]":
    """Answer cells on the cluster that is joined, and yield what comes of each as it is done.

    One whose worker died after so many seconds, which is when a worker ends that hangs, is not handed out anew.
    """
    task = ray.remote(max_retries=RETRIES, retry_exceptions=False)(work)
    nodes: list[dict[str, float]] = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    most = max((int(node.get("memory", 0)) for node in nodes), default=0)
    gpus = sum(node.get("GPU", 0) for node in nodes)
    cores = sum(int(node.get("CPU", 0)) for node in nodes)
    again, tries = deque[Cell](), Counter[str]()
    running: dict[Any, tuple[Cell, float]] = {}

    def waiting() -> Iterator[Cell]:
        while again:
            yield again.popleft()
        yield from fresh

    fresh = iter(cells)
    while True:
        left = waiting()
        for cell in islice(left, max(0, cores + cores // 2 + 1 - len(running))):
            on_gpu, needs = cell.device.startswith("cuda"), memory(cell)
            if needs > most:
                yield (
                    cell,
                    died(cell, f"it needs {needs / 2**30:.1f} GiB, and no node has more than {most / 2**30:.1f}"),
                )
            elif on_gpu and not gpus:
                yield cell, died(cell, "no node of the cluster has a GPU")
            else:
                asked = task.options(num_cpus=1, num_gpus=int(on_gpu), memory=needs)
                there = replace(cell, how=replace(cell.how, root=".")) if cell.how.root else cell
                running[asked.remote(there)] = cell, time.monotonic()
        if not running:
            return
        done, _ = ray.wait([*running])
        for one in done:
            cell, since = running.pop(one)
            try:
                yield cell, ray.get(one)
            except RayError as error:
                tries[cell.key] += 1  # some deaths of a node Ray does not count as tries of its own
                hung = time.monotonic() - since > patience_s(cell)
                if tries[cell.key] <= DEATHS and not hung and not isinstance(error, RayTaskError):
                    again.append(cell)
                else:
                    yield cell, died(cell, f"{type(error).__name__}: {first_line(error)}")
