"""What torch.compile has made: how it is looked into without losing it, and whether it is what runs.

A dispatch mode over compiled code makes torch give it up for good and without a word: from then on its functions run as
they are written, for every instance, and compiling them again changes nothing (seen with torch 2.13). Whoever watches
operators therefore has compiled code stand back meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from resbench.workers.quiet import quiet_stderr

if TYPE_CHECKING:
    from resbench.workers.workload import Workload

REGION = "Torch-Compiled Region"
"""How torch's profiler calls a piece of compiled code that runs."""


@contextmanager
def as_written() -> Iterator[None]:
    """Within, compiled code runs as it is written; behind it runs compiled as before."""
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
    """Does any compiled code run in a workload that is ready? It is run once."""
    if not _compiler_is_loaded():
        return False
    with quiet_stderr(), torch.autograd.profiler.profile(use_kineto=False) as profiler:
        work.run()
        work.finish()
    return any(event.name.startswith(REGION) for event in profiler.function_events or ())
