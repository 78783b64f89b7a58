"""What `latency --layers` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from resbench.timing.layers.measure import LayerTimes
    from resbench.timing.ran import Ran
    from resbench.timing.roofline import Roof
    from resbench.workers.environment import Environment
    from resbench.workers.workload import Setup


class Layers(NamedTuple):
    """Of `latency --layers`."""

    model: str
    times: LayerTimes
    roof: Roof | None
    """None where there is none of what ran."""
    setup: Setup
    here: Environment
    ran: Ran | None = None
    """What really ran; None where an earlier version measured."""
