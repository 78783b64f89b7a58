"""This module tells which precision a device is made for."""

from __future__ import annotations

import torch


def precision(device: str) -> str:
    """Return bf16 where the hardware multiplies it, else fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    multiplies = any(getattr(torch.cpu, f"_is_{kind}_supported", bool)() for kind in ("avx512_bf16", "amx_tile"))
    return "bf16" if device == "cpu" and multiplies else "fp32"
