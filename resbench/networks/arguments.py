"""Inputs become what a forward is called with: tensors on the meta device, which have a shape but no values."""

from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_structure, tree_unflatten

from resbench.errors import OptionError, did_you_mean
from resbench.networks.inputs import ModelInput

Called = tuple[Any, ...] | Mapping[str, Any]
"""A forward is called with random numbers of one shape, with these arguments in their order, or with these by name."""

SHOWN = 6
"""A message names so many parameters of a forward."""

WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
"""torch.compile and data parallelism put these around a module, and keep it there."""


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module that a compiled or replicated one runs, else the module itself."""
    inner = getattr(module, WRAPPERS.get(type(module).__name__, ""), None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else module


def arguments(model: nn.Module, inputs: Sequence[ModelInput], batch: int) -> Called:
    """Make the arguments of so many images. Raises OptionError for a name that the forward does not have."""
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    check_names(model, [one.name for one in inputs if one.name])
    made = [(one.name, torch.empty(one.full(batch), dtype=_dtype(one, own), device="meta")) for one in inputs]
    return _nested(made) if inputs[0].name else tuple(tensor for _, tensor in made)


def _dtype(one: ModelInput, own: torch.dtype) -> torch.dtype:
    found: torch.dtype = getattr(torch, one.dtype) if one.dtype else own
    return found


def _nested(made: Sequence[tuple[str, Tensor]]) -> dict[str, Any]:
    """Put ``batch.pixels`` into the dictionary ``batch``, and ``images.0`` into a list."""
    found: dict[str, Any] = {}
    for name, tensor in made:
        *above, last = name.split(".")
        level = found
        for step in above:
            level = level.setdefault(step, {})
        level[last] = tensor
    return {name: _listed(value) for name, value in found.items()}


def _listed(value: Any) -> Any:
    """Make a list of what is called 0, 1, 2, ..."""
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(one) for key, one in value.items()}
    places = list(map(str, range(len(inner))))
    return [inner[place] for place in places] if sorted(inner) == sorted(places) else inner


class Spread(nn.Module):
    """It takes the tensors of a forward's arguments one after the other, and calls it by their names."""

    def __init__(self, model: nn.Module, called: Called) -> None:
        super().__init__()
        self.model = model
        self.structure = tree_structure(called)

    def forward(self, *tensors: Tensor) -> Any:
        called = tree_unflatten(tensors, self.structure)
        return self.model(**called) if isinstance(called, Mapping) else self.model(*called)


def positional(model: nn.Module, called: Called) -> tuple[nn.Module, tuple[Any, ...]]:
    """Return a module, and tensors in their order, for tools that know no other arguments."""
    if isinstance(called, tuple) and all(isinstance(one, Tensor) for one in called):
        return model, called
    return Spread(model, called), tuple(tree_leaves(called))


def by_name(model: nn.Module, name: str) -> None:
    """Let a module that takes its input by this name take it as its first argument too."""

    def named(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return ((), {name: args[0], **kwargs}) if args else None

    model.register_forward_pre_hook(named, with_kwargs=True)


def check_names(model: nn.Module, names: Sequence[str]) -> None:
    """Raise OptionError for an input that the forward has no parameter for."""
    parameters = _parameters(model)
    if parameters is None or any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters if one.kind not in (Parameter.VAR_POSITIONAL, Parameter.POSITIONAL_ONLY)]
    for name in names:
        if name.partition(".")[0] not in known:
            expected = f"expected one of {', '.join(known)}" if known else "give inputs without names"
            hint = did_you_mean(name, known, expected)
            raise OptionError(f"{type(unwrapped(model)).__name__}: its forward has no input {name!r}{hint}")


def refused(model: nn.Module, called: Tensor | Called) -> str:
    """Return what a message ends with where a forward refuses: what it was given, and how to give it other inputs."""
    given = ", ".join(_described(called)) or "nothing"
    parameters = _parameters(model) or []
    names = [one.name for one in parameters]
    words = ", ".join([*names[:SHOWN], *(["..."] if len(names) > SHOWN else [])])
    example = next((name for name in names if name not in ("args", "kwargs")), "x")
    return (
        f"; it was given {given}; say what forward({words}) takes as --input {example}=3x224x224 or "
        f"{example}=128:int64, without the batch, and an entry of a dictionary as {example}.KEY=3x224x224"
    )


def _described(called: Any, name: str = "") -> Iterator[str]:
    """Name every tensor with its shape, batch and all, and its type."""
    if isinstance(called, Tensor):
        size, dtype = "x".join(map(str, called.shape)), str(called.dtype).removeprefix("torch.")
        yield f"{f'{name}=' if name else ''}{size}:{dtype}"
    elif isinstance(called, Mapping):
        for key, value in called.items():
            yield from _described(value, f"{name}.{key}" if name else str(key))
    elif isinstance(called, tuple | list) and called and all(type(size) is int for size in called):
        yield "x".join(map(str, called))
    elif isinstance(called, tuple | list):
        for i, value in enumerate(called):
            yield from _described(value, f"{name}.{i}" if name else "")
    else:
        yield f"{f'{name}=' if name else ''}{type(called).__name__}"


def _parameters(model: nn.Module) -> list[Parameter] | None:
    """Return the parameters of a forward; None where it does not say them."""
    try:
        return [*signature(unwrapped(model).forward).parameters.values()]
    except (TypeError, ValueError):
        return None
