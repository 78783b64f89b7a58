"""What ``resbench.counters.watch`` counts is a value; it needs no torch, for whoever only compares."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

MOST = frozenset({"peak_bytes"})
"""Of these counters a whole is the most, not the sum, of its layers."""


TOTALS = (
    *("params", "macs", "macs_backward", "operators", "read_bytes", "written_bytes", "saved_bytes", "peak_bytes"),
    *("retained_bytes", "copies", "copied_bytes", "relayouts", "channels_last", "upcasts", "syncs", "graph_breaks"),
)
"""Every run has these counters, 0 among them."""


IN_A_RUNTIME = ("params", "macs")
"""Of these a run in another runtime than torch's own has these, beside its nodes and kernels where they are known."""


@dataclass(frozen=True)
class Counted:
    """One run has these counters by layer, in the order of the model.

    >>> counted = Counted({"conv": {"macs": 8, "aten.convolution": 1}, "relu": {"aten.relu": 1}})
    >>> [counted.totals[name] for name in ("macs", "operators", "copies")]
    [8, 2, 0]
    """

    layers: Mapping[str, Mapping[str, int]]
    runtime: str = ""
    """It ran in this runtime, whose kernels belong to its version and the machine's instruction set; the text is empty
    where torch ran it."""

    @property
    def totals(self) -> dict[str, int]:
        """Sum over the layers; operators by name are in ``operators`` only."""
        totals = Counter(dict.fromkeys(IN_A_RUNTIME if self.runtime else TOTALS, 0))
        for counters in self.layers.values():
            for name, value in counters.items():
                if name in MOST:
                    totals[name] = max(totals[name], value)
                else:
                    totals["operators" if "." in name else name] += value
        return dict(totals)
