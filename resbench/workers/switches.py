"""Choices of the whole process change how torch computes, though no operator tells; what is changed is put back."""

import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from resbench.workers.waiting import waiting

SWITCHES: dict[str, Callable[[], bool]] = {
    "onednn_off": lambda: not torch.backends.mkldnn.enabled,
    "cudnn_off": lambda: not torch.backends.cudnn.enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "anomaly_detection": torch.is_anomaly_enabled,
}
"""Nobody leaves these on who wants it fast."""


UNASKED: dict[str, Callable[[str, bool], bool]] = {
    "oneDNN was off": lambda kind, _: kind == "cpu" and not torch.backends.mkldnn.enabled,
    "cuDNN was off": lambda kind, _: kind == "cuda" and not torch.backends.cudnn.enabled,
    "cuDNN did not look for the fastest": lambda kind, _: kind == "cuda" and not torch.backends.cudnn.benchmark,
    "cuDNN was deterministic": lambda kind, _: kind == "cuda" and torch.backends.cudnn.deterministic,
    "deterministic algorithms were on": lambda *_: torch.are_deterministic_algorithms_enabled(),
    "anomaly detection was on": lambda *_: torch.is_anomaly_enabled(),
    "flash attention was off": lambda *_: not torch.backends.cuda.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
    "torch's default dtype was not float32": lambda *_: torch.get_default_dtype() != torch.float32,
    "threads slept while they waited": lambda kind, _: (
        kind == "cpu" and torch.get_num_threads() > 1 and waiting() == "passive"
    ),
    "gradients were recorded": lambda _, inference: (
        inference and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    ),
}
"""No setup asks for these; each tells whether it holds on a kind of device, in inference or not."""


def unasked(kind: str, inference: bool) -> tuple[str, ...]:
    """Name what holds at this moment though no setup asks for it."""
    return tuple(words for words, holds in UNASKED.items() if holds(kind, inference))


def float32_in(kind: str, convolution: bool) -> str:
    """Return how a product of float32 numbers runs at this moment: ``fp32``, ``tf32``, or ``fp32 as bf16``.

    oneDNN takes the narrower one only on processors that have it, which nothing tells.
    """
    backends: Any = torch.backends
    if kind not in ("cuda", "cpu"):
        return "fp32"
    if not hasattr(backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        place = backends.cudnn if convolution else backends.cuda.matmul
        return "tf32" if kind == "cuda" and place.allow_tf32 else "fp32"
    if kind == "cuda":
        place = backends.cudnn.conv if convolution else backends.cuda.matmul
        return "tf32" if place.fp32_precision == "tf32" else "fp32"
    precision = (backends.mkldnn.conv if convolution else backends.mkldnn.matmul).fp32_precision
    return f"fp32 as {precision}" if precision in ("bf16", "tf32") else "fp32"


Setting = tuple[Callable[[], Any], Callable[[Any], object]]
"""A setting is read by the first function, and set by the second."""


def attribute(place: Any, name: str) -> Setting:
    """Return the setting that is an attribute of a module or object."""
    return partial(getattr, place, name), partial(setattr, place, name)


@contextmanager
def put_back(*settings: Setting) -> Iterator[None]:
    """Put settings back when the ``with`` ends; one that is as it was is not set."""
    before = [read() for read, _ in settings]
    try:
        yield
    finally:
        for (read, put), value in zip(settings, before, strict=True):
            if read() != value:
                put(value)


@contextmanager
def unfused() -> Iterator[None]:
    """Let encoder layers and attention run in parts, each with its own dtype, and not in one operator."""
    with put_back((torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled)):
        torch.backends.mha.set_fastpath_enabled(False)
        yield


def settings_kept(*more: Setting) -> AbstractContextManager[None]:
    """Put the switches, and further settings, back when the ``with`` ends, so that nothing depends on what ran."""
    return put_back(*SETTINGS, *_precisions(), *more)


def _matmul_precision() -> str | None:
    """Return the precision of float32 products by torch's first setting; None once a library's contradicts it."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _set_matmul_precision(precision: str | None) -> None:
    if precision:
        torch.set_float32_matmul_precision(precision)


SETTINGS: tuple[Setting, ...] = (
    (
        lambda: (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()),
        lambda both: torch.use_deterministic_algorithms(both[0], warn_only=both[1]),
    ),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_default_dtype, torch.set_default_dtype),
    attribute(torch.backends.mkldnn, "enabled"),
    attribute(torch.backends.cudnn, "enabled"),
    (_matmul_precision, _set_matmul_precision),
)


def _precisions() -> list[Setting]:
    """Return the settings of the precision of float32 products since torch 2.9, those that others follow first."""
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return []
    intel, nvidia = backends.mkldnn, backends.cudnn
    wide, narrow = (backends, nvidia), (backends.cuda.matmul, nvidia.conv, nvidia.rnn)
    return [attribute(place, "fp32_precision") for place in (*wide, intel.matmul, intel.conv, intel.rnn, *narrow)]


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
        (partial(torch.is_autocast_enabled, kind), partial(torch.set_autocast_enabled, kind))
        for kind in ("cpu", "cuda")
    ),
    *((partial(torch.get_autocast_dtype, kind), partial(torch.set_autocast_dtype, kind)) for kind in ("cpu", "cuda")),
    attribute(torch.backends.cudnn, "benchmark"),
    attribute(torch.backends.cudnn, "deterministic"),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp),
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


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what libkineto prints on its own from the terminal, and show it after all if the run fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except BaseException:
            printed.seek(0)
            lines = [line for line in printed if not line.startswith(b"USDT:")]  # that it starts and stops
            os.write(terminal, b"".join(lines))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
