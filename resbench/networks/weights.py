"""Weights go from a file, or from another library's network, into a built one: every name and shape is checked."""

import argparse
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resbench.arch.catalog import Renames, renames
from resbench.errors import SourceError
from resbench.files import is_file
from resbench.networks.name import ModelName
from resbench.networks.sources import find, package
from resbench.networks.twins import check_twins

WRAPPINGS = ("state_dict_ema", "model_ema", "state_dict", "model", "state")
"""Trainings keep the state_dict under these words. Averaged weights come first, as in timm."""
_PREFIX = re.compile(r"^(module\.|_orig_mod\.|model\.)+")
_COUNTERS = ("num_batches_tracked", "n_averaged")
"""These count steps of training: no answer depends on them, and old files do not have them."""
_NAMED = re.compile(r"(timm|torchvision):([^.:]+)(?:\.([^:]+))?(?::(.+))?")
"""SOURCE:NAME.TAG:FILE, where the tag, or the file, may be left out."""


def load_weights(net: nn.Module, weights: str | Path | Mapping[str, Tensor] | nn.Module) -> nn.Module:
    """Fill ``net`` from a state_dict, from a file that holds one, or from the same network of another library.

    A file is one of ``torch.save``, or of safetensors. Its names may be those of torchvision or timm that a family's
    ``NAMES`` tell; what data parallelism, torch.compile, averaging and trainings wrap around them falls away. A file
    does not say what has no weights (epsilon, padding, activations). A network does: ``timm:NAME`` or
    ``torchvision:NAME``, with the weights that its library has for it or with those of ``timm:NAME:FILE``, or a module.
    So it is compared in these too, and names that no family tells are then taken in the order of the modules.

    Raises SourceError: file missing or not a checkpoint, anything in it but tensors and containers, another
    architecture (the first three mismatches of name, shape or kind of number), or a network that answers otherwise.
    """
    if isinstance(weights, Mapping):
        _fill(net, _tensors(weights, "the mapping"))
    elif isinstance(weights, nn.Module):
        _take(net, weights, type(weights).__name__)
    elif isinstance(weights, str) and (named := _NAMED.fullmatch(weights)):
        source, base, tag, file = named.groups("")
        _take(net, _pretrained(source, base, tag, file, net), f"{source}:{base}")
    else:
        _fill(net, _read(Path(weights)))
    return net


def _take(net: nn.Module, theirs: nn.Module, called: str) -> None:
    """Fill ``net`` with the weights of a network that has to be the same one."""
    check_twins(net, theirs, _fill(net, theirs.state_dict(), ordered=True), called)


def _pretrained(source: str, base: str, tag: str, file: str, net: nn.Module) -> nn.Module:
    """Make a library's network with its own weights, or with those of the file and as many classes as ``net``."""
    if file:
        state = _read(Path(file))
        options = {"num_classes": str(len([*net.parameters()][-1]))}
    elif source == "torchvision":
        options = {"weights": repr(tag or "DEFAULT")}
    else:
        options = {"pretrained": "True"}
    name = ModelName(f"{base}.{tag}" if tag and source == "timm" else base, source, tuple(options.items()))
    theirs: nn.Module = find(name, "cpu").made
    if file:
        _fill(theirs, state, f"{file} as {source}:{base}: ")
    return theirs


def _fill(net: nn.Module, state: Mapping[str, Tensor], called: str = "", *, ordered: bool = False) -> dict[str, str]:
    """Load a state_dict whose names and shapes fit, and return what it calls each tensor of ``net``."""
    wanted = net.state_dict()
    names = _names(wanted, state, ordered)
    if wrong := _misfits(wanted, state, names):
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        known = ordered or 2 * len(names.keys() & wanted.keys()) > len(names)
        hint = "" if known else "; if these are names of timm or torchvision, say of which network: timm:NAME:FILE"
        raise SourceError(f"{called}the weights are of another architecture: {'; '.join(wrong[:3])}{more}{hint}")
    given = {
        name: state[names[name]].reshape(value.shape).to(value.dtype)
        if name in names
        else torch.zeros(value.shape, dtype=value.dtype)
        for name, value in wanted.items()
    }
    net.load_state_dict(given, assign=any(parameter.is_meta for parameter in net.parameters()))
    return names


def _names(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], ordered: bool) -> dict[str, str]:
    """What ``state`` calls each tensor, by the names under which most fit."""
    best = _renamed(wanted, state, ())
    if best.keys() == wanted.keys():
        return best
    tried = [best, *(_renamed(wanted, state, pairs) for pairs in renames())]
    best = min(tried, key=lambda names: len(names.keys() ^ wanted.keys()))
    if ordered and best.keys() != wanted.keys() and len(state) == len(wanted):
        by_order = dict(zip(wanted, state, strict=True))
        if not _misfits(wanted, state, by_order) and all(map(_same_role, by_order.items())):
            return by_order
    return best


def _renamed(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], pairs: Renames) -> dict[str, str]:
    names: dict[str, str] = {}
    for there in state:
        here = there if there in wanted else _PREFIX.sub("", there)
        for pattern, replacement in pairs:
            here = re.sub(pattern, replacement, here)
        if here in names:
            here = f"{here} (twice)"
        if here in wanted or (here and not here.endswith(_COUNTERS)):
            names[here] = there
    return names


def _same_role(pair: tuple[str, str]) -> bool:
    """Is it the same of a layer: weight, bias, mean, ...?"""
    here, there = pair
    return here.rpartition(".")[2] == there.rpartition(".")[2]


def _misfits(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], names: Mapping[str, str]) -> list[str]:
    """Say what does not fit, in the order of the network; then what it does not have."""
    wrong = []
    for name, value in wanted.items():
        if name not in names:
            if not name.endswith(_COUNTERS):
                wrong.append(f"{name} is missing, expected {_size(value)}")
            continue
        tensor = state[names[name]]
        if not _fits(tensor.shape, value.shape):
            wrong.append(f"{name} is {_size(tensor)}, expected {_size(value)}")
        elif tensor.is_meta:
            wrong.append(f"{name} has no values")
        elif tensor.is_floating_point() != value.is_floating_point() or tensor.layout != torch.strided:
            wrong.append(f"{name} is {_kind(tensor)}, expected {_kind(value)}")
    return [*wrong, *(f"{name} is not in the network" for name in names if name not in wanted)]


def _fits(given: Sequence[int], wanted: Sequence[int]) -> bool:
    """Are they one shape, up to 1s at its end, or those of a convolution over a whole map and of a linear layer?"""
    short, long = sorted((_without_ones(given), _without_ones(wanted)), key=len)
    flat = len(short) == 2 and long[:1] == short[:1] and torch.Size(long).numel() == torch.Size(short).numel()
    return short == long or flat


def _without_ones(shape: Sequence[int]) -> list[int]:
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return sides


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a scalar"


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype if tensor.layout == torch.strided else tensor.layout).removeprefix("torch.")


def _read(path: Path) -> Mapping[str, Tensor]:
    if not is_file(path):
        raise SourceError(
            f"no file {path}; expected a checkpoint written by torch.save(net.state_dict(), ...) or safetensors, "
            "or timm:NAME or torchvision:NAME"
        )
    try:
        content = _reader(path)(path)
    except SourceError:
        raise
    except Exception as error:  # a file of any bytes makes the unpickler raise almost anything
        if "global" in str(error).lower():
            raise SourceError(
                f"refused {path}: it holds more than tensors and could run code; save net.state_dict() alone"
            ) from error
        raise SourceError(
            f"cannot read {path} as a checkpoint ({type(error).__name__}); expected torch.save(net.state_dict(), ...)"
        ) from error
    return _tensors(content, str(path))


def _tensors(content: Any, what: str) -> Mapping[str, Tensor]:
    """Find the state_dict in what a file or a caller gives. Raises SourceError where anything else is in it."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in WRAPPINGS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping):
        raise SourceError(f"{what} holds {type(content).__name__}, expected a state_dict of tensors")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            entry = f"{name!r}: {type(value).__name__}"
            raise SourceError(f"{what} holds an entry {entry[:80]}, expected a name and a tensor")
    return content


def _reader(path: Path) -> Callable[[Path], Any]:
    """The header of safetensors is JSON, behind eight bytes that hold its length."""
    with path.open("rb") as file:
        is_safe = file.read(9)[8:] == b"{"
    return package("safetensors.torch", "safetensors").load_file if is_safe else _unpickled


def _unpickled(path: Path) -> Any:
    """Read tensors and containers alone, and the arguments of a script, which trainings keep beside them."""
    with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
        warnings.simplefilter("ignore")  # about the age of the file's format, before the one line that matters
        return torch.load(path, map_location="cpu", weights_only=True)
