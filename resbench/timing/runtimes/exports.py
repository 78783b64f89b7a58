"""Modules are written into files: the graph of ONNX, which several runtimes read, is exported here once."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

SINGLE_FILE_BYTES = 2**31 - 2**24
"""A message of protobuf has less than 2 GiB: larger weights lie in a file beside it."""


def onnx_export(model: "nn.Module", args: tuple[Any, ...], named: Mapping[str, Any], file: Path) -> None:
    """Write the graph as torch's exporter does by default, its weights in the same file where they fit."""
    import torch

    weights = sum(one.nbytes for one in (*model.parameters(), *model.buffers()))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch deprecates inside of its own exporter
        torch.onnx.export(
            model,
            args,
            file,
            kwargs=dict(named) or None,
            dynamo=True,
            external_data=weights > SINGLE_FILE_BYTES,
            verbose=False,
        )
