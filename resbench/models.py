"""A model, however it is given, and its cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from resbench.arch import algebra
from resbench.arch.catalog import Architecture, Size, architecture, parse_size
from resbench.arch.cost import Cost
from resbench.arch.cost import cost as fold
from resbench.errors import OptionError

Model = str | Architecture | algebra.Node


def catalogued(name: str, input: str | Size | None = None) -> Architecture:
    """The catalog's architecture of that name, for its own input or another (``3x64x64``)."""
    arch = architecture(name)
    if input is None:
        return arch
    size = parse_size(input) if isinstance(input, str) else input
    plain = ",".join(option for option in arch.name.split(",") if not option.startswith("input="))
    if size == architecture(plain).input:
        return replace(arch, name=plain, input=size)
    return replace(arch, name=f"{plain},input={'x'.join(map(str, size))}", input=size)


def cost(model: Model, input: str | Iterable[int] | None = None, *, batch: int = 1) -> Cost:
    """Parameters, MACs, elementwise work and activations of every layer.

    ``model`` is a name (``resnet56,shortcut=B``), an architecture, or an expression of the algebra,
    which needs its ``input`` (C, H, W). Raises ShapeError where shapes do not fit.
    """
    if isinstance(model, str):
        return catalogued(model, _size(input)).cost(batch=batch)
    if isinstance(model, Architecture):
        size = _size(input) or model.input
        return fold(model.body, size, batch=batch, model=model.name, source="catalog")
    if input is None:
        raise OptionError("an expression has no input of its own: expected input=(C, H, W), received none")
    return fold(model, parse_size(input) if isinstance(input, str) else input, batch=batch, source="expression")


def _size(input: str | Iterable[int] | None) -> Size | None:
    if input is None or isinstance(input, str):
        return parse_size(input) if input else None
    return parse_size("x".join(map(str, input)))
