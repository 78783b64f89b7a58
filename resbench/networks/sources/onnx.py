"""The source ``onnx:path`` reads a graph that an exporter or a runtime wrote, without its weights and without torch."""

from pathlib import Path

from resbench.errors import SourceError
from resbench.networks.name import ModelName
from resbench.networks.sources import Found, Options, package


def find(name: ModelName, options: Options, device: str) -> Found:
    """Read the file. Raises SourceError where it is no graph that can be counted."""
    if options:
        raise SourceError(f"{name.head}: a graph takes no options; received {', '.join(options)}")
    package("onnx")
    from resbench.graphs.reading import read

    return Found(None, "onnx", graph=read(Path(name.base)))
