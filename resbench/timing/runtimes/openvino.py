"""OpenVINO on the CPU reads the graph of ONNX, whose nodes' names it keeps.

Where the machine multiplies bf16 numbers it takes them unasked: the precision is said, and read back.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from resbench.graphs.fusion import Kernel
from resbench.timing.runtimes.exports import onnx_export as export
from resbench.timing.runtimes.runtime import Conditions, Engine, Watched

__all__ = ["DTYPES", "MODULE", "PACKAGE", "SUFFIX", "export", "load", "watch"]

PACKAGE = MODULE = "openvino"
SUFFIX = ".onnx"
DTYPES = ("fp32", "bf16", "int8")

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""It is asked for these; integers are in the file, and stay."""

ADDED = ("Reorder", "Convert")
"""It puts these in where the layout or the type of numbers changes; so it does what lays out weights alone."""

WORDS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
PRODUCTS = ("Convolution", "Deconvolution", "FullyConnected", "MatMul", "RNNSeq", "RNNCell", "MHA")
"""The runtime calls its layers so that multiply."""


def load(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
    """Compile the file for one request at a time."""
    import openvino

    network = compiled(file, conditions)
    request = network.create_infer_request()
    for i, one in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(one, shared_memory=True))
    return Engine(lambda: request.infer(share_outputs=True).values(), partial(_executed, network))


def watch(file: Path, inputs: Sequence[Any], conditions: Conditions) -> Watched:
    """Compile the file so that it takes times, in whole microseconds. It tells their means over all runs that there
    were, the first included and those of other requests: two of them give the mean of the runs between."""
    import openvino

    network = compiled(file, conditions, PERF_COUNT=True)
    request = network.create_infer_request()
    for i, one in enumerate(inputs):
        request.set_input_tensor(i, openvino.Tensor(one, shared_memory=True))
    nodes = network.get_runtime_model().get_ordered_ops()
    names = [node.get_friendly_name() for node in nodes]
    kinds = [_fact(node.get_rt_info(), "layerType") for node in nodes]
    held = {name for name, kind in zip(names, kinds, strict=True) if kind == "Const"}
    ran = [i for i, kind in enumerate(kinds) if kind not in ("Const", "Input", "Output", "Result", "Parameter")]
    places = {names[i]: at for at, i in enumerate(ran)}
    kernels = []
    for i in ran:
        sources = [one.get_source_output().get_node().get_friendly_name() for one in nodes[i].inputs()]
        said = _fact(nodes[i].get_rt_info(), "originalLayersNames").split(",")
        weights = [one for one in sources if one in held]
        reads = tuple(sorted({places[one] for one in sources if one in places}))
        product = kinds[i] in PRODUCTS
        added = kinds[i] in ADDED or (bool(sources) and len(weights) == len(sources) and not product)
        anchors = () if added else tuple(filter(None, (*said, *weights)))
        kernels.append(Kernel(names[i], kinds[i], anchors, reads, added, product))
    found = [[0.0] * len(kernels)]

    def run() -> float:
        start = time.perf_counter()
        request.infer(share_outputs=True)
        seconds = time.perf_counter() - start
        took = {one.node_name: one.real_time.total_seconds() for one in request.profiling_info}
        found.append([took.get(kernel.name, 0.0) for kernel in kernels])
        return seconds

    def times(count: int) -> list[list[float]]:
        runs = len(found) - 1
        return [
            [
                (runs * now - (runs - count) * then) / count
                for now, then in zip(found[-1], found[-1 - count], strict=True)
            ]
        ]

    return Watched(tuple(kernels), run, times)


def compiled(file: Path, conditions: Conditions, **more: Any) -> Any:
    """Compile the file for few and short runs, with compiled code kept in the folder."""
    import openvino

    core = openvino.Core()
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": conditions.threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[conditions.dtype],
        "CACHE_DIR": str(conditions.cache),
        **more,
    }
    return core.compile_model(str(file), "CPU", options)


def _executed(network: Any) -> Mapping[str, int]:
    kinds = Counter[str]()
    for node in network.get_runtime_model().get_ordered_ops():
        facts = node.get_rt_info()
        if _fact(facts, "layerType") in PRODUCTS:
            precision = _fact(facts, "runtimePrecision")
            kinds[WORDS.get(precision, precision)] += 1
    return kinds


def _fact(facts: Any, name: str) -> str:
    """Read one of the facts that it notes of a layer, which older versions wrap."""
    value = dict(facts).get(name, "")
    return str(getattr(value, "value", value))
