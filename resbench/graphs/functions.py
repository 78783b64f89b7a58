"""A file's own functions are put in place of their calls; a few of them can stand for more nodes than fit anywhere."""

from pathlib import Path
from typing import Any

from resbench.errors import SourceError, first_line, foreign
from resbench.graphs.values import graphs

MOST = 1_000_000
"""No more nodes are written out: the largest language models have tens of thousands."""


def inlined(path: Path, model: Any) -> Any:
    """Give a model without calls of its functions. Raises SourceError for too many nodes, or a function that calls
    itself."""
    functions = {(one.domain, one.name, one.overload): one for one in model.functions}
    sizes: dict[Any, int] = {}

    def size(holder: Any) -> int:
        return sum(nodes(node) for graph in graphs(holder) for node in graph.node)

    def nodes(node: Any) -> int:
        called = node.domain, node.op_type, node.overload
        if called not in functions:
            return 1
        if called not in sizes:
            sizes[called] = 0  # one that calls itself is refused below
            sizes[called] = size(functions[called])
        return sizes[called]

    if (count := size(model.graph)) > MOST:
        raise SourceError(f"{path}: its functions come to {count:,} nodes; expected at most {MOST:,}")
    from onnx.inliner import inline_local_functions

    with foreign(SourceError, lambda error: f"{path}: its functions cannot be inlined: {first_line(error)}"):
        return inline_local_functions(model)
