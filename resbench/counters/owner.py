"""What runs belongs to the module that is open, and in the backward pass to the one that made the node."""

from bisect import bisect_right
from threading import Thread, current_thread
from typing import Any

from resbench.operators.boundaries import LEAVE, current_node, sequence_number


class Owner:
    """An owner gives the number of the module to which belongs what runs now."""

    def __init__(self) -> None:
        self.stack = [0]
        self.callers = {0}
        self.starts = [sequence_number()]
        self.owners = [0]
        self.backward = False
        self.last = 0
        self.thread = current_thread()
        """No other thread's operators are seen."""
        self.elsewhere: dict[Thread, list[int]] = {}
        """Other threads called these modules."""

    def pass_on(self, number: int) -> None:
        """Pass a boundary of the forward, at which a module begins or the innermost one ends."""
        thread = current_thread()
        if thread is not self.thread and not self.backward:
            if number != LEAVE:
                self.elsewhere.setdefault(thread, []).append(number)
            return
        if number == LEAVE:
            self.stack.pop()
        else:
            self.callers.add(self.stack[-1])
            self.stack.append(number)
        self.starts.append(sequence_number())
        self.owners.append(self.stack[-1])

    def __call__(self) -> int:
        if self._forward:
            return self.stack[-1]
        node = self.node()
        # a parameter's own node comes behind the one that fed it
        if node is not None and not hasattr(node, "variable"):
            self.last = self.owners[bisect_right(self.starts, node._sequence_nr()) - 1]
        return self.last

    @property
    def _forward(self) -> bool:
        """Tell a forward, which a checkpoint runs again inside the backward pass."""
        return not self.backward or len(self.stack) > 1

    def node(self) -> Any:
        """Find the node of the backward graph that runs now, if one does."""
        return None if self._forward else current_node()
