"""Random states and settings, which the process shares, are kept while others run."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from resbench.workers.switches import Setting, attribute, settings_kept

CUDNN, SDP = torch.backends.cudnn, torch.backends.cuda


def _default_device() -> torch.device | None:
    """Return the device that was set for good, or None, whatever ``with`` statements are open."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if context is None else context.device


SHARED: tuple[Setting, ...] = (
    (torch.get_num_threads, torch.set_num_threads),
    (_default_device, torch.set_default_device),
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
    attribute(CUDNN, "benchmark"),
    attribute(CUDNN, "deterministic"),
    (SDP.flash_sdp_enabled, SDP.enable_flash_sdp),
    (SDP.mem_efficient_sdp_enabled, SDP.enable_mem_efficient_sdp),
    (SDP.math_sdp_enabled, SDP.enable_math_sdp),
    (SDP.cudnn_sdp_enabled, SDP.enable_cudnn_sdp),
)
"""These settings are kept beside the switches."""


@contextmanager
def process_kept() -> Iterator[None]:
    """Put back whatever is drawn or set within, so that the process goes on as if nothing had been.

    These are torch's settings, and the random states of Python, numpy and torch, on every GPU in use too.
    """
    numpy = sys.modules.get("numpy")
    with settings_kept(*SHARED), ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(torch.set_rng_state, torch.get_rng_state())
        if numpy:
            stack.callback(numpy.random.set_state, numpy.random.get_state())
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        yield
