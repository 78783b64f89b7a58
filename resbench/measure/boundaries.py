"""Where a run passes from one module to the next, forward and backward.

A forward hook before and after each module says what begins and ends. In the backward pass each node of the graph
says, before it runs, whose it is: the module that was innermost when the forward made it, which its sequence number
tells. A gradient reaches its parameter right behind the node that made it, and belongs to that.

What happens at a boundary is the caller's: a time is taken, or work is booked on the module that is open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch._C._autograd import _get_sequence_nr as sequence_number

LEAVE = -1
"""In place of a module's number: the innermost one ends."""

Mark = Callable[[int], object]
"""Called at each boundary with the number of the module that begins, or LEAVE; in the backward pass with the
number of the module whose work begins."""


class Modules:
    """The modules of a model by number, the model itself 0."""

    def __init__(self, model: nn.Module) -> None:
        named = list(model.named_modules())
        self.names = [name for name, _ in named]
        self.modules = [module for _, module in named]

    @contextmanager
    def watched(self, mark: Mark) -> Iterator[None]:
        """Forward boundaries go to ``mark`` while this is open."""
        with ExitStack() as stack:
            for number, module in enumerate(self.modules[1:], 1):
                stack.callback(module.register_forward_pre_hook(_entering(mark, number)).remove)
                stack.callback(module.register_forward_hook(_leaving(mark)).remove)
            yield

    def watch_backward(self, loss: Tensor, boundaries: list[tuple[int, int]], mark: Mark) -> None:
        """Backward boundaries go to ``mark``. ``boundaries``: the sequence number at which each module came to be
        innermost in the forward pass, and that module."""
        starts = [number for number, _ in boundaries]
        seen: set[Any] = set()
        waiting = [loss.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            if hasattr(node, "variable"):
                continue  # a gradient that a hook has seen is copied into the parameter instead of becoming it
            at = bisect_right(starts, node._sequence_nr()) - 1
            owner = boundaries[at][1] if at >= 0 else 0
            node.register_prehook(_reaching(mark, owner))


def _entering(mark: Mark, number: int) -> Callable[[Any, Any], None]:
    def hook(module: Any, args: Any) -> None:
        mark(number)

    return hook


def _leaving(mark: Mark) -> Callable[[Any, Any, Any], None]:
    def hook(module: Any, args: Any, output: Any) -> None:
        mark(LEAVE)

    return hook


def _reaching(mark: Mark, owner: int) -> Callable[[Any], None]:
    def hook(gradients: Any) -> None:
        mark(owner)

    return hook


__all__ = ["LEAVE", "Mark", "Modules", "sequence_number"]
