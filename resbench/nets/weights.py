"""Weights from a file, into a built network: tensors only, every name and shape checked."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from resbench.errors import SourceError, first_line

_FORK = re.compile(r"(branch3x3(?:dbl)?_[23])([ab])\.")
"""torchvision's Inception-v3 calls the two ends of a fork branch3x3_2a and _2b; here they are .a and .b below it."""


def load_weights(net: nn.Module, weights: str | Path | Mapping[str, Tensor]) -> nn.Module:
    """Fill ``net`` from a state_dict or a file that holds one (also under ``state_dict`` or ``model``).

    Torchvision's names fit the catalog's networks. Raises SourceError: file missing or not a checkpoint,
    anything in it but tensors and containers, or another architecture (the first three mismatches).
    """
    state = weights if isinstance(weights, Mapping) else _read(Path(weights))
    given = {_FORK.sub(r"\1.\2.", name.removeprefix("module.")): value for name, value in state.items()}
    wanted = net.state_dict()
    wrong = [f"{name} is missing" for name in wanted if name not in given]
    wrong += [f"{name} is not in the network" for name in given if name not in wanted]
    for name, value in wanted.items():
        if name in given and given[name].shape != value.shape:
            wrong.append(f"{name} is {_size(given[name])}, expected {_size(value)}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise SourceError(f"the weights are of another architecture: {'; '.join(wrong[:3])}{more}")
    net.load_state_dict(given, assign=any(parameter.is_meta for parameter in net.parameters()))
    return net


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _read(path: Path) -> Mapping[str, Tensor]:
    if not path.is_file():
        raise SourceError(f"no file {path}; expected a checkpoint written by torch.save(net.state_dict(), ...)")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = (
            "it holds more than tensors and could run code" if "global" in str(error).lower() else "it is no checkpoint"
        )
        raise SourceError(f"refused {path}: {reason}; save net.state_dict() alone") from error
    except (RuntimeError, EOFError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise SourceError(f"cannot read {path} as a checkpoint: {first_line(error)}") from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise SourceError(f"{path} holds {type(content).__name__}, expected a state_dict of tensors")
    return content
