"""Weights go from a file into a built network: tensors only, every name and shape checked."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from resbench.errors import SourceError
from resbench.files import is_file

_PREFIX = re.compile(r"^(module\.|_orig_mod\.)+")
_FORK = re.compile(r"(branch3x3(?:dbl)?_[23])([ab])\.")
"""torchvision's Inception-v3 calls the two ends of a fork branch3x3_2a and _2b; here they are .a and .b below it."""


def load_weights(net: nn.Module, weights: str | Path | Mapping[str, Tensor]) -> nn.Module:
    """Fill ``net`` from a state_dict or a file that holds one (also under ``state_dict`` or ``model``).

    Torchvision's names fit the catalog's networks; the prefixes of data parallelism and torch.compile fall away.
    Raises SourceError: file missing or not a checkpoint, anything in it but tensors and containers, or another
    architecture (the first three mismatches of name, shape or kind of number).
    """
    state = weights if isinstance(weights, Mapping) else _read(Path(weights))
    given = {_FORK.sub(r"\1.\2.", _PREFIX.sub("", name)): value for name, value in state.items()}
    wanted = net.state_dict()
    wrong = [
        *(f"{name} is missing" for name in wanted if name not in given),
        *(f"{name} is not in the network" for name in given if name not in wanted),
    ]
    for name, value in wanted.items():
        tensor = given.get(name, value)
        if tensor.shape != value.shape:
            wrong.append(f"{name} is {_size(tensor)}, expected {_size(value)}")
        elif tensor.is_floating_point() != value.is_floating_point() or tensor.layout != torch.strided:
            wrong.append(f"{name} is {_kind(tensor)}, expected {_kind(value)}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise SourceError(f"the weights are of another architecture: {'; '.join(wrong[:3])}{more}")
    given = {name: tensor.to(wanted[name].dtype) for name, tensor in given.items()}
    net.load_state_dict(given, assign=any(parameter.is_meta for parameter in net.parameters()))
    return net


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype if tensor.layout == torch.strided else tensor.layout).removeprefix("torch.")


def _read(path: Path) -> Mapping[str, Tensor]:
    if not is_file(path):
        raise SourceError(f"no file {path}; expected a checkpoint written by torch.save(net.state_dict(), ...)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the age of the file's format, before the one line that matters
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a file of any bytes makes the unpickler raise almost anything
        if "global" in str(error).lower():
            raise SourceError(
                f"refused {path}: it holds more than tensors and could run code; save net.state_dict() alone"
            ) from error
        raise SourceError(
            f"cannot read {path} as a checkpoint ({type(error).__name__}); expected torch.save(net.state_dict(), ...)"
        ) from error
    while isinstance(content, Mapping):
        inner = next((content[key] for key in ("state_dict", "model") if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise SourceError(f"{path} holds {type(content).__name__}, expected a state_dict of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            entry = f"{name!r}: {type(value).__name__}"
            raise SourceError(f"{path} holds an entry {entry[:80]}, expected a name and a tensor")
    return content
