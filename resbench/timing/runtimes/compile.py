"""``torch.compile`` on the CPU: the code that it writes calls one kernel after the other, and a clock goes in between.

No profiler tells its kernels' times without being asked while it compiles, and then not of which module. The code does:
a line for each kernel, with the tensors that it takes. Those are inputs of the graph, which bear the names of the
modules' weights; before a product stands the module of its operator.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from resbench.errors import MeasureError
from resbench.graphs.fusion import Kernel
from resbench.timing.runtimes.runtime import Watched
from resbench.workers.switches import attribute, put_back
from resbench.workers.workload import Workload

CALL = re.compile(r"^( +)(?:(buf\d+) = )?((cpp_fused\w*)|(?:extern_kernels|torch\.ops|aten)\.[\w.]+)\((.*)\)$")
REUSED = re.compile(r"^ +(buf\d+) = (?:reinterpret_tensor\()?(buf\d+)")
SOURCES = re.compile(r"^ +# Topologically Sorted Source Nodes: \[(.*?)\]")
LAYS = re.compile(r"cpp_fused_(?:_*(?:convolution|clone|_to_copy|mm|addmm|t)_?)+\d+")
"""A kernel of this name lays an image and weights out for a product, and computes nothing."""
TENSORS = re.compile(r"\b(arg\d+_\d+|buf\d+)\b")

MARK = f"from {__name__} import mark as _mark"

_marks: list[float] = []


def mark() -> None:
    """Take the time: compiled code calls this around each kernel."""
    _marks.append(time.perf_counter())


class Weight(NamedTuple):
    """A module holds it."""

    module: str
    flat: bool
    """It has one dimension: others a fused kernel lays out anew, for the product behind it."""


@dataclass
class Code:
    """The code of a run is read as the compiler writes it, piece by piece."""

    weights: Mapping[str, "Weight"]
    """Inputs of a graph that are weights, by the names that the compiler gives them."""
    modules: dict[str, str] = field(default_factory=dict)
    """The nodes of its graphs are of these modules."""
    inputs: list["Weight | None"] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)

    def backend(self, graph: torch.fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        """Note what the nodes of a graph are called, and compile it."""
        from torch._inductor.compile_fx import compile_fx

        self.inputs = [self.weights.get(node.name) for node in graph.graph.nodes if node.op == "placeholder"]
        for node in graph.graph.nodes:
            around = [path for path, _ in node.meta.get("nn_module_stack", {}).values()]
            if around:
                self.modules[node.name] = around[-1].removeprefix("L['self']").removeprefix(".")
        compiled: Any = compile_fx(graph, examples)
        return compiled  # type: ignore[no-any-return]

    def with_marks(self, source: str) -> str:
        """Put a mark around each line that calls a kernel, and note the kernel."""
        lines, said, written = [MARK], "", dict[str, int]()
        for line in source.splitlines():
            if found := SOURCES.match(line):
                said = found[1].rpartition(", ")[2]
            elif found := REUSED.match(line):
                written |= {found[1]: written[found[2]]} if found[2] in written else {}
            found = CALL.match(line)
            if not found:
                lines.append(line)
                continue
            space, result, operator, fused, arguments = found.groups()
            taken = TENSORS.findall(arguments)
            reads = sorted({written[name] for name in taken if name in written})
            place, given = len(self.kernels), [result] if result else [name for name in taken if name[0] == "b"]
            written |= dict.fromkeys(given, place)
            weights = self._weights(taken)
            anchors = [one.module for one in weights if one.flat] if fused else [self.modules.get(said, "")]
            kind = "fused" if fused else operator.split(".")[-1]
            added = bool(LAYS.fullmatch(operator))
            self.kernels.append(Kernel(operator, kind, tuple(anchors), tuple(reads), added))
            lines += [f"{space}_mark()", line, f"{space}_mark()"]
        return "\n".join(lines)

    def _weights(self, taken: Sequence[str]) -> list["Weight"]:
        """Find the weights that a kernel takes."""
        places = [int(name[3:].partition("_")[0]) for name in taken if name[0] == "a"]
        return [one for place in places if place < len(self.inputs) and (one := self.inputs[place])]


def watch(work: Workload) -> Watched:
    """Compile the model of a workload anew, with marks. Raises MeasureError where the code has no kernels to mark."""
    code = Code(dict(_placeholders(work.model)))
    torch._dynamo.reset()
    with _written(code.with_marks):
        compiled = torch.compile(work.model, backend=code.backend)
        _run(work, compiled)
    kernels, found = tuple(code.kernels), list[list[float]]()

    def run() -> float:
        _marks.clear()
        start = time.perf_counter()
        _run(work, compiled)
        seconds = time.perf_counter() - start
        found.append([end - begin for begin, end in zip(_marks[::2], _marks[1::2], strict=True)])
        return seconds

    run()
    if not kernels or len(found[0]) != len(kernels):
        raise MeasureError(
            f"of the {len(kernels)} kernels that torch {torch.__version__} compiled {len(found[0])} ran: expected each "
            "once; time whole runs with --runtime compile, without --layers"
        )
    return Watched(kernels, run, lambda count: found[-count:])


def _run(work: Workload, compiled: Callable[..., Any]) -> None:
    with work.autocast():
        compiled(*work.inputs, **work.named)


def _placeholders(model: torch.nn.Module) -> Iterator[tuple[str, Weight]]:
    """Yield the name of each weight as an input of the compiler's graph."""
    held = [("parameters", model.named_parameters()), ("buffers", model.named_buffers())]
    for kind, several in held:
        for name, tensor in several:
            *path, last = name.split(".")
            written = "".join(f"modules_{part}_" for part in path)
            yield re.sub(r"\W", "_", f"l_self_{written}{kind}_{last}_"), Weight(".".join(path), tensor.dim() < 2)


@contextmanager
def _written(change: Callable[[str], str]) -> Iterator[None]:
    """Change the code that the compiler writes, before it is loaded; what it has kept earlier is passed over."""
    from torch._inductor import codecache, config

    write = codecache.PyCodeCache.write

    def changed(source: str, *more: Any, **named: Any) -> Any:
        return write(change(source) if "def call(" in source else source, *more, **named)

    with put_back(attribute(codecache.PyCodeCache, "write")), config.patch(force_disable_caches=True):
        codecache.PyCodeCache.write = changed  # type: ignore[method-assign,assignment]
        yield
