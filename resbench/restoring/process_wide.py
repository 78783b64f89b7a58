"""What the whole process shares, kept while others run: random states, the defaults of torch, its switches."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from resbench.workers.switches import kept

CUDNN, SDP = torch.backends.cudnn, torch.backends.cuda

SHARED: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_num_threads, torch.set_num_threads),
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled),
    (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    *(
        (lambda kind=kind: torch.is_autocast_enabled(kind), lambda on, kind=kind: torch.set_autocast_enabled(kind, on))
        for kind in ("cpu", "cuda")
    ),
    *(
        (lambda kind=kind: torch.get_autocast_dtype(kind), lambda d, kind=kind: torch.set_autocast_dtype(kind, d))
        for kind in ("cpu", "cuda")
    ),
    (lambda: CUDNN.benchmark, lambda on: setattr(CUDNN, "benchmark", on)),
    (lambda: CUDNN.deterministic, lambda on: setattr(CUDNN, "deterministic", on)),
    (SDP.flash_sdp_enabled, SDP.enable_flash_sdp),
    (SDP.mem_efficient_sdp_enabled, SDP.enable_mem_efficient_sdp),
    (SDP.math_sdp_enabled, SDP.enable_math_sdp),
    (SDP.cudnn_sdp_enabled, SDP.enable_cudnn_sdp),
)
"""Beside the switches: how each is read, and how it is set."""


@contextmanager
def process_kept() -> Iterator[None]:
    """Whatever is drawn or set within: behind it the process goes on as if nothing had been."""
    before = [read() for read, _ in SHARED]
    device = _default_device()
    with kept(), _draws_kept():
        try:
            yield
        finally:
            for (read, put), value in zip(SHARED, before, strict=True):
                if read() != value:
                    put(value)
            if _default_device() != device:
                torch.set_default_device(device)


@contextmanager
def _draws_kept() -> Iterator[None]:
    """The random states of Python, numpy and torch, on every GPU in use too."""
    numpy = sys.modules.get("numpy")
    python, legacy, cpu = random.getstate(), numpy.random.get_state() if numpy else None, torch.get_rng_state()
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = torch.cuda.get_rng_state_all() if in_use else []
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(legacy)
        torch.set_rng_state(cpu)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)


def _default_device() -> torch.device | None:
    """The one that was set for good; None where there is none, whatever ``with`` statements are open."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device
