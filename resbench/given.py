"""What callers give to the public functions is checked here, by the names of the parameters, before anything runs.

>>> @public
... def f(models, *, batch=1, folder=None): return batch, folder
>>> f("resnet20", folder="runs")
(1, PosixPath('runs'))
>>> f("resnet20", batch=1.5)
Traceback (most recent call last):
resbench.errors.OptionError: f: expected batch of at least 1, a whole number; received 1.5
"""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import Parameter, signature
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from resbench.errors import OptionError

P = ParamSpec("P")
R = TypeVar("R")

DEVICES = ("cpu", "cuda", "mps")

LEAST = {
    "batch": 1,
    "seeds": 1,
    "processes": 1,
    "steps": 1,
    "threads": 1,
    "images": 1,
    "depth": 1,
    "warmup": 0,
    "probe": 0,
    "trail": 0,
    "every": 1,
}
"""These are whole numbers from here on; a sequence of them where the default is one, or the function says so."""

SEVERAL = ("batch", "steps")
"""Of these there may be several."""

NUMBERS = ("lr", "epochs", "budget_s")
"""These are numbers."""

PATHS = ("root", "folder", "suite", "trace", "path", "export")
"""These are paths, also as text."""

NO_MODELS = (type(None), int, float, complex, bytes)
"""Nothing of these types is a model."""


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Check, and bring into one form, what a function is called with. Raises OptionError.

    What it is called with that it has no parameter for is Python's own TypeError.
    """
    call = signature(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = call.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            try:
                bound.arguments[name] = _checked(call.parameters[name], value)
            except OptionError as error:
                raise OptionError(f"{function.__name__}: {error}") from None
        return function(*bound.args, **bound.kwargs)

    return checked


def device_name(device: str) -> tuple[str, str]:
    """Return the kind and the index of a device. Raises OptionError unless there are such devices somewhere."""
    kind, _, index = str(device).partition(":")
    if not isinstance(device, str) or kind not in DEVICES or (index and not (index.isascii() and index.isdigit())):
        raise OptionError(f"--device takes cpu, cuda, cuda:INDEX or mps; received {device!r}")
    return kind, index


def _checked(parameter: Parameter, value: Any) -> Any:
    name, default = parameter.name, parameter.default
    if name in ("model", "models"):
        return _models(value, empty=default == ())
    if default is None and value is None:
        return value
    if name == "ids" and isinstance(value, NO_MODELS):
        raise OptionError(f"expected {name} in a list; received {value!r}")
    if name == "device":
        return _device(value)
    if name in PATHS:
        if not isinstance(value, str | PathLike):
            raise OptionError(f"expected {name} to be a path; received {value!r}")
        return Path(value)
    if name == "runtime":
        return _runtimes(parameter, value)
    if name in LEAST:
        return _whole(parameter, value)
    if name in NUMBERS and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise OptionError(f"expected {name} to be a number; received {value!r}")
    return value


def _whole(parameter: Parameter, value: Any) -> Any:
    """Check whole numbers. A sequence may stand where the default is one, and of what there may be several."""
    name, default = parameter.name, parameter.default
    least = 0 if isinstance(default, Sequence) else LEAST[name]
    several = isinstance(default, Sequence) or (name in SEVERAL and "Sequence" in str(parameter.annotation))
    numbers = [*value] if several and isinstance(value, Sequence) and not isinstance(value, str) else [value]
    wrong = [number for number in numbers if type(number) is not int or number < least]
    if wrong or not numbers:
        received = f"received {wrong[0]!r}" if wrong else "received none"
        raise OptionError(f"expected {name} of at least {least}, a whole number; {received}")
    return tuple(numbers) if isinstance(default, Sequence) else value


def _runtimes(parameter: Parameter, value: Any) -> Any:
    """Check the name of a runtime, or of several where the function takes them."""
    several = isinstance(value, Sequence) and not isinstance(value, str) and "Sequence" in str(parameter.annotation)
    names = [*value] if several else [value]
    if not names or not all(isinstance(one, str) and one for one in names):
        raise OptionError(f"expected the name of a runtime, such as 'onnxruntime'; received {value!r}")
    return list(dict.fromkeys(names)) if several else value


def _models(value: Any, empty: bool) -> Any:
    """Refuse what is no model, and none at all unless the function does without. Raises OptionError."""
    several = value if isinstance(value, list | tuple) else [value]
    wrong = [one for one in several if isinstance(one, NO_MODELS)]
    if wrong or not (several or empty):
        received = type(wrong[0]).__name__ if wrong else "none"
        raise OptionError(f"expected the names of models, such as 'resnet50', or models; received {received}")
    return value


def _device(value: Any) -> Any:
    """Take a ``torch.device`` for its name. Raises OptionError."""
    name = str(value) if type(value).__module__ == "torch" and type(value).__name__ == "device" else value
    device_name(name)
    return name
