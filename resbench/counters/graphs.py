"""torch.compile cannot follow a model everywhere; this counts where it breaks off."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from resbench.workers.workload import Workload

GRAPHS = 12
"""After so many graphs no more breaks are looked for: each costs the compiler up to a second."""


def graph_breaks(work: Workload) -> dict[str, int]:
    """Count the breaks in the forward pass, GRAPHS for as many or more; ``graph_failures`` where nothing compiles.

    Dynamo counts the places where it ends a graph and begins another. In a loop, a try or a generator it cannot, and
    leaves the whole function to Python: it counts that nowhere but in the functions it began with and did not finish.
    """
    if work.call is not work.model:  # compiled already, or a function
        return {}
    import torch._dynamo as dynamo
    from torch._dynamo.utils import counters

    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        if len(graphs) > GRAPHS:
            raise TimeoutError
        return graph.forward

    logger = logging.getLogger("torch._dynamo")
    level = logger.level
    try:
        dynamo.reset()
        counters.clear()
        logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(action="ignore"), work.autocast():
            torch.compile(work.model, backend=backend)(*work.inputs, **work.named)
    except Exception:
        return {"graph_breaks": GRAPHS} if len(graphs) > GRAPHS else {"graph_failures": 1}
    finally:
        logger.setLevel(level)
        dynamo.reset()
    left = counters["frames"]["total"] - counters["frames"]["ok"]
    return {"graph_breaks": min(GRAPHS, sum(counters["graph_break"].values()) + left)}
