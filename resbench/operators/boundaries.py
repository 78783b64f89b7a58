"""A run passes from one module to the next, forward and backward.

Each module's forward says when it begins and ends. A node of the backward graph belongs to the module that was
innermost when the forward made it, which its sequence number tells; a gradient reaches its parameter right behind the
node that made it, and belongs to that.

A hook in front of a node says when its work begins, but puts every gradient into a Python object on the way, and what
two hold the engine no longer adds to in place: a joint of two branches then costs a new tensor. So a node that unpacks
what the forward kept for it is known by that, and only the others get a hook.

What happens at a boundary is the caller's: a time is taken, or work is booked on the module that is open.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _current_autograd_node as current_node
from torch._C._autograd import _get_sequence_nr as sequence_number

LEAVE = -1
"""It stands in place of a module's number where the innermost one ends."""

Mark = Callable[[int], object]
"""It is called at each boundary with the number of the module that begins, or LEAVE; in the backward pass with the
number of the module whose work begins."""


class Modules:
    """The modules of a model go by number; the model itself is 0."""

    def __init__(self, model: nn.Module) -> None:
        named = list(model.named_modules())
        self.names = [name for name, _ in named]
        self.modules = [module for _, module in named]

    @contextmanager
    def watched(self, mark: Mark) -> Iterator[None]:
        """Send forward boundaries to ``mark`` while this is open."""
        with ExitStack() as stack:
            for number, module in enumerate(self.modules[1:], 1):
                stack.callback(_mark(module, mark, number))
            yield

    def watch_backward(
        self, loss: Tensor, boundaries: list[tuple[int, int]], mark: Mark, known: Collection[int] = ()
    ) -> None:
        """Send backward boundaries to ``mark``. ``boundaries``: the sequence number at which each module came to be
        innermost in the forward pass, and that module. Nodes with a sequence number in ``known`` get no hook."""
        starts = [number for number, _ in boundaries]
        seen: set[Any] = set()
        waiting = [loss.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            waiting += [before for before, _ in node.next_functions]
            number = node._sequence_nr()
            if hasattr(node, "variable") or _passes_on(node) or number in known:
                continue
            at = bisect_right(starts, number) - 1
            owner = boundaries[at][1] if at >= 0 else 0
            node.register_prehook(_reaching(mark, owner))


def _passes_on(node: Any) -> bool:
    """Tell a sum's node, which hands its gradient to both sides as it is."""
    return bool(node.name() == "AddBackward0" and node._saved_alpha == 1)


def _mark(module: nn.Module, mark: Mark, number: int) -> Callable[[], None]:
    """Put the marks around the module's forward, or what compiled it in place; the result puts back what was there.

    A third of the cost of two hooks, and fused paths that look for hooks are taken as ever. In compiled code there is
    no mark: what it takes belongs to the module around it.
    """
    key = "forward" if module._compiled_call_impl is None else "_compiled_call_impl"
    forward, own = getattr(module, key), module.__dict__.get(key)

    def marked(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return forward(*args, **kwargs)
        mark(number)
        try:
            return forward(*args, **kwargs)
        finally:
            mark(LEAVE)  # also where a checkpoint has recomputed enough, and leaves by an exception

    def restore() -> None:
        del module.__dict__[key]
        if own is not None:
            module.__dict__[key] = own

    module.__dict__[key] = marked
    return restore


def _reaching(mark: Mark, owner: int) -> Callable[[Any], None]:
    def hook(gradients: Any) -> None:
        mark(owner)

    return hook


__all__ = ["LEAVE", "Mark", "Modules", "current_node", "sequence_number"]
