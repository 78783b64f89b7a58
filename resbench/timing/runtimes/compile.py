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
INSIDE = re.compile(r"_modules\['([^']*)'\]")
PRODUCT = re.compile(r"conv|mm|linear|attention|rnn|lstm|gru")
"""An operator of such a name multiplies."""
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

    weights: Mapping[int, "Weight"]
    """The model's weights, by the identities of their tensors."""
    modules: dict[str, str] = field(default_factory=dict)
    """The nodes of the graph at hand are of these modules."""
    inputs: list["Weight | None"] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)

    def backend(self, graph: torch.fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        """Note what the nodes of a graph are called, and compile it."""
        from torch._inductor.compile_fx import compile_fx

        taken = [node for node in graph.graph.nodes if node.op == "placeholder"]
        self.inputs = [self._weight(node) for node in taken]
        starts = dict(start for node in taken if (start := self._start(node)))
        stacks = {node.name: [*node.meta.get("nn_module_stack", {}).values()] for node in graph.graph.nodes}
        paths = {name: _path(stack[-1][0]) for name, stack in stacks.items() if stack}
        self.modules = {
            name: (starts[root] + path).removesuffix(".") for name, (root, path) in paths.items() if root in starts
        }
        compiled: Any = compile_fx(graph, examples)
        return compiled  # type: ignore[no-any-return]

    def _weight(self, node: torch.fx.Node) -> "Weight | None":
        held = node.meta.get("grapharg")
        return self.weights.get(id(held.example)) if held is not None else None

    def _start(self, node: torch.fx.Node) -> tuple[str, str] | None:
        """Tell what the code calls the module that leads to a weight, and what the model calls it: of a network in
        pieces one of them may be the code of a module inside."""
        one = self._weight(node)
        if one is None:
            return None
        source = str(node.meta["grapharg"].source.name)  # L['self']._modules['conv1']._parameters['weight']
        path = ".".join(INSIDE.findall(source))
        known = not path or one.module == path or one.module.endswith(f".{path}")
        start = one.module.removesuffix(path) if path or not one.module else f"{one.module}."
        return (_path(source)[0], start) if known else None

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
            product = not fused and bool(PRODUCT.search(operator))
            self.kernels.append(Kernel(operator, kind, tuple(anchors), tuple(reads), added, product))
            lines += [f"{space}_mark()", line, f"{space}_mark()"]
        return "\n".join(lines)

    def _weights(self, taken: Sequence[str]) -> list["Weight"]:
        """Find the weights that a kernel takes."""
        places = [int(name[3:].partition("_")[0]) for name in taken if name[0] == "a"]
        return [one for place in places if place < len(self.inputs) and (one := self.inputs[place])]


def watch(work: Workload) -> Watched:
    """Compile the model of a workload anew, with marks. Raises MeasureError where the code has no kernels to mark."""
    code = Code(_weights(work.model))
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


def _weights(model: torch.nn.Module) -> dict[int, Weight]:
    """Find the module and the form of each weight."""
    held = (*model.named_parameters(), *model.named_buffers())
    return {id(tensor): Weight(name.rpartition(".")[0], tensor.dim() < 2) for name, tensor in held}


def _path(name: str) -> tuple[str, str]:
    """Split what code calls a module, ``L['self'].layer1.conv1``, into who leads to it and the way from there."""
    root, _, path = name.partition("]")
    return root, path.removeprefix(".")


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
