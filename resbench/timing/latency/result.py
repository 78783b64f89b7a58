"""What `latency` finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resbench.timing.latency.measure import Latency
    from resbench.timing.roofline import Roof
    from resbench.workers.environment import Environment


class Latencies(NamedTuple):
    """Of `latency`; ``roofs`` by dtype, and by threads too where there are several of one."""

    latencies: Sequence[Latency]
    roofs: Mapping[str, Roof]
    here: Environment
