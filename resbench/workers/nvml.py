"""NVML tells the driver, the power limit and the throttling of a GPU that is measured.

NVML is part of the driver; the package nvidia-ml-py (module ``pynvml``) calls it. Without either there is no ``Gpu``.
Source: NVML API reference, "Device Queries" and "NvmlClocksEventReasons".

>>> reasons(0x1 | 0x4 | 0x40)  # idle says nothing about a measurement
('software power cap', 'hardware thermal slowdown')
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import torch

SLOWER = {
    0x04: "software power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""These reasons slow a measurement, by their bits. Left out are idle (0x1), clocks that a person chose (0x2, 0x100),
sync boost (0x10), and what a newer driver may add."""


def reasons(bits: int) -> tuple[str, ...]:
    """Return NVML's mask of clock event reasons as words."""
    return tuple(name for bit, name in SLOWER.items() if bits & bit)


def gpu(index: int) -> Gpu | None:
    """Return the GPU that torch calls ``cuda:index``; None where NVML is missing or does not know it."""
    nvml = _library()
    if nvml is None or not torch.cuda.is_available() or not 0 <= index < torch.cuda.device_count():
        return None
    handle = _handle(nvml, torch.cuda.get_device_properties(index))
    return None if handle is None else Gpu(nvml, handle)


class Gpu:
    """This queries one GPU; a query that fails gives None, and the others go on."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle

    def throttle(self) -> tuple[str, ...]:
        """Name what holds the clocks down now; nothing is named where nothing does, or the GPU does not say."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # its name before driver 535
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return reasons(bits or 0)

    def power_limit_w(self) -> float | None:
        """Return the limit in force, which is the lowest of all that were set."""
        milliwatts = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        return None if milliwatts is None else milliwatts / 1000

    def driver(self) -> str | None:
        """Return the version of the driver, as ``580.65.06``."""
        found = _asked(self._nvml, "nvmlSystemGetDriverVersion")
        return found.decode() if isinstance(found, bytes) else found

    def _ask(self, name: str) -> Any:
        return _asked(self._nvml, name, self._handle)


@cache
def _library() -> Any:
    """Return ``pynvml`` with NVML running, for the rest of the process; None without the package or the driver."""
    try:
        pynvml: Any = import_module("pynvml")
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handle(nvml: Any, properties: Any) -> Any:
    """Find a GPU by identity: NVML counts all in the order of the bus, torch those of CUDA_VISIBLE_DEVICES.

    The part of a GPU that MIG makes has an identity of its own; on the bus it is its GPU, which has the clocks.
    """
    named = getattr(properties, "uuid", None)
    found = _asked(nvml, "nvmlDeviceGetHandleByUUID", f"GPU-{named}".encode()) if named else None
    if found is None and hasattr(properties, "pci_bus_id"):
        place = f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
        found = _asked(nvml, "nvmlDeviceGetHandleByPciBusId", place.encode())
    return found


def _asked(nvml: Any, name: str, *arguments: Any) -> Any:
    """Return the answer to one query; None where this driver, this package or this GPU has none."""
    query: Callable[..., Any] | None = getattr(nvml, name, None)
    if query is None:
        return None
    try:
        return query(*arguments)
    except nvml.NVMLError:
        return None
