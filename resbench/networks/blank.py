"""A network on the meta device has no values, and none are drawn for it: that would take longer than all the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

DRAWS = {
    *(init.kaiming_normal_, init.kaiming_uniform_, init.xavier_normal_, init.xavier_uniform_),
    *(init.normal_, init.trunc_normal_, init.uniform_, Tensor.normal_, Tensor.uniform_),
}
"""These write random numbers into a tensor, and return it."""


@contextmanager
def blank() -> Iterator[None]:
    """Torch makes tensors on the meta device, and leaves them as they are.

    >>> with blank():
    ...     weight = torch.nn.Linear(2, 3).weight
    >>> weight.is_meta, weight.shape
    (True, torch.Size([3, 2]))
    """
    with torch.device("meta"), _Undrawn():
        yield


class _Undrawn(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in DRAWS and (tensor := args[0] if args else given["tensor"]).is_meta:
            return tensor
        return func(*args, **given)
