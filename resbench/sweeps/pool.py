"""Processes share work: they leave Ctrl-C to whoever started them, and end when that does, however it ends."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from threading import Thread


@contextmanager
def pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start so many processes; what they have not begun when it ends is dropped."""
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin) as found:
        try:
            yield found
        finally:
            found.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()  # it was killed: nobody will ask for more
        os._exit(1)
