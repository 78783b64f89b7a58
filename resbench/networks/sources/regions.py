"""The regions of an exported program, in which gradients are off or autocast is on, become a part of its graph again.

``torch.export`` takes such a region out, as a graph of its own: there its operators belong to no module any more, and
their weights are somebody else's. Back in the program's graph, between a switch and the switch back, they stand where
the module that was exported has them.
"""

import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node, has_side_effect


@has_side_effect
def _gradients(enabled: bool) -> AbstractContextManager[Any]:
    return _entered(torch.set_grad_enabled(enabled))


@has_side_effect
def _autocast(device: str, dtype: torch.dtype, enabled: bool, cached: bool) -> AbstractContextManager[Any]:
    return _entered(torch.autocast(device, dtype, enabled, cached))


def _entered(context: AbstractContextManager[Any]) -> AbstractContextManager[Any]:
    context.__enter__()
    return context


@has_side_effect
def _leave(context: AbstractContextManager[Any]) -> None:
    context.__exit__(None, None, None)


CONTEXTS: dict[Any, tuple[int, Callable[..., AbstractContextManager[Any]]]] = {
    torch.ops.higher_order.wrap_with_set_grad_enabled: (1, _gradients),
    torch.ops.higher_order.wrap_with_autocast: (4, _autocast),
}
"""These call a region; their first so many arguments say in which context."""

STACK = "nn_module_stack"
"""A node of the graph notes here in which modules it ran, the innermost last."""


def put_back(program: ExportedProgram) -> None:
    """Put all regions of a program back in place, those within others too."""
    while regions := [node for node in program.graph.nodes if node.target in CONTEXTS]:
        for region in regions:
            _put_back(region, program)
    program.graph.lint()
    program.graph_module.recompile()


def _put_back(region: Node, program: ExportedProgram) -> None:
    graph, owner = region.graph, program.graph_module
    number, context = CONTEXTS[region.target]
    arguments: Any = region.args[number:]
    held, *inputs = arguments
    inner = getattr(owner, held.target)
    places = dict(zip(inner.graph.find_nodes(op="placeholder"), inputs, strict=True))
    with graph.inserting_before(region):
        enter = graph.call_function(context, region.args[:number])
        results: Any = graph.graph_copy(inner.graph, places)
        leave = graph.call_function(_leave, (enter,))
    copies = [places[node] for node in inner.graph.nodes if node.op not in ("placeholder", "output")]
    for copy in copies:
        if copy.op == "get_attr":
            copy.target = _taken_over(getattr(inner, copy.target), owner)
    enter.meta[STACK] = leave.meta[STACK] = _in_common([copy.meta.get(STACK, {}) for copy in copies])
    items: list[Any] = [*region.users]
    for item in items:
        assert item.target is operator.getitem, "a region gives a tuple"
        result = results[item.args[1]]
        item.replace_all_uses_with(result)
        program.graph_signature.replace_all_uses(item.name, result.name)
        graph.erase_node(item)
    graph.erase_node(region)
    if not held.users:
        graph.erase_node(held)


def _taken_over(held: Any, owner: GraphModule) -> str:
    """Let the owner of the whole graph hold what a region held, and give the name."""
    name = next(name for i in range(len(owner._modules) + 1) if not hasattr(owner, name := f"region_{i}"))
    setattr(owner, name, held)
    return name


def _in_common(stacks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Find the modules in which all of a region ran."""
    first, *others = stacks or [{}]
    return dict(takewhile(lambda entry: all(entry in other.items() for other in others), first.items()))
