"""Choices of the whole process that change how torch computes, though no operator tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

SWITCHES: dict[str, Callable[[], bool]] = {
    "onednn_off": lambda: not torch.backends.mkldnn.enabled,
    "cudnn_off": lambda: not torch.backends.cudnn.enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "anomaly_detection": torch.is_anomaly_enabled,
}
"""What nobody leaves on who wants it fast."""


@contextmanager
def kept() -> Iterator[None]:
    """Whatever is changed within is as it was behind it, so that what comes next does not depend on it."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    anomaly, gradients, dtype = torch.is_anomaly_enabled(), torch.is_grad_enabled(), torch.get_default_dtype()
    onednn, cudnn, precision = (
        torch.backends.mkldnn.enabled,
        torch.backends.cudnn.enabled,
        torch.get_float32_matmul_precision(),
    )
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.autograd.set_detect_anomaly(anomaly)
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(dtype)
        torch.backends.mkldnn.enabled = onednn
        torch.backends.cudnn.enabled = cudnn
        torch.set_float32_matmul_precision(precision)
