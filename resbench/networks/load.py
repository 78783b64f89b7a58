"""A model, however it is named: the catalog's architecture, or a module from elsewhere, with its input."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from resbench.arch.catalog import Architecture, Size, architecture, find, parse_size
from resbench.errors import OptionError, UnknownModelError

if TYPE_CHECKING:
    from resbench.networks.sources import Loaded

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


def load(name: str, input: Input = None, *, device: str = "cpu", seed: int = 0) -> Loaded:
    """The ``nn.Module`` of any name, with its input: built from the catalog, or from its source."""
    from resbench.networks.sources import Loaded
    from resbench.networks.sources import load as from_source

    if not is_catalogued(name):
        plain, size = _input(name, input)
        found = from_source(plain, device=device)
        return found.resized(full_name(name, input), size) if size else found
    from resbench.networks.build import build
    from resbench.networks.weights import load_weights

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


def parse_input(input: str | Iterable[int]) -> Size:
    """``3x224x224`` or its three numbers. Raises OptionError."""
    parts = [input] if isinstance(input, str) or not isinstance(input, Iterable) else input
    return parse_size("x".join(map(str, parts)))
