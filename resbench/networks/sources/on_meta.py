"""A model that looks at values while it is built can do so without allocating its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Each parameter moves to the meta device as its module takes it, before it is ever initialised; ties stay."""
    register = nn.Module.register_parameter
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}

    def on_meta(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and type(parameter) is nn.Parameter and not parameter.is_meta:
            twin = nn.Parameter(parameter.to("meta"), requires_grad=parameter.requires_grad)
            parameter = moved.setdefault(id(parameter), (parameter, twin))[1]
        register(self, name, parameter)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
