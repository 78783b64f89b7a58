"""A checkpoint keeps a state on disk, under the key of everything that it depends on."""

import glob
import hashlib
import io
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resbench.errors import SourceError, first_line, foreign
from resbench.files import write

SCHEMA = 1
SUM = 4
"""The checksum at the end has so many bytes: torch's own format does not notice a bit that has changed."""


def fingerprint(model: nn.Module) -> str:
    """Return eight hex digits of a module's structure and first weights."""
    checksum = zlib.crc32(repr(model).encode())
    for name, value in model.state_dict().items():
        content = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"


def named(name: str) -> str:
    """Return the part of a file's name that stands for a network."""
    return re.sub(r"[^A-Za-z0-9_.,=-]+", "_", name)[:80]


class Checkpoint:
    """This keeps the state of one training in a folder. ``key``: another training would differ in one of these."""

    def __init__(self, folder: Path, name: str, key: Mapping[str, Any]) -> None:
        self.key = {"schema": SCHEMA, **key}
        digits = hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()[:8]
        self.path = folder / f"{named(name)}-{digits}.pt"

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file in one step. Raises OutputError."""
        saved = io.BytesIO()
        torch.save({"key": self.key, "state": dict(state)}, saved)
        write(self.path, saved.getvalue() + _sum(saved.getvalue()))

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Load the state; it is None where there is none yet. Raises SourceError for a file that is damaged."""
        for leftover in self.path.parent.glob(f".{glob.escape(self.path.name[:40])}.*"):
            leftover.unlink(missing_ok=True)  # half a file of a process that was killed
        if not self.path.exists():
            return None
        with foreign(
            SourceError,
            lambda error: (
                f"{self.path} is not a whole checkpoint ({first_line(error)}); delete it to train that network anew"
            ),
        ):
            data = self.path.read_bytes()
            if data[-SUM:] != _sum(data[:-SUM]):
                raise ValueError("its checksum is another one")
            saved = torch.load(io.BytesIO(data[:-SUM]), map_location=device, weights_only=True)
            if saved["key"] != self.key:
                raise ValueError(f"it is of {saved['key']}")
        return dict(saved["state"])


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(SUM, "big")
