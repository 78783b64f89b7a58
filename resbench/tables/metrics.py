"""The metrics that networks are compared by, and one number of one of them."""

from __future__ import annotations

from typing import NamedTuple

from resbench.errors import OptionError
from resbench.tables.table import Kind


class Metric(NamedTuple):
    """``key`` names the column, ``kind`` says how it prints. ``better``: -1 where less is better, 1 where more is."""

    key: str
    title: str
    kind: Kind
    better: int
    command: str
    """Which measures it, and whose JSON holds it."""


METRICS = {
    "params": Metric("params", "params", "exact", -1, "flops"),
    "macs": Metric("macs", "MACs", "exact", -1, "flops"),
    "elementwise": Metric("elementwise", "elementwise", "count", -1, "flops"),
    "activations": Metric("activations", "activations", "count", -1, "flops"),
    "memory": Metric("peak_bytes", "peak memory", "bytes", -1, "latency"),
    "latency": Metric("latency_s", "latency", "seconds", -1, "latency"),
    "throughput": Metric("throughput", "images/s", "rate", 1, "latency"),
    "roof": Metric("roof_s", "roof allows", "seconds", -1, "latency"),
    "gradient": Metric("first_to_last", "R", "number", 0, "gradflow"),
    "train_error": Metric("train_error", "train error", "share", -1, "degradation"),
    "error": Metric("test_error", "test error", "share", -1, "degradation"),
    "published": Metric("published_error", "in print", "share", -1, "published"),
}

COUNTED = ("params", "macs", "elementwise", "activations")
"""Known of every network without running it."""


class Figure(NamedTuple):
    """``spread``: half of the 95 % interval, in the unit of the value; None where there is none."""

    model: str
    metric: str
    value: float
    spread: float | None = None
    where: str = ""
    remark: str = ""
    """Of the roof, what bounds; of a published figure, where it stands."""
    least: bool = False
    """The value is a lower bound: operators ran that nobody could count. It orders nothing and has no ratio."""


def known_metrics(text: str) -> list[str]:
    """``params,latency`` as its words. Raises OptionError."""
    words = text.split(",")
    for word in words:
        if word not in METRICS:
            raise OptionError(f"expected metrics of {','.join(METRICS)}, with commas between; received {word!r}")
    return list(dict.fromkeys(words))
