"""NVML tells the driver, the power limit and the throttling of a GPU that is measured.

NVML is part of the driver; the package nvidia-ml-py (module ``pynvml``) calls it. Without either, or where a query
fails, the answer is None, or no reason. A GPU is named by its index as torch counts, ``cuda:index``.
Source: NVML API reference, "Device Queries" and "NvmlClocksEventReasons".

>>> reasons(0x1 | 0x4 | 0x40)  # idle says nothing about a measurement
('software power cap', 'hardware thermal slowdown')
"""

from functools import cache
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


def throttle(index: int) -> tuple[str, ...]:
    """Name what holds the clocks of a GPU down now; nothing is named where nothing does, or the GPU does not say."""
    bits = _asked_of(index, "nvmlDeviceGetCurrentClocksEventReasons")
    if bits is None:  # its name before driver 535
        bits = _asked_of(index, "nvmlDeviceGetCurrentClocksThrottleReasons")
    return reasons(bits or 0)


def power_limit_w(index: int) -> float | None:
    """Return the limit in force, which is the lowest of all that were set."""
    milliwatts = _asked_of(index, "nvmlDeviceGetEnforcedPowerLimit")
    return None if milliwatts is None else milliwatts / 1000


def driver() -> str | None:
    """Return the version of the driver, as ``580.65.06``."""
    found = _asked("nvmlSystemGetDriverVersion")
    return found.decode() if isinstance(found, bytes) else found


@cache
def _library() -> Any:
    """Return ``pynvml`` with NVML running, for the rest of the process; None without the package or the driver."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        return None
    except pynvml.NVMLError:
        return None
    return pynvml


@cache
def _handle(index: int) -> Any:
    """Find a GPU by identity: NVML counts all in the order of the bus, torch those of CUDA_VISIBLE_DEVICES.

    The part of a GPU that MIG makes has an identity of its own; on the bus it is its GPU, which has the clocks.
    """
    properties: Any = torch.cuda.get_device_properties(index)
    found = _asked("nvmlDeviceGetHandleByUUID", f"GPU-{properties.uuid}".encode())
    if found is None and hasattr(properties, "pci_bus_id"):
        place = f"{properties.pci_domain_id:08x}:{properties.pci_bus_id:02x}:{properties.pci_device_id:02x}.0"
        found = _asked("nvmlDeviceGetHandleByPciBusId", place.encode())
    return found


def _asked_of(index: int, name: str) -> Any:
    """Return what NVML answers of one GPU; None where it does not know the GPU, or has no answer."""
    handle = _handle(index)
    return None if handle is None else _asked(name, handle)


def _asked(name: str, *arguments: Any) -> Any:
    """Return the answer to one query; None where this driver, this package or this GPU has none."""
    nvml = _library()
    query = getattr(nvml, name, None)
    if query is None:
        return None
    try:
        return query(*arguments)
    except nvml.NVMLError:
        return None
