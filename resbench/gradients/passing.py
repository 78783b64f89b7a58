"""Numbers of gradients are taken while these pass, so that no gradient is kept.

A hook hangs on the node of the graph that made the value. It sees what comes to the value as it was then, whatever is
done to it in place afterwards; it ends with the graph, and holds none of it.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Numbers = dict[str, Tensor]


def wide(x: Tensor) -> Tensor:
    """Convert to a type in which sums over many values are exact enough: float32 or float64."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


@torch.no_grad()
def norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm over the whole tensor.

    A loss scaled far up has squares beyond float32. Only a processor that need not be waited for can look at that.
    """
    if hasattr(x, "full_tensor"):  # sharded: its norm is a sum over the ranks, of all of which it is asked
        return torch.linalg.vector_norm(x).full_tensor()  # type: ignore[no-any-return]
    if x.is_cuda:
        return torch.linalg.vector_norm(x, dtype=torch.float64)  # type: ignore[no-any-return]
    size: Tensor = wide(x).norm()
    return size if x.device.type != "cpu" or size.isfinite() else x.double().norm()


def listen(value: Tensor, take: Callable[[Tensor], None]) -> torch.utils.hooks.RemovableHandle:
    """Call ``take`` with the gradient of a value as it is now, behind all tensor hooks, whoever set them."""
    node, output = value.grad_fn, value.output_nr
    if node is None:
        return value.register_hook(take)  # type: ignore[no-untyped-call,no-any-return]

    def hook(gradients: tuple[Tensor | None, ...]) -> None:
        gradient = gradients[output]
        if gradient is not None:
            take(gradient)

    return node.register_prehook(hook)


def is_alive(handle: torch.utils.hooks.RemovableHandle) -> bool:
    """Tell whether there is still a graph that the hook hangs on."""
    return handle.hooks_dict_ref() is not None


class Passing:
    """This takes the numbers of gradients that come by in the backward pass; where none comes, those of zero.

    ``came`` is called for each. Where a value's graph is kept for another backward pass its gradient is kept too, for
    the two add up.
    """

    def __init__(
        self, values: tuple[Tensor, ...], numbers_of: Callable[..., Numbers], came: Callable[[], object] = bool
    ) -> None:
        self.numbers_of, self.came = numbers_of, came
        self.numbers: Numbers = {}
        self._zeros = [value.detach().new_zeros(()) for value in values]
        self._gradients: dict[int, Tensor] = {}
        self._arrived: set[int] = set()
        self._task = -1
        self.handles = [listen(value, partial(self._take, i)) for i, value in enumerate(values) if value.requires_grad]
        self.is_view = len(values) == 1 and values[0]._is_view()
        base = values[0]._base if self.is_view and values[0].requires_grad else None
        if base is not None and base.requires_grad and base.numel() == values[0].numel():
            # after a change in place the gradient goes past the view's own node
            self.handles.append(listen(base, self._take_below))

    def _take_below(self, gradient: Tensor) -> None:
        if torch._C._current_graph_task_id() != self._task:
            self._take(0, gradient)

    @torch.no_grad()
    def _take(self, i: int, gradient: Tensor) -> None:
        self.came()
        self._task = torch._C._current_graph_task_id()
        earlier = self._gradients.get(i)
        self._gradients[i] = gradient.detach() if earlier is None else earlier + gradient
        self._arrived.add(i)
        if len(self._arrived) == len(self._zeros):
            self.done()
            self._arrived.clear()
            if not torch._C._autograd._get_current_graph_task_keep_graph():
                self._gradients.clear()

    @torch.no_grad()
    def done(self) -> None:
        """Take the numbers of the gradients that have come."""
        if self._gradients or not (self.numbers or self.is_view):
            gradients = [self._gradients.get(i, zero) for i, zero in enumerate(self._zeros)]
            self.numbers |= self.numbers_of(*map(wide, gradients))

    def close(self) -> None:
        """Let go of the graph and of the gradients."""
        for handle in self.handles:
            handle.remove()
        self._gradients.clear()
        self.came = bool


def of_a_value(gradient: Tensor) -> Numbers:
    """Return the norm of the gradient of a value between two blocks."""
    return {"gradient": norm(gradient)}


def of_a_sum(terms: Numbers, *gradients: Tensor) -> Numbers:
    """Return the numbers of the gradients of a sum, of all branches together and of the shortcut, the last; then
    ``terms``, those of what it adds up."""
    first, *more, identity = gradients
    residual = sum(more, first)
    inner = (identity * residual).sum()
    if inner.device.type == "cpu" and not inner.isfinite():
        inner = (identity.double() * residual.double()).sum()
    return {"identity": norm(identity), "residual": norm(residual), "inner": inner, **terms}
