"""A complex convolution is seen here before torch takes it apart into three real ones.

Three real products do the work of four, with more additions. The convention counts four (``docs/counting.md``), as it
does for complex matrix products, which torch leaves whole; so the convolution is booked where it is called.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from resbench.operators.boundaries import current_node, sequence_number
from resbench.operators.dispatch import TABLE
from resbench.operators.rules import CountedOperator
from resbench.workers.control_flow import ControlFlow

TRANSPOSED = {
    torch.conv1d: False,
    torch.conv2d: False,
    torch.conv3d: False,
    torch.conv_transpose1d: True,
    torch.conv_transpose2d: True,
    torch.conv_transpose3d: True,
}
"""torch takes the complex case of these functions apart."""


class WholeConvolutions(ControlFlow):
    """It hands every complex convolution to ``book``, whole; ``inside`` is true while its parts run."""

    def __init__(self, book: Callable[[CountedOperator, tuple[Any, ...], Any], None]) -> None:
        super().__init__()
        self.book = book
        self.inside = False
        self.spans: list[tuple[int, int]] = []
        """Each leaves nodes of these sequence numbers for the backward pass."""
        self.owed: Counter[int] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func not in TRANSPOSED:
            return super().__torch_function__(func, types, args, kwargs)
        kwargs = kwargs or {}
        operands = _operands(*args, **kwargs)
        if not operands[0].is_complex():
            return func(*args, **kwargs)
        self.inside, begin = True, sequence_number()
        try:
            out = func(*args, **kwargs)
        finally:
            self.inside = False
        self.spans.append((begin, sequence_number()))
        self.book(TABLE["convolution"], (*operands, None, None, None, TRANSPOSED[func]), out)
        return out

    def counted(self, macs: int, owner: int) -> int:
        """Tell what the MACs of an operator count: in the backward pass, where nothing shows a complex convolution but
        where its parts were made, the three of them count as four; what does not divide waits for its owner's next."""
        node = current_node()
        if node is None or not any(begin <= node._sequence_nr() < end for begin, end in self.spans):
            return macs
        count, self.owed[owner] = divmod(4 * macs + self.owed[owner], 3)
        return count


def _operands(input: Any, weight: Any, bias: Any = None, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    return input, weight, bias
