"""Choices of the whole process that change how torch computes, though no operator tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

SWITCHES: dict[str, Callable[[], bool]] = {
    "onednn_off": lambda: not torch.backends.mkldnn.enabled,
    "cudnn_off": lambda: not torch.backends.cudnn.enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "anomaly_detection": torch.is_anomaly_enabled,
}
"""What nobody leaves on who wants it fast."""


UNASKED: dict[str, Callable[[str], bool]] = {
    "oneDNN was off": lambda kind: kind == "cpu" and not torch.backends.mkldnn.enabled,
    "cuDNN was off": lambda kind: kind == "cuda" and not torch.backends.cudnn.enabled,
    "cuDNN did not look for the fastest": lambda kind: kind == "cuda" and not torch.backends.cudnn.benchmark,
    "cuDNN was deterministic": lambda kind: kind == "cuda" and torch.backends.cudnn.deterministic,
    "deterministic algorithms were on": lambda kind: torch.are_deterministic_algorithms_enabled(),
    "anomaly detection was on": lambda kind: torch.is_anomaly_enabled(),
    "flash attention was off": lambda kind: not torch.backends.cuda.flash_sdp_enabled(),  # type: ignore[no-untyped-call]
    "torch's default dtype was not float32": lambda kind: torch.get_default_dtype() != torch.float32,
}
"""What no setup asks for, by the words for it: does it hold on this kind of device?"""


def unasked(kind: str, inference: bool) -> tuple[str, ...]:
    """What holds at this moment though no setup asks for it."""
    recorded = inference and torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    found = [words for words, holds in UNASKED.items() if holds(kind)]
    return (*found, "gradients were recorded") if recorded else tuple(found)


def float32_in(kind: str, convolution: bool) -> str:
    """In what a product of float32 numbers runs at this moment: ``fp32``, ``tf32``, or ``fp32 as bf16``.

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


@contextmanager
def unfused() -> Iterator[None]:
    """Encoder layers and attention run in parts, each with its own dtype, and not in one operator of their own."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is changed within is as it was behind it, so that what comes next does not depend on it."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    anomaly, gradients, dtype = torch.is_anomaly_enabled(), torch.is_grad_enabled(), torch.get_default_dtype()
    onednn, cudnn = torch.backends.mkldnn.enabled, torch.backends.cudnn.enabled
    precision, precisions = _of_matmul(), [place.fp32_precision for place in _places()]
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.autograd.set_detect_anomaly(anomaly)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        torch.backends.mkldnn.enabled = onednn
        torch.backends.cudnn.enabled = cudnn
        if precision and _of_matmul() != precision:
            torch.set_float32_matmul_precision(precision)
        for place, before in zip(_places(), precisions, strict=True):
            if place.fp32_precision != before:  # what only follows its library's setting is not set itself
                place.fp32_precision = before


def _of_matmul() -> str | None:
    """The precision of float32 products by torch's first setting; None once a library's own contradicts it."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


def _places() -> list[Any]:
    """Where the precision of float32 products is set since torch 2.9, the ones that others follow first."""
    backends: Any = torch.backends
    if not hasattr(backends.cuda.matmul, "fp32_precision"):
        return []
    intel, nvidia = backends.mkldnn, backends.cudnn
    return [
        *(backends, nvidia, intel.matmul, intel.conv, intel.rnn),
        *(backends.cuda.matmul, nvidia.conv, nvidia.rnn),
    ]
