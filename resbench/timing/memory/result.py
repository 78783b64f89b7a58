"""What `latency --memory` finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resbench.timing.memory.measure import Memory
    from resbench.timing.ran import Ran
    from resbench.workers.environment import Environment
    from resbench.workers.workload import Setup


class Memories(NamedTuple):
    """Of `latency --memory`: model, predicted, measured."""

    reports: Sequence[tuple[str, Memory, Memory]]
    setup: Setup
    here: Environment
    ran: Sequence[Ran] = ()
    """What really ran, of each; empty where an earlier version measured."""
