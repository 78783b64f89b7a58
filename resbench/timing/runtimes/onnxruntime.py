"""ONNX Runtime on the CPU: every optimisation of graphs, one operator at a time, on as many threads as are asked for.

By itself it starts as many threads as the machine has cores, whatever it may use of them; so they are said.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resbench.timing.runtimes.exports import onnx_export as export
from resbench.timing.runtimes.runtime import Conditions, Engine

__all__ = ["DTYPES", "MODULE", "PACKAGE", "SUFFIX", "export", "load"]

PACKAGE = MODULE = "onnxruntime"
SUFFIX = ".onnx"
DTYPES = ("fp32", "int8")

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Attention", "LSTM", "GRU", "RNN", "Einsum")
"""These operators multiply; each has forms with something before or behind the name."""

INTEGERS = ("Integer", "QLinear", "QGemm", "QAttention", "DynamicQuantize")
"""A form with one of these in its name multiplies integers."""


def load(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
    """Make a session of the file."""
    session = session_of(file, conditions.threads)
    names = [one.name for one in session.get_inputs()]
    feed = dict(zip(names, inputs, strict=True))
    return Engine(partial(session.run, None, feed), partial(_executed, file))


def session_of(file: Path, threads: int, optimised: Path | None = None, profile: Path | None = None) -> Any:
    """Make a session, which writes the graph as it runs it, or the times of its kernels, where a file is given."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # that a file is written in a form of this machine's own is what we ask for
    if optimised:
        options.optimized_model_filepath = str(optimised)
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _executed(file: Path) -> Mapping[str, int]:
    """Read the graph as it was optimised: which of its products are of integers."""
    import onnx

    kinds = Counter[str]()
    with TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session_of(file, 1, optimised)
        nodes = onnx.load(optimised, load_external_data=False).graph.node
    for node in nodes:
        if any(word in node.op_type for word in PRODUCTS):
            kinds["int8" if any(word in node.op_type for word in INTEGERS) else "fp32"] += 1
    return kinds
