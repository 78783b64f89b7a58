"""ONNX Runtime on the CPU: every optimisation of graphs, one operator at a time, on as many threads as are asked for.

By itself it starts as many threads as the machine has cores, whatever it may use of them; so they are said.
"""

import json
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from resbench.graphs.fusion import Kernel
from resbench.timing.runtimes.exports import onnx_export as export
from resbench.timing.runtimes.runtime import Conditions, Engine, Watched

__all__ = ["DTYPES", "MODULE", "PACKAGE", "SUFFIX", "export", "load", "watch"]

PACKAGE = MODULE = "onnxruntime"
SUFFIX = ".onnx"
DTYPES = ("fp32", "int8")

PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Attention", "LSTM", "GRU", "RNN", "Einsum")
"""These operators multiply; each has forms with something before or behind the name."""

ADDED = ("ReorderInput", "ReorderOutput")
"""It puts these in where channels begin and cease to lie in blocks."""

RESHAPES = ("gemm_input_reshape", "gemm_output_reshape")
"""It names reshapes so that it puts around a product to make it one of matrices."""

FUSIONS = ("_nchwc", "/MatMulAddFusion")
"""It puts these behind the name of a product that it changes."""

ENDING = "_kernel_time"
"""A kernel's event has this behind the kernel's name."""

INTEGERS = ("Integer", "QLinear", "QGemm", "QAttention", "DynamicQuantize")
"""A form with one of these in its name multiplies integers."""


def load(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
    """Make a session of the file."""
    session = session_of(file, conditions)
    names = [one.name for one in session.get_inputs()]
    feed = dict(zip(names, inputs, strict=True))
    return Engine(partial(session.run, None, feed), partial(_executed, file, conditions))


def watch(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Watched:
    """Make a session that writes down when each kernel began and ended, in whole microseconds."""
    import onnx

    place = Path(mkdtemp(dir=conditions.cache))
    session = session_of(file, conditions, place / "optimised.onnx", place / "times")
    nodes = onnx.load(place / "optimised.onnx", load_external_data=False).graph.node
    makers = {name: i for i, node in enumerate(nodes) for name in node.output}
    shaped = {node.input[0]: node.output for node in nodes if node.name.startswith(RESHAPES)}
    kernels = tuple(
        Kernel(
            node.name,
            node.op_type,
            _anchors(node, shaped),
            tuple(sorted({makers[name] for name in node.input if name in makers})),
            _added(node),
            _multiplies(node),
        )
        for node in nodes
    )
    feed = dict(zip([one.name for one in session.get_inputs()], inputs, strict=True))

    def run() -> float:
        start = time.perf_counter()
        session.run(None, feed)
        return time.perf_counter() - start

    def times(count: int) -> list[list[float]]:
        events = json.loads(Path(session.end_profiling()).read_text())
        begins = [one["ts"] for one in events if one["name"] == "model_run"]
        runs = [dict.fromkeys((kernel.name for kernel in kernels), 0.0) for _ in begins]
        for one in events:
            if one["cat"] == "Node" and one["name"].endswith(ENDING):
                runs[bisect_right(begins, one["ts"]) - 1][one["name"].removesuffix(ENDING)] += one["dur"] / 1e6
        return [[run[kernel.name] for kernel in kernels] for run in runs[-count:]]

    return Watched(kernels, run, times)


def _anchors(node: Any, shaped: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return what it is known by. Its tensors have new names where channels lie in blocks, and only its own tells; or
    what it gives has its old name behind a reshape."""
    name = node.name
    for fusion in FUSIONS:
        name = name.removesuffix(fusion)
    given = [one for output in node.output for one in (output, *shaped.get(output, ()))]
    return () if _added(node) else (name, *given)


def _added(node: Any) -> bool:
    return node.op_type in ADDED or node.name.startswith(RESHAPES)


def _multiplies(node: Any) -> bool:
    return any(word in node.op_type for word in PRODUCTS)


def session_of(file: Path, conditions: Conditions, optimised: Path | None = None, profile: Path | None = None) -> Any:
    """Make a session, which writes the graph as it runs it, or the times of its kernels, where a file is given."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads, options.inter_op_num_threads = conditions.threads, 1
    if not conditions.alone:  # else its idle threads spin, and take a core from whoever has its turn
        options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 3  # that a file is written in a form of this machine's own is what we ask for
    if optimised:
        options.optimized_model_filepath = str(optimised)
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _executed(file: Path, conditions: Conditions) -> Mapping[str, int]:
    """Read the graph as it was optimised: which of its products are of integers."""
    import onnx

    kinds = Counter[str]()
    with TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session_of(file, conditions, optimised)
        nodes = onnx.load(optimised, load_external_data=False).graph.node
    for node in nodes:
        if _multiplies(node):
            kinds["int8" if any(word in node.op_type for word in INTEGERS) else "fp32"] += 1
    return kinds
