"""Processes share work: they leave Ctrl-C to whoever started them, and end when that does, however it ends."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

G = TypeVar("G")
R = TypeVar("R")


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start so many processes; what they have not done when it ends is dropped."""
    others = active_children()
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as found:
        try:
            yield found
        finally:
            found.shutdown(wait=False, cancel_futures=True)
            for process in active_children():  # in the middle of a cell that nobody waits for
                if process not in others:
                    process.terminate()


def each(work: Callable[[G], R], given: Iterable[G], processes: int, died: Callable[[G], R]) -> Iterator[tuple[G, R]]:
    """Do the same work for each, so many at a time, and yield what comes of it as it is done.

    A process that dies takes the pool along with it: what the pool was at is then done one by one, and that in which a
    process dies again has ``died``.
    """
    left, again = iter(given), list[G]()
    while True:
        running: dict[Future[R], G] = {}
        taken: list[G] = []
        try:
            with pool(processes) as shared:
                while True:
                    while len(running) < processes + 1 and (taken or (taken := [*islice(left, 1)])):
                        running[shared.submit(work, taken[0])] = taken[0]
                        taken = []
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        found = future.result()
                        yield running.pop(future), found
        except BrokenProcessPool:
            again = [*running.values(), *taken]
        for one in again:
            try:
                with pool(1) as alone:
                    found = alone.submit(work, one).result()
            except BrokenProcessPool:
                found = died(one)
            yield one, found


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # of what is imported from here on; torch is told again
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # it was killed: nobody will ask for more
        os._exit(1)
