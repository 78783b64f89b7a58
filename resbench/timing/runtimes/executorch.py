"""ExecuTorch runs a program on phones and small devices; on the CPU through the kernels of XNNPACK.

Its Python package takes and gives torch's tensors, so torch is loaded beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.timing.runtimes.runtime import Conditions, Engine

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DTYPES", "MODULE", "PACKAGE", "SUFFIX", "export", "load"]

PACKAGE, MODULE = "executorch", "executorch.runtime"
SUFFIX = ".pte"
DTYPES = ("fp32",)


def export(model: "nn.Module", args: tuple[Any, ...], named: Mapping[str, Any], file: Path) -> None:
    """Lower the exported program, and give XNNPACK whatever it takes of it."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    with torch.no_grad():
        program = torch.export.export(model, args, dict(named) or None)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    file.write_bytes(lowered.to_executorch().buffer)


def load(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
    """Load the program's forward; of the dtypes of its products it says nothing."""
    import torch
    from executorch.extension.pybindings import portable_lib
    from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(conditions.threads)
    method = Runtime.get().load_program(file).load_method("forward")
    tensors = [torch.from_numpy(one) for one in inputs]

    def run() -> Iterable[Any]:
        return [one for one in method.execute(tensors) if one is not None]

    return Engine(run, dict)
