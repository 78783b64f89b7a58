"""Values of options are read without pydantic, which typer would load for them, where they plainly are of their type.

Loading it takes longer than most commands do. What is not plain, and all that there is to say of it, is left to typer.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any, get_args


class Quick:
    """A command or group reads its options and arguments so, if this release of typer says of which type they are."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if hasattr(param, "type_descriptor") and "process_value" not in vars(param):
                param.process_value = partial(_read, param, param.process_value)
        return params


def _read(param: Any, process: Any, ctx: Any, value: Any) -> Any:
    """Give the value of a parameter; ``process`` is typer's own way to do that."""
    kind, limits = param.type_descriptor.annotation, param.type_descriptor.parameter_info
    several = isinstance(value, list | tuple) and Path in get_args(kind)
    if "" in (value if several else [value] if kind is Path else ()):  # such as a variable of the shell that is not set
        raise _bad(param, ctx, "expected a path, of which . is the folder that this runs in; received ''")
    try:
        if not (param.multiple or param.nargs == -1):
            found = plain(kind, limits, value)
        elif isinstance(value, list | tuple):
            found = [plain(get_args(kind)[0], limits, one) for one in value]
        elif value is None:
            found = ()
        else:
            return _by_typer(process, ctx, value)
    except ValueError:
        return _by_typer(process, ctx, value)
    if param.required and not found:
        return process(ctx, value)
    return param.callback(ctx, param, found) if param.callback else found


def _bad(param: Any, ctx: Any, words: str) -> Exception:
    from typer import BadParameter

    return BadParameter(words, ctx, param)


def _by_typer(process: Any, ctx: Any, value: Any) -> Any:
    """Let typer read a value; where it refuses, its message says what came."""
    from typer import BadParameter

    try:
        return process(ctx, value)
    except BadParameter as error:
        if value is not None and type(error) is BadParameter:
            error.message += f"; received {value!r}"
        raise


def plain(kind: Any, limits: Any, value: Any) -> Any:
    """It gives the value in its type. Raises ValueError where that takes more than a look.

    >>> from types import SimpleNamespace
    >>> plain(int, SimpleNamespace(min=1, max=None), "32")
    32
    """
    if value is None or value in get_args(kind) or (kind in (str, bool) and type(value) is kind):
        return value
    if kind is Path and isinstance(value, str | Path) and (os.access(value, os.R_OK) or not os.path.lexists(value)):
        return Path(value)
    digits = str(value).replace(".", "", kind is float)
    if kind in (int, float) and digits.isascii() and digits.isdigit():
        number = kind(value)
        if (limits.min is None or number >= limits.min) and (limits.max is None or number <= limits.max):
            return number
    raise ValueError(f"{value!r} is not plainly {kind}")
