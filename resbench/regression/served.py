"""A benchmark that names a runtime runs the file that is exported of its model, and is counted by the file's kernels.

params, macs                      of the module's layers, as everywhere
nodes, nodes Conv ...             of the graph in the file, where it is one of ONNX: all, and by kind
kernels                           all; a kernel is what the runtime runs at one go
kernels Conv ...                  by kind, under the modules that a kernel covers: ``conv1 + relu1``
added kernels ReorderInput ...    those that it puts in to lay numbers out anew
unmapped kernels ...              those of which nothing tells what they do
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from resbench.counters.counts import IN_A_RUNTIME, Counted
from resbench.counters.watch import count
from resbench.errors import MeasureError, first_line, foreign
from resbench.timing.runtimes.runtime import Conditions, Engine, agreement, runtime, version_of
from resbench.workers.workload import EAGER, Setup, Workload

GRAPH = ".onnx"
"""A file whose name ends so holds nodes under the names of modules, which its kernels still bear."""


class Served(Workload):
    """A workload runs in a runtime; its phases are the module's, in eager fp32, and are only counted.

    The file is written when it is made ready, into ``folder``, where another process may have left it already, or
    else into a temporary one. It is loaded at the first run: so a runtime's threads are started where the gate lets the
    benchmark run. Raises OptionError or MeasureError for what the runtime cannot do.
    """

    def __init__(self, model: nn.Module, inputs: Any, setup: Setup, folder: Path | None = None) -> None:
        from resbench.timing.latency.processes import check_runtime

        check_runtime(setup)
        super().__init__(model, inputs, replace(setup, runtime=EAGER, dtype="fp32"))
        self.runtime, self.asked, self.folder = runtime(setup.runtime), setup, folder

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Have the file, and apply the setup: torch's exporter refuses some of its switches."""
        with ExitStack() as stack:
            place = self.folder or Path(stack.enter_context(TemporaryDirectory(prefix="resbench-")))
            self.cache, self.file = place / "cache", place / f"network{self.runtime.SUFFIX}"
            self.cache.mkdir(parents=True, exist_ok=True)
            if not self.file.exists():
                from resbench.timing.runtimes.exporting import write

                write(self.runtime, self, self.file, str(self))
            stack.callback(self.__dict__.pop, "engine", None)  # what maps the file is let go before the folder is
            with super().ready():
                yield

    def run(self) -> None:
        """Run once in the runtime."""
        self.engine.run()

    @cached_property
    def engine(self) -> Engine:
        """The file is loaded, and its answers are those of the module. Raises MeasureError where they are not."""
        from resbench.timing.runtimes.exporting import answers

        with foreign(MeasureError, lambda error: f"{self}: {type(error).__name__}: {first_line(error)}"):
            engine = self.runtime.load(self.file, self._arrays, self._conditions)
            agreement(engine.run(), answers(self), self.asked.dtype)
        return engine

    def counted(self) -> Counted:
        """Count the layers of the module, the nodes of the file, and the kernels of the runtime."""
        self.run()
        layers = defaultdict[str, Counter[str]](Counter)
        for layer, values in count(self, graph=False).layers.items():
            layers[layer].update({name: values.get(name, 0) for name in IN_A_RUNTIME})
        for layer, counters in self._kernels().items():
            layers[layer] += counters
        return Counted({name: dict(+one) for name, one in layers.items() if +one}, belonging(self.runtime))

    def _kernels(self) -> dict[str, Counter[str]]:
        """Count kernels by the modules that they cover, and what belongs to no module under the model itself."""
        from resbench.graphs.fusion import Group, covered
        from resbench.graphs.reading import read
        from resbench.graphs.values import graphs

        found = defaultdict[str, Counter[str]](Counter)
        watch = getattr(self.runtime, "watch", None)
        kernels = watch(self.file, self._arrays, self._conditions).kernels if watch else ()
        groups = [Group((), "")] * len(kernels)  # nothing tells, but a graph
        if self.file.suffix == GRAPH:
            graph = read(self.file)
            nodes = [node.op_type for one in graphs(graph.model.graph) for node in one.node]
            found[""].update(nodes=len(nodes), **Counter(f"nodes {kind}" for kind in nodes))
            groups = covered(graph.sized({}), kernels)
        found[""]["kernels"] = len(kernels)
        for kernel, group in zip(kernels, groups, strict=True):
            apart = "" if group.name else "added " if kernel.added else "unmapped "
            found[group.name][f"{apart}kernels {kernel.operator.replace('.', '_')}"] += 1
        return found

    @cached_property
    def _arrays(self) -> list[Any]:
        from resbench.timing.runtimes.exporting import arrays

        return arrays(self.tensors)

    @property
    def _conditions(self) -> Conditions:
        """Sides take turns on the same cores, so its threads rest between runs."""
        return Conditions(self.asked_threads, self.asked.dtype, self.cache, alone=False)

    def __str__(self) -> str:
        return f"{type(self.model).__name__}, {self.asked.runtime}"


def belonging(found: Any) -> str:
    """Return what kernels belong to: ``onnxruntime 1.32.0, AVX512``, the runtime's version and the instruction set."""
    return f"{version_of(found)}, {torch.backends.cpu.get_cpu_capability()}"
