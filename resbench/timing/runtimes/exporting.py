"""A process with torch writes what runtimes are given: ``python -m resbench.timing.runtimes.exporting``.

It reads a request as JSON on its standard input, and leaves in the request's folder the file, its inputs and what eager
fp32 answers to them; where it runs on a set of images, those to name too. A graph that is given as a file stands for
itself, and nothing answers in its place.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from resbench.arch.rows import Cost
from resbench.codec import decoded, encoded
from resbench.costs.measure import cost
from resbench.errors import MeasureError, foreign, telling_line
from resbench.networks.inputs import Input
from resbench.networks.load import load
from resbench.networks.modules import Lent
from resbench.networks.name import ModelName
from resbench.timing.accuracy import batched, to_calibrate, to_name
from resbench.timing.case import Case, one_line, ready, workload
from resbench.timing.runtimes.exports import quantised, quiet
from resbench.timing.runtimes.runtime import Runtime, runtime
from resbench.timing.runtimes.serving import ANSWERS, IMAGES, INPUTS
from resbench.workers.asking import Answer, answer
from resbench.workers.workload import EAGER, Workload

UNKNOWN = (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.complex32)
"""Files of numpy, which runtimes read, hold none of these types."""


class Exported(NamedTuple):
    """One network was written for a runtime, with what is known of a run of it."""

    model: str
    input: tuple[int, ...]
    batched: bool
    macs: int
    uncounted: Mapping[str, int]
    file: Path
    bytes: int
    """The file has so many, with those that lie beside it for its weights."""


def exported(case: Case, folder: Path) -> Exported:
    """Write the network of a case into a folder. Raises MeasureError where the exporter cannot, with its reason."""
    if ModelName.parse(case.model, case.input).source == "onnx":
        return _graph(case, folder)
    work, name = workload(_eager(case))
    return _written(case, work, name, cost(case.model, case.input, batch=case.setup.batch), folder)


def exported_here(case: Case, model: Lent, input: Input, folder: Path) -> Exported:
    """Write a module of the caller's into a folder, in this process; it is given back as it was."""
    counted = cost(model, input, batch=case.setup.batch)
    with ready(model, input, _eager(case).setup) as (work, name):
        return _written(case, work, name, counted, folder)


def _eager(case: Case) -> Case:
    return case._replace(setup=replace(case.setup, runtime=EAGER, dtype="fp32"))


def _written(case: Case, work: Workload, name: str, counted: Cost, folder: Path) -> Exported:
    """Write the model of a workload, with its inputs and what eager answers to them."""
    found, eager = runtime(case.setup.runtime), _eager(case)
    file = folder / f"network{found.SUFFIX}"
    with one_line(eager), work.ready():
        save(folder / ANSWERS, answers(work))
    save(folder / INPUTS, arrays(work.tensors))
    write(found, work, file, str(eager))
    shape = tuple(work.tensors[0].shape)
    file = _prepared(case, file, shape[1:], folder)
    return Exported(name, shape, work.batched, counted.macs, dict(counted.uncounted), file, size(file))


def write(found: Runtime, work: Workload, file: Path, what: str) -> None:
    """Write the file of a workload's model. Raises MeasureError with the exporter's reason, and ``what`` it was."""
    with _writing(what, found.SUFFIX), torch.no_grad():
        found.export(work.model, work.inputs, work.named, file)


@contextmanager
def _writing(what: str, form: str) -> Iterator[None]:
    """Turn whatever an exporter raises into a line; what its libraries warn of is theirs."""

    def say(error: BaseException) -> str:
        return f"{what}: cannot be written as {form}: {type(error).__name__}: {reason(error)}"

    with foreign(MeasureError, say), quiet():
        yield


def answers(work: Workload) -> list[Any]:
    """Return what the model of a workload answers to its inputs."""
    return arrays(one for one in tree_leaves(work.call(*work.inputs, **work.named)) if isinstance(one, Tensor))


def arrays(tensors: Iterable[Tensor]) -> list[Any]:
    """Return the numbers of tensors as a runtime is given them. Raises MeasureError for a type that numpy has not."""
    found = [one.detach().cpu().contiguous() for one in tensors]
    unknown = next((one.dtype for one in found if one.dtype in UNKNOWN), None)
    if unknown is not None:
        raise MeasureError(
            f"expected inputs and outputs of a type that numpy has, received {unknown}; give model.float()"
        )
    return [one.numpy() for one in found]


def _prepared(case: Case, file: Path, shape: tuple[int, ...], folder: Path) -> Path:
    """Keep the images to name, where there are any; return the file that runs: in integers, where that is asked."""
    if case.data is None:
        return file
    save(folder / IMAGES, to_name(case.data, shape))
    if case.setup.dtype != "int8":
        return file
    integers = folder / f"int8{file.suffix}"
    with _writing(str(case), "int8"):
        quantised(file, to_calibrate(case.data, shape).images, case.setup.batch, integers)
    return integers


def _graph(case: Case, folder: Path) -> Exported:
    """Draw inputs for a graph that is a file already."""
    model = load(case.model, case.input)
    assert model.graph
    graph, file = model.sized(case.setup.batch), Path(model.graph.path)
    if runtime(case.setup.runtime).SUFFIX != ".onnx":
        raise MeasureError(
            f"{case}: a graph of ONNX runs in runtimes that read it, such as onnxruntime and openvino; "
            f"received {case.setup.runtime}"
        )
    random = np.random.default_rng(0)
    drawn: list[Any] = []
    if case.data and (len(graph.inputs) != 1 or len(graph.inputs[0].shape or ()) != 4):
        raise MeasureError(f"{case}: --data shows images: expected a graph of one input (N, C, H, W)")
    for one in graph.inputs:
        assert one.shape is not None
        if case.data:
            drawn.append(batched(to_name(case.data, one.shape[1:]).images, one.shape[0]))
            continue
        floating = one.dtype.startswith("float")
        drawn.append((random.standard_normal(one.shape) if floating else np.ones(one.shape)).astype(one.dtype))
    save(folder / INPUTS, drawn)
    counted = cost(case.model, case.input, batch=case.setup.batch)
    beside = {
        fact.value
        for one in model.graph.model.graph.initializer
        for fact in one.external_data
        if fact.key == "location"
    }
    first = graph.inputs[0].shape or ()
    ready = _prepared(case, file, first[1:], folder)
    nbytes = size(file, beside) if ready == file else size(ready)
    return Exported(str(model.name.title), first, True, counted.macs, dict(counted.uncounted), ready, nbytes)


def save(path: Path, arrays: Sequence[Any]) -> None:
    """Keep arrays in their order."""
    named: dict[str, Any] = {f"{i}": one for i, one in enumerate(arrays)}
    np.savez(path, **named)


def size(file: Path, beside: Iterable[str] = ()) -> int:
    """Count the bytes of a file, and of the weights that lie beside it: by these names, or as exporters name them."""
    parts = {file, file.with_name(f"{file.name}.data"), *(file.parent / name for name in beside)}
    return sum(one.stat().st_size for one in parts if one.is_file())


def reason(error: BaseException) -> str:
    """Return the line of an exporter's error that names what it cannot do: the innermost cause's first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return telling_line(error)


def main(request: dict[str, Any]) -> Answer:
    """Export the network of a request."""
    return dict(encoded(exported(decoded(Case, request["case"]), Path(request["folder"]))))


if __name__ == "__main__":
    answer(main)
