"""Processes share work: they leave Ctrl-C to whoever started them, and end when that does, however it ends."""

import faulthandler
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Self, TypeVar

PATIENCE_S = 3600.0
"""What a process is asked takes no longer than so many seconds, and what is guessed beyond that: or it hangs."""

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


class Crew:
    """So many processes do the same work for many things: they start with the first, and stay to the end."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._stack = ExitStack()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def each(self, work: Callable[[G], R], given: Iterable[G], died: Callable[[G], R]) -> Iterator[tuple[G, R]]:
        """Do the work for each, so many at a time, and yield what comes of it as it is done.

        A process that dies takes the others along with it: what they were at is then done one by one, and that in
        which a process dies again has ``died``.
        """
        left = iter(given)
        while True:
            running: dict[Future[R], G] = {}
            taken: list[G] = []
            try:
                while True:
                    while len(running) < self.processes + 1 and (taken or (taken := [*islice(left, 1)])):
                        running[self._submitted(work, taken[0])] = taken[0]
                        taken = []
                    if not running:
                        return
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        found = future.result()
                        yield running.pop(future), found
            except BrokenProcessPool:
                self._close()
            for one in [*running.values(), *taken]:
                try:
                    with pool(1) as alone:
                        found = alone.submit(work, one).result()
                except BrokenProcessPool:
                    found = died(one)
                yield one, found

    def begun(self, work: Callable[[G], R], one: G) -> Future[R]:
        """Begin the work for one; in new processes, where an earlier one has died and taken the others along."""
        try:
            return self._submitted(work, one)
        except BrokenProcessPool:
            self._close()
            return self._submitted(work, one)

    def _submitted(self, work: Callable[[G], R], one: G) -> Future[R]:
        """Give it to the processes. Raises BrokenProcessPool where one has died, also while another one starts."""
        if self._pool is None:
            self._pool = self._stack.enter_context(pool(self.processes))
            for _ in range(self.processes):  # all start now: Python 3.11 trips where one dies while another starts
                self._submitted(repr, "started")
        try:
            return self._pool.submit(work, one)
        except OSError as error:  # of a pipe that is closed already
            raise BrokenProcessPool(str(error)) from error

    def _close(self) -> None:
        self._pool = None
        self._stack.close()


@contextmanager
def ends_after(seconds: float) -> Iterator[None]:
    """End this process where what is inside takes longer, whatever it is waiting for: it hangs."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        os.close(nowhere)


def died_twice(did: str, patience_s: float) -> str:
    """Say why there is no answer of a process that ran or made something, and of the next one for that alone."""
    return (
        f"the process that {did} it died twice: perhaps of too little memory, "
        f"or it hung for {patience_s / 3600:.1f} hours"
    )


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # of what is imported from here on; torch is told again
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # it was killed: nobody will ask for more
        os._exit(1)
