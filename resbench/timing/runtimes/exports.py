"""Modules are written into files: the graph of ONNX, which several runtimes read, is exported here once.

So is the same graph in integers, where images say how far its numbers go.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.errors import MeasureError
from resbench.timing.accuracy import batched

if TYPE_CHECKING:
    from torch import nn

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""Else ONNX Runtime 1.32 starts a thread for telemetry when it is imported, and leaves files behind that hold an
identifier and where Python lies: findings/onnxruntime-import-leaves-files.sh."""

SINGLE_FILE_BYTES = 2**31 - 2**24
"""A message of protobuf has less than 2 GiB: larger weights lie in a file beside it."""


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what exporters say of themselves: deprecations inside of them, and advice."""
    loggers = [logging.getLogger(name) for name in (None, "torch.onnx")]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


@quiet()
def onnx_export(model: "nn.Module", args: tuple[Any, ...], named: Mapping[str, Any], file: Path) -> None:
    """Write the graph as torch's exporter does by default, its weights in the same file where they fit.

    Raises MeasureError without the packages that it writes by.
    """
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise MeasureError(f"torch writes .onnx by {name}, not installed here: pip install onnx onnxscript")
    import torch

    weights = sum(one.nbytes for one in (*model.parameters(), *model.buffers()))
    torch.onnx.export(
        model,
        args,
        file,
        kwargs=dict(named) or None,
        dynamo=True,
        external_data=weights > SINGLE_FILE_BYTES,
        verbose=False,
    )


def quantised(file: Path, images: Any, batch: int, target: Path) -> None:
    """Write a graph's convolutions and products in int8: by ONNX Runtime's static quantisation, calibrated on images.

    Weights have a scale for each channel of output. Activations are unsigned: with signed ones ONNX Runtime leaves many
    convolutions in fp32. Raises whatever ONNX Runtime does.
    """
    import onnxruntime
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    class Reader:
        """It gives a batch at a time, by the name of the input."""

        def __init__(self) -> None:
            [first] = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]).get_inputs()
            parts = range(0, len(images), batch)
            self.feeds: Iterator[dict[str, Any]] = iter(
                [{first.name: batched(images[start : start + batch], batch)} for start in parts]
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self.feeds, None)

    quantize_static(
        str(file),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
