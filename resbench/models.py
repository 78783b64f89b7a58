"""A model, however it is given, and its cost: a catalog name is folded, anything else is traced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture, Size, architecture, find, parse_size
from resbench.arch.cost import Cost, Mode
from resbench.arch.cost import cost as fold
from resbench.errors import OptionError, ResbenchError, SourceError, TraceError, UnknownModelError, message

if TYPE_CHECKING:
    from torch import nn

    from resbench.measure.check import Check
    from resbench.nets.sources import Loaded

Input = str | Iterable[int] | None


def is_catalogued(name: str) -> bool:
    """A name of the catalog, and not ``source:name``."""
    return ":" not in name.partition(",")[0]


def family(name: str) -> str:
    """The catalog's, or the source of a model from elsewhere; empty for a name that no catalog has."""
    if not is_catalogued(name):
        return name.partition(":")[0]
    with suppress(UnknownModelError):
        return find(name.partition(",")[0]).family
    return ""


def full_name(name: str, input: Input = None) -> str:
    """The name under which a model's results are kept: options in order, and the input where it is another.

    >>> full_name("resnet56,shortcut=A", "3x32x32"), full_name("resnet56", "3x64x64")
    ('resnet56', 'resnet56,input=3x64x64')
    """
    if is_catalogued(name):
        return catalogued(name, input).name
    plain, size = _input(name, input)
    return f"{plain},input={'x'.join(map(str, size))}" if size else plain


def catalogued(name: str, input: Input = None) -> Architecture:
    """The catalog's architecture of that name, for its own input or another (``3x64x64``).

    Weights (``resnet50,weights=FILE``) change nothing about it, but have to fit.
    """
    if not is_catalogued(name):
        raise OptionError(f"expected a model of the catalog, received {name!r}; `resbench models` lists them")
    plain, weights = _weights(name)
    if weights:
        load(name, input, device="meta")
    arch = architecture(plain)
    if input is None:
        return arch
    size = parse_input(input)
    own = architecture(",".join(option for option in arch.name.split(",") if not option.startswith("input=")))
    if size == own.input:
        return own
    return replace(own, name=f"{own.name},input={'x'.join(map(str, size))}", input=size)


def cost(
    model: str | Architecture | Node | nn.Module, input: Input = None, *, batch: int = 1, mode: Mode = "inference"
) -> Cost:
    """Parameters, MACs, elementwise work and activations of every layer; in training the backward pass's MACs too.

    ``model`` is a name (``resnet56,shortcut=B``, ``torchvision:resnet50``), an architecture, an expression
    of the algebra, or an ``nn.Module``; the last two need their ``input`` (C, H, W). Raises ShapeError or
    TraceError where shapes do not fit.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"a mode is {' or '.join(get_args(Mode))}; received {mode!r}")
    if type(batch) is not int or batch < 1:
        raise OptionError(f"expected a batch of at least 1, received {batch!r}")
    if isinstance(model, str):
        if is_catalogued(model):
            return catalogued(model, input).cost(batch=batch, mode=mode)
        return _followed(model, input, batch, mode)
    if isinstance(model, Architecture):
        size = parse_input(input) if input else model.input
        return fold(model.body, size, batch=batch, model=model.name, source="catalog", mode=mode)
    if input is None:
        raise OptionError("an expression or a module has no input of its own: expected input=(C, H, W), received none")
    if isinstance(model, Node):
        return fold(model, parse_input(input), batch=batch, source="expression", mode=mode)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise OptionError(f"expected a model name, an architecture or an nn.Module, received {type(model).__name__}")
    from resbench.measure.trace import trace

    return trace(model, (batch, *parse_input(input)), training=mode == "training", name=type(model).__name__)


def load(name: str, input: Input = None, *, device: str = "cpu", seed: int = 0) -> Loaded:
    """The ``nn.Module`` of any name, with its input: built from the catalog, or from its source."""
    from resbench.nets.sources import Loaded
    from resbench.nets.sources import load as from_source

    if not is_catalogued(name):
        plain, size = _input(name, input)
        found = from_source(plain, device=device)
        return found.resized(full_name(name, input), size) if size else found
    from resbench.nets.build import build
    from resbench.nets.weights import load_weights

    plain, weights = _weights(name)
    arch = catalogued(plain, input)
    net = build(arch, device=device, seed=seed)
    return Loaded(arch.name, load_weights(net, weights) if weights else net, arch.input, "catalog")


def _input(name: str, input: Input) -> tuple[str, Size | None]:
    """``torchvision:resnet50,input=3x96x96`` as its two parts; ``input`` comes before what the name says."""
    options = name.split(",")
    given = [input] if input is not None else [o.removeprefix("input=") for o in options if o.startswith("input=")]
    return ",".join(o for o in options if not o.startswith("input=")), parse_input(given[0]) if given else None


def _weights(name: str) -> tuple[str, str | None]:
    """``resnet50,weights=FILE`` as its two parts."""
    options = name.split(",")
    files = [option.removeprefix("weights=") for option in options if option.startswith("weights=")]
    if len(files) > 1 or "" in files:
        raise OptionError(f"{options[0]}: expected one weights=FILE, received {len(files)} with {files[-1]!r} last")
    return ",".join(o for o in options if not o.startswith("weights=")), files[0] if files else None


def verified(name: str, input: Input = None, *, batch: int = 1) -> Check:
    """The model counted by every counter that applies, beside the figures published for it.

    A counter that fails is blank there, with its reason. Raises what `load` raises, and TraceError where all fail.
    """
    from resbench.measure.check import check

    loaded = load(name, input)
    failed: list[str] = []
    folded = _counted(lambda: cost(name, input, batch=batch), "the fold", failed) if is_catalogued(name) else None
    traced = _counted(lambda: _traced(loaded, batch), "the tracer", failed)
    return check(loaded.name, folded, traced, loaded.module, loaded.published, loaded.arguments(batch), failed)


def _counted(count: Callable[[], Cost], counter: str, failed: list[str]) -> Cost | None:
    """What a counter finds; None where it fails, and its reason goes to the others."""
    try:
        return count()
    except ResbenchError as error:
        failed.append(f"{counter}: {error}")
        return None


def _followed(name: str, input: Input, batch: int, mode: Mode) -> Cost:
    """Traced without weights; with them where the factory or the forward looks at values."""
    try:
        return _traced(load(name, input, device="meta"), batch, mode)
    except (SourceError, TraceError) as error:
        if "meta" not in message(error.__cause__).lower():
            raise
    return _traced(load(name, input), batch, mode)


def _traced(loaded: Loaded, batch: int, mode: Mode = "inference") -> Cost:
    from resbench.measure.trace import trace

    training = mode == "training"
    return trace(loaded.module, loaded.arguments(batch), training=training, name=loaded.name, source=loaded.source)


def parse_input(input: str | Iterable[int]) -> Size:
    """``3x224x224`` or its three numbers. Raises OptionError."""
    parts = [input] if isinstance(input, str) or not isinstance(input, Iterable) else input
    return parse_size("x".join(map(str, parts)))
