"""This module looks into compiled code without losing it, and tells whether it runs.

A dispatch mode over compiled code makes torch give it up for good and without a word: from then on its functions run as
they are written, for every instance, and compiling them again changes nothing (seen with torch 2.13). Whoever watches
operators therefore has compiled code stand back meanwhile.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from resbench.workers.switches import quiet_stderr
from resbench.workers.workload import Workload

REGION = "Torch-Compiled Region"
"""torch's profiler calls a piece of compiled code that runs by this name."""


@contextmanager
def as_written() -> Iterator[None]:
    """Let compiled code run as it is written within the ``with``, and compiled as before behind it."""
    loaded = _compiler_is_loaded()  # asking it to stand back would load it: slow, and 40 MB
    try:
        with torch.compiler.set_stance("force_eager") if loaded else nullcontext():
            yield
    finally:
        if not loaded and _compiler_is_loaded():  # by what ran: it has noted what it saw, and compiled nothing
            torch._dynamo.reset()


def _compiler_is_loaded() -> bool:
    return "torch._dynamo" in sys.modules


def runs_compiled(work: Workload) -> bool:
    """Tell whether any compiled code runs in a workload that is ready; the workload is run once for it."""
    if not _compiler_is_loaded():
        return False
    with quiet_stderr(), torch.autograd.profiler.profile(use_kineto=False) as profiler:
        work.run()
        work.finish()
    return any(event.name.startswith(REGION) for event in profiler.function_events or ())
