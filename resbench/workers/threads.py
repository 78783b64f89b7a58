"""A forward may work in threads of its own, into which nobody who watches the caller's thread sees.

>>> import threading
>>> with started() as threads:
...     thread = threading.Thread(target=print, args=("there",))
...     thread.start()
...     thread.join()
there
>>> list(threads.values())
['print in a thread of its own']
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ELSEWHERE = "in a thread of its own"
"""This stands behind the name of what was not seen."""


@contextmanager
def started() -> Iterator[dict[threading.Thread, str]]:
    """Note each thread that starts within the ``with``, beside what it runs.

    Those that torch starts are left out, and behind the ``with`` those that only watch in the background.
    """
    threads: dict[threading.Thread, str] = {}

    def note(frame: Any, event: str, argument: Any) -> None:
        sys.setprofile(None)  # one call is enough to know the thread
        thread = threading.current_thread()
        target = getattr(thread, "_target", None) or type(thread)
        home = str(getattr(target, "__module__", ""))
        if home.partition(".")[0] != "torch":
            name = "a pool's work" if home.startswith("concurrent.futures") else getattr(target, "__name__", "work")
            threads[thread] = f"{name} {ELSEWHERE}"

    before = threading.getprofile()
    threading.setprofile(note)
    try:
        yield threads
    finally:
        threading.setprofile(before)  # None takes it away
        for thread in [thread for thread in threads if thread.daemon and thread.is_alive()]:
            del threads[thread]
