"""Which precision a device is made for."""

from __future__ import annotations

import torch


def precision(device: str) -> str:
    """bf16 where the hardware multiplies it, else fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    has = any(getattr(torch.cpu, f"_is_{kind}_supported", bool)() for kind in ("avx512_bf16", "amx_tile"))
    return "bf16" if device == "cpu" and has else "fp32"
