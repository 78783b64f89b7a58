"""Where torch.compile cannot follow a model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resbench.measure.workload import Workload

GRAPHS = 12
"""After which no more graph breaks are looked for: each costs the compiler up to a second."""


class _Whole(Exception):
    """Thrown where a graph is complete, before guards are built for it and it runs: a fifth of the time."""


def graph_breaks(work: Workload) -> dict[str, int]:
    """In the forward pass, GRAPHS for as many or more; ``graph_failures`` where it cannot be compiled at all."""
    if work.call is not work.model:  # compiled already, or a function
        return {}
    import torch._dynamo as dynamo

    logger = logging.getLogger("torch._dynamo")
    level = logger.level
    try:
        logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), work.autocast():
            warnings.simplefilter("ignore")
            dynamo.reset()
            if _is_one_graph(work):
                return {"graph_breaks": 0}
            dynamo.reset()
            return _counted(work)
    finally:
        logger.setLevel(level)
        dynamo.reset()


def _is_one_graph(work: Workload) -> bool:
    from torch._dynamo.exc import BackendCompilerFailed

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        raise _Whole

    compiled: Callable[..., Any] = torch.compile(work.model, backend=backend, fullgraph=True)
    try:
        compiled(*work.inputs)
    except BackendCompilerFailed as error:
        return isinstance(error.inner_exception, _Whole)
    except Exception:
        return False
    return False


def _counted(work: Workload) -> dict[str, int]:
    """Dynamo counts the places where it ends a graph and begins another. In a loop, a try or a generator it cannot, and
    leaves the whole function to Python: it counts that nowhere but in the functions it began with and did not finish.
    """
    from torch._dynamo.utils import counters

    graphs = 0

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        if graphs > GRAPHS:
            raise TimeoutError
        return graph.forward

    compiled: Callable[..., Any] = torch.compile(work.model, backend=backend)
    counters.clear()
    try:
        compiled(*work.inputs)
    except Exception:
        return {"graph_breaks": GRAPHS} if graphs > GRAPHS else {"graph_failures": 1}
    left = counters["frames"]["total"] - counters["frames"]["ok"]
    return {"graph_breaks": min(GRAPHS, sum(counters["graph_break"].values()) + left)}
