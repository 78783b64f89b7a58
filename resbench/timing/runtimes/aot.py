"""Torch's compiler ahead of time (AOTInductor): a package of machine code with the weights in it, loaded by torch.

A package that was exported for one image answers for the first alone when it is given eight, and says nothing; so it
is told to check its inputs, and every answer's shape is compared.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.timing.runtimes.runtime import Conditions, Engine

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DTYPES", "MODULE", "PACKAGE", "SUFFIX", "export", "load"]

PACKAGE, MODULE = "torch", "torch._inductor.package"
SUFFIX = ".pt2"
DTYPES = ("fp32",)

CHECKED = "AOTI_RUNTIME_CHECK_INPUTS"


def export(model: "nn.Module", args: tuple[Any, ...], named: Mapping[str, Any], file: Path) -> None:
    """Compile the exported program into a package."""
    import torch

    os.environ[CHECKED] = "1"
    with torch.no_grad():
        program = torch.export.export(model, args, dict(named) or None)
        torch._inductor.aoti_compile_and_package(program, package_path=str(file))


def load(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
    """Load the package; of the dtypes of its products it says nothing. None among a module's outputs is no answer."""
    os.environ[CHECKED] = "1"
    import torch
    from torch.utils._pytree import tree_leaves

    torch.set_num_threads(conditions.threads)
    network = torch._inductor.aoti_load_package(str(file))
    tensors = [torch.from_numpy(one) for one in inputs]

    @torch.no_grad()
    def run() -> Iterable[Any]:
        return [one for one in tree_leaves(network(*tensors)) if one is not None]

    return Engine(run, dict)
