"""An ONNX file is read to a graph whose tensors have shapes, for inputs of given shapes; its weights stay on the disk.

Symbolic sizes get their numbers before shapes are inferred, for inference does not calculate with them.
"""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import onnx

from resbench.arch.algebra import Shape
from resbench.errors import ShapeError, SourceError, first_line, foreign
from resbench.files import is_file
from resbench.graphs.freezing import frozen, type_name
from resbench.graphs.functions import inlined
from resbench.graphs.graph import STANDARD, Graph
from resbench.graphs.skim import SMALL, CutOff, skimmed
from resbench.graphs.values import evaluated, graphs

EXPECTED = "expected a whole file of torch.onnx.export or onnx.save"

NEWEST = onnx.defs.onnx_opset_version()
"""The installed onnx knows operator sets up to this one."""


class Declared(NamedTuple):
    """A graph takes this input: sizes, or the names of those that are free; an empty name where it has none."""

    name: str
    sides: tuple[int | str, ...]
    dtype: str

    @property
    def text(self) -> str:
        """It is written so: ``N x 3 x 224 x 224``."""
        return " x ".join(str(side) or "?" for side in self.sides) or "one number"


@dataclass(frozen=True, eq=False)
class GraphFile:
    """A file's message is here without its weights, and with its functions inlined."""

    path: str
    model: Any

    @cached_property
    def inputs(self) -> tuple[Declared, ...]:
        """What a run is given. (Before version 4 of the format weights stood among the inputs too.)"""
        held = {one.name for one in self.model.graph.initializer}
        held |= {one.values.name for one in self.model.graph.sparse_initializer}
        return tuple(_declared(one) for one in self.model.graph.input if one.name not in held)

    def sized(self, shapes: Mapping[str, Shape]) -> Graph:
        """Give the graph for inputs of these shapes, batch and all. Raises ShapeError where they do not fit."""
        model = type(self.model)()
        model.CopyFrom(self.model)
        free: dict[str, int] = {}
        for one in model.graph.input:
            if one.name in shapes:
                _set(one.type.tensor_type.shape, shapes[one.name], free)
        for graph in graphs(model.graph):
            for one in (*graph.value_info, *graph.output):
                if one.type.HasField("tensor_type"):
                    _resolve(one.type.tensor_type.shape, free)
        text = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())

        def misfit(error: BaseException) -> str:
            return f"{self.path} does not take {text}: {first_line(error).removeprefix('[ShapeInferenceError] ')}"

        with foreign(ShapeError, misfit):
            return frozen(evaluated(model, strict=bool(free)))


def read(path: Path) -> GraphFile:
    """Read a file as far as that needs none of its weights. Raises SourceError: no file, no ONNX, one that is cut off;
    external data that is missing, or lies elsewhere; an operator set that the installed onnx does not know."""
    if not is_file(path):
        raise SourceError(f"no file {path}; expected one written by torch.onnx.export or onnx.save")
    model = onnx.ModelProto()
    unreadable = f"cannot read {path} as an ONNX model"
    with foreign(SourceError, lambda error: f"{unreadable} ({_reason(path, error)}); {EXPECTED}"):
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise ValueError("it is empty")
            content = skimmed(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
        model.ParseFromString(content)
        if not model.graph.node and not model.graph.output:
            raise ValueError("there is no graph in it")
    _check_versions(path, model)
    unfound = f"{path}: where its weights lie cannot be read"
    with foreign(SourceError, lambda error: f"{unfound} ({first_line(error)}); save it with its weights beside it"):
        _check_outside(path, model)
    return GraphFile(str(path), inlined(path, model) if model.functions else model)


def _reason(path: Path, error: BaseException) -> str:
    with path.open("rb") as file:
        start = file.read(1)
    if start != b"\x08" and path.stat().st_size:  # the version of the format comes first
        return "it does not begin as one does"
    if isinstance(error, CutOff):
        return f"it is cut off: {first_line(error)}"
    return first_line(error)


def _check_versions(path: Path, model: Any) -> None:
    """Raise SourceError for an operator set that nobody here knows."""
    for one in model.opset_import:
        if one.domain in STANDARD and not 1 <= one.version <= NEWEST:
            raise SourceError(
                f"{path} has operators of opset {one.version}; onnx {onnx.__version__} knows 1 to {NEWEST}; "
                "expected one of these: pip install -U onnx, or export it with an earlier opset_version"
            )


def tensors(graph: Any) -> Iterator[Any]:
    """Yield every tensor that a graph, or a body in it, holds."""
    for one in graphs(graph):
        yield from one.initializer
        for sparse in one.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in one.node:
            for attribute in node.attribute:
                yield from (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors)


def _check_outside(path: Path, model: Any) -> None:
    """Look at the files that weights lie in, and read small ones. Raises SourceError.

    A model is somebody else's file: what it names elsewhere is not looked at.
    """
    known: dict[str, int] = {}
    for tensor in tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        location = said.get("location", "")
        if location not in known:
            known[location] = _size_outside(path, location)
        start, size = (int(said.get(key) or 0) for key in ("offset", "length"))
        if start < 0 or size < 0 or start + size > known[location]:
            raise SourceError(
                f"{path}: {location} is cut off: expected {start + size:,} bytes for {tensor.name}, "
                f"received {known[location]:,}; copy it whole"
            )
        if 0 < size <= SMALL:
            with (path.parent / location).open("rb") as file:
                file.seek(start)
                tensor.raw_data = file.read(size)
            tensor.data_location = onnx.TensorProto.DEFAULT


def _size_outside(path: Path, location: str) -> int:
    """Give the size of a file beside a model. Raises SourceError for one that is not there, or not beside it."""
    named, step = Path(location), path.parent
    leads_out = not location or named.is_absolute() or ".." in named.parts
    for part in () if leads_out else named.parts:
        step = step / part
        leads_out = leads_out or step.is_symlink()
    if leads_out:
        raise SourceError(
            f"{path}: its weights are said to lie in {location!r}; expected a file in its own folder, no link and no "
            "path that leads out of it; save it with its weights beside it"
        )
    if not is_file(step):
        raise SourceError(f"{path}: its weights lie in {location!r}, which is not in {path.parent}; copy it there too")
    return step.stat().st_size


def _declared(one: Any) -> Declared:
    tensor = one.type.tensor_type
    sides = tuple(
        side.dim_value if side.dim_value > 0 else side.dim_param if side.HasField("dim_param") else ""
        for side in tensor.shape.dim
    )
    return Declared(one.name, sides, type_name(tensor.elem_type))


def _set(shape: Any, sides: Shape, free: dict[str, int]) -> None:
    """Give an input its sizes, and note what the free ones are."""
    for one, side in zip(shape.dim, sides, strict=True):
        if one.dim_value <= 0:
            free[one.dim_param] = side
            one.dim_value = side


def _resolve(shape: Any, free: Mapping[str, int]) -> None:
    """Put numbers for the names of sizes; what is calculated with them (``(h - 1)//2 + 1``) is inferred anew."""
    for side in shape.dim:
        if side.HasField("dim_param") or side.dim_value < 0:
            known = side.dim_param and free.get(side.dim_param)
            side.Clear()
            if known:
                side.dim_value = known
