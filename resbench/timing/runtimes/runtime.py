"""A runtime runs what an exporter wrote of a network: this is its contract, and where a name finds it.

    process with torch                    fresh processes, without torch
    model --export--> FILE                FILE --load--> Engine --run, again and again--> answers

A runtime is a Python module with the names of ``Runtime``. Those of resbench are files of this folder; another package
brings one as an entry point of the group ``resbench.runtimes``, and is held to the same by ``contract.py``.

>>> import numpy as np
>>> difference([np.array([1.0, 4.0])], [np.array([1.5, 5.0])])
0.2
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from resbench.errors import MeasureError, OptionError, did_you_mean, foreign, telling_line

if TYPE_CHECKING:
    from torch import nn

    from resbench.graphs.fusion import Kernel

TORCH = ("eager", "compile")
"""Torch runs a module itself in these two: nothing is exported, and training and GPUs are measured too."""

NAMES = ("PACKAGE", "MODULE", "SUFFIX", "DTYPES", "export", "load")
"""A runtime has these names."""

OURS = ("aot", "onnxruntime", "openvino", "executorch")
"""Each of these is a file of this folder."""

TOLERANCES: Mapping[str, float] = {"fp32": 1e-3, "bf16": 0.05, "fp16": 0.01, "int8": 0.25}
"""Answers may differ from those of eager fp32 by this share of the largest of them. What differs by more is wrong, and
how fast a wrong answer comes is of no interest. Sums in another order move untrained networks of 50 layers by 1e-6 to
1e-5; rounding to bf16 by 1 in 256 at each layer. Of int8 the accuracy tells more."""


class Conditions(NamedTuple):
    """A file is loaded under these conditions."""

    threads: int
    dtype: str
    """``fp32``: its products have to run in it, whatever the machine could do faster."""
    cache: Path
    """Compiled code may be kept in this folder; the first process finds it empty."""
    alone: bool = True
    """No other engine takes turns with it in the process; else its threads have to rest between its runs."""


class Engine(NamedTuple):
    """An engine is a network that is loaded, with its inputs in place."""

    run: Callable[[], Iterable[Any]]
    """It runs once, and gives arrays in the order of the network's outputs; it is what is timed. It reads its inputs
    where they lie: what was written into those arrays before is what it answers to."""
    executed: Callable[[], Mapping[str, int]]
    """It tells in which dtypes products run, as the runtime itself says, with the number of products in each. It is
    asked after the timing; the answer is empty where the runtime does not say."""


class Watched(NamedTuple):
    """A network is loaded so that the runtime takes the time of each of its kernels."""

    kernels: tuple["Kernel", ...]
    run: Callable[[], float]
    """It runs once, and gives the seconds of the run, without those for reading its times."""
    times: Callable[[int], Sequence[Sequence[float]]]
    """It gives, behind the last run, the seconds of each kernel in each of so many last runs, or once their means."""


class Runtime(Protocol):
    """A runtime is a Python module with these names, and ``watch(file, inputs, conditions) -> Watched`` where it tells
    the times of its kernels."""

    PACKAGE: str
    """``pip install`` knows what has to be installed by this name."""
    MODULE: str
    """It is imported by this name; memory is counted from there on."""
    SUFFIX: str
    """The files that it runs end so. Runtimes that share one share the file: it is exported once."""
    DTYPES: Sequence[str]
    """It can be asked for these."""

    def export(self, model: "nn.Module", args: tuple[Any, ...], named: Mapping[str, Any], file: Path) -> None:
        """Write the file of a module that is in eval mode, for these inputs; whatever it raises becomes one line."""

    def load(self, file: Path, inputs: Sequence[Any], conditions: Conditions) -> Engine:
        """Load the file in a fresh process, with numpy arrays as its inputs, in their order."""


def runtime(name: str) -> Runtime:
    """Find a runtime by its name.

    Raises OptionError for an unknown one, and MeasureError where it is not installed, or lacks what a runtime has.
    """
    if name in OURS:
        found: Runtime = import_module(f"{__package__}.{name}")
    else:
        points = {point.name: point for point in entry_points(group="resbench.runtimes")}
        if name not in points:
            known = (*TORCH, *OURS, *points)
            hint = did_you_mean(name, known, f"expected {', '.join(known)}")
            raise OptionError(f"no runtime is called {name!r}{hint}")
        found = _brought(points[name])
    whole = found.MODULE.partition(".")[0]
    with foreign(MeasureError, lambda error: f"the runtime {name}: {found.PACKAGE} cannot be imported: {_said(error)}"):
        there = find_spec(whole) is not None and find_spec(found.MODULE) is not None
    if not there:
        extra = f"'resbench[{name}]'" if name in OURS else found.PACKAGE
        raise MeasureError(f"the runtime {name} is not installed: {found.PACKAGE} brings it; pip install {extra}")
    return found


def _brought(point: EntryPoint) -> Runtime:
    """Import what another package brings. Raises MeasureError where that fails, or is no runtime."""
    package = f"the package {point.dist.name}" if point.dist else "a package"
    what = f"the runtime {point.name} of {package}"
    with foreign(MeasureError, lambda error: f"{what}: {point.value} cannot be imported: {_said(error)}"):
        found: Runtime = point.load()
    if missing := [word for word in NAMES if not hasattr(found, word)]:
        raise MeasureError(
            f"{what}: expected {point.value} to have the names of a runtime; it has no {', '.join(missing)}"
        )
    return found


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {telling_line(error)}"


def version_of(found: Runtime) -> str:
    """Return ``onnxruntime 1.32.0``."""
    try:
        return f"{found.PACKAGE} {version(found.PACKAGE)}"
    except PackageNotFoundError:
        return found.PACKAGE


def agreement(answers: Iterable[Any], reference: Sequence[Any], dtype: str) -> float:
    """Return the difference of answers from those of eager fp32. Raises MeasureError where that is too much."""
    far, most = difference(answers, reference), TOLERANCES.get(dtype, TOLERANCES["fp16"])
    if not far <= most:
        much = (
            f"by {far:.2g} of the largest, more than {most:g} for {dtype}"
            if far < inf
            else "in what is NaN or infinite"
        )
        raise MeasureError(f"its answers differ from those of eager fp32 {much}: a wrong answer is not a fast one")
    return far


def difference(answers: Iterable[Any], reference: Sequence[Any]) -> float:
    """Return the largest difference of answers from others, as a share of the largest finite one of those.

    It is infinite unless NaN stands where NaN does, and infinity where the same does. Raises MeasureError where their
    number or shapes differ.
    """
    import numpy as np

    found = [np.asarray(one) for one in answers]
    shapes, expected = [one.shape for one in found], [one.shape for one in reference]
    if shapes != expected:
        raise MeasureError(f"expected answers of the shapes {_words(expected)}, received {_words(shapes)}")
    worst = 0.0
    for one, other in zip(found, reference, strict=True):
        a, b = one.astype("float64"), other.astype("float64")
        finite = np.isfinite(b)
        if not (np.isfinite(a[finite]).all() and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
            return inf
        if finite.any():
            a, b = a[finite], b[finite]
            worst = max(worst, float(abs(a - b).max() / (abs(b).max() or 1.0)))
    return worst


def _words(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join("x".join(map(str, shape)) or "one number" for shape in shapes) or "none"
