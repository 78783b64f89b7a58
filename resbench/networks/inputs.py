"""What a forward takes is said in one way, in names, in ``--input`` and in Python, and is read here.

    3x224x224                       an image, without the batch
    ids=128:int64                   an input by the name of its parameter, with its type
    ids=128:int64,batch=none        one that has no batch
    batch.pixels=3x8x8              the entry ``pixels`` of the dictionary ``batch``; images.0=3x8x8 is of a list

>>> [one.text for one in parse_inputs({"ids": ((128,), "int64"), "mask": "128:bool"})]
['ids=128:int64', 'mask=128:bool']
"""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

from resbench.arch.catalog import Size, parse_size
from resbench.arch.fields import MAX_SIZE
from resbench.errors import OptionError, did_you_mean

Input = str | Iterable[Any] | Mapping[str, Any] | None
"""A caller gives an input as ``3x224x224``, as its three numbers, or as None for the model's own. Inputs of other kinds
are texts such as ``ids=128:int64``, a dictionary of shapes (``{"ids": ((128,), "int64")}``), or of tensors with their
batch."""

DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
)
"""An input may have one of these types of torch; without one it has the precision of the model."""

NO_BATCH = "batch=none"
"""This stands behind an input that has no batch."""

SPELLED = "[NAME=]SHAPE[:DTYPE] of one image, such as 3x224x224 or ids=128:int64"

INPUT = re.compile(r"(?:([A-Za-z_]\w*(?:\.\w+)*)=)?([0-9]{1,18}(?:x[0-9]{1,18})*|)(?::(\w*))?", re.ASCII)


class ModelInput(NamedTuple):
    """One input of a model has the name of its parameter (or none, and a place), a shape without the batch, and a type.

    An empty type is the model's own precision. Without ``batched`` the shape is all of it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = ""
    batched: bool = True

    @property
    def text(self) -> str:
        """The input is written like this, and read by ``parse_inputs``."""
        name, dtype = f"{self.name}=" if self.name else "", f":{self.dtype}" if self.dtype else ""
        return f"{name}{'x'.join(map(str, self.shape))}{dtype}{'' if self.batched else f',{NO_BATCH}'}"

    @property
    def is_image(self) -> bool:
        """It is one image (C, H, W) in the model's precision."""
        return len(self.shape) == 3 and not self.dtype and self.batched

    def full(self, batch: int) -> tuple[int, ...]:
        """Return the shape with the batch, where it has one."""
        return (batch, *self.shape) if self.batched else self.shape


def parse_inputs(input: Input) -> tuple[ModelInput, ...]:
    """Read inputs in any form that a caller gives them in, but for tensors.

    Raises OptionError: what is no input, a type that does not exist, two inputs of one name, named beside unnamed ones.
    """
    if input is None:
        return ()
    if isinstance(input, str):
        return (_read(input),)
    if is_tensors(input):
        raise OptionError(f"input: tensors are for a module that is given itself; of a name expected {SPELLED}")
    if isinstance(input, Mapping | tuple | list) and not input:
        raise OptionError(f"input: expected {SPELLED}; received none")
    if isinstance(input, Mapping):
        return checked([_entry(name, value) for name, value in input.items()])
    if not isinstance(input, Iterable) or isinstance(input, bytes):
        return (ModelInput("", parse_size(str(input))),)
    several = [*input]
    if several and all(isinstance(one, str | ModelInput) for one in several):
        return checked([one if isinstance(one, ModelInput) else _read(one) for one in several])
    return (ModelInput("", _sizes(several, several)),)


def parse_input(input: Input) -> Size:
    """Read ``3x224x224``, or its three numbers: one image. Raises OptionError."""
    if isinstance(input, str):
        return parse_size(input)
    if isinstance(input, tuple | list) and all(type(size) is int for size in input):
        return parse_size("x".join(map(str, input)))
    return parse_size(" ".join(one.text for one in parse_inputs(input)))


def checked(inputs: Sequence[ModelInput]) -> tuple[ModelInput, ...]:
    """Return inputs that go together. Raises OptionError."""
    names = [one.name for one in inputs if one.name]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise OptionError(f"input: two inputs are called {twice[0]!r}; keep one")
    if names and len(names) < len(inputs):
        unnamed = next(one.text for one in inputs if not one.name)
        raise OptionError(f"input: expected all inputs with their names or none, received {unnamed} beside {names[0]}")
    whole = next((name for name in names if any(other.startswith(f"{name}.") for other in names)), "")
    if whole:
        raise OptionError(f"input: {whole!r} is given as one input and by its entries; keep one")
    return tuple(inputs)


def is_tensors(input: Any) -> bool:
    """Tell whether a caller gives tensors: one, several in a tuple or list, or by name."""
    if isinstance(input, Mapping):
        return any(is_tensors(value) for value in input.values())
    return _is_tensor(input) or (isinstance(input, tuple | list) and any(map(is_tensors, input)))


def _is_tensor(value: Any) -> TypeGuard[Any]:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _read(text: str) -> ModelInput:
    """Read one input. Raises OptionError."""
    word = text.strip()
    plain = word.removesuffix(NO_BATCH).rstrip(", ")
    match = INPUT.fullmatch(plain)
    if not match or not plain or (not match[2] and match[3] is None):
        raise OptionError(f"input: expected {SPELLED}; received {text[:80]!r}")
    return ModelInput(match[1] or "", _shape(match[2], text), _dtype(match[3], text), plain == word)


def _entry(name: Any, value: Any) -> ModelInput:
    """Read one entry of a dictionary: a shape, a shape and a type, or both as text. Raises OptionError."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", name, re.ASCII):
        raise OptionError(f"input: expected the names of parameters, such as 'ids'; received {name!r}")
    if isinstance(value, ModelInput):
        return value._replace(name=name)
    if isinstance(value, str):
        return _read(f"{name}={value}")
    dtype: Any = None
    if isinstance(value, tuple | list) and len(value) == 2 and not isinstance(value[1], int):
        value, dtype = value
        dtype = str(dtype).removeprefix("torch.")
    sizes = [*value] if isinstance(value, Iterable) else [value]
    return ModelInput(name, _sizes(sizes, value), _dtype(dtype, f"{name}: {dtype}"))


def _sizes(sizes: Sequence[Any], given: Any) -> tuple[int, ...]:
    if not all(type(size) is int for size in sizes):
        raise OptionError(f"input: expected {SPELLED}; received {str(given)[:80]!r}")
    return _shape("x".join(map(str, sizes)), str(given))


def _shape(word: str, text: str) -> tuple[int, ...]:
    """Read ``3x224x224``; nothing is the shape of one number. Raises OptionError."""
    sides = tuple(map(int, filter(None, word.split("x")))) if re.fullmatch(r"[0-9x]*", word) else (0,)
    if not all(1 <= side <= MAX_SIZE for side in sides):
        raise OptionError(f"input: expected sides from 1 to {MAX_SIZE}, as in {SPELLED}; received {text[:80]!r}")
    return sides


def _dtype(word: str | None, text: str) -> str:
    if word is not None and word not in DTYPES:
        hint = did_you_mean(word, DTYPES, f"expected one of {', '.join(DTYPES)}")
        raise OptionError(f"input: there is no type {word[:40]!r} in {text[:80]!r}{hint}")
    return word or ""
