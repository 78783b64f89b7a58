"""What has no formula and so was not counted, in words: the same beside every figure that is derived from a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from resbench.units import calls_text


def warning(what: str, uncounted: Mapping[str, int] | None, consequence: str = "") -> list[str]:
    """A line for what ran operators that were not counted, and what that does to the figures; none where all were.

    >>> warning("net", {"my.op": 3}, "FLOP/s is too low")
    ['net: not counted: my.op (3 calls): FLOP/s is too low.']
    >>> warning("net", {})
    []
    """
    behind = f": {consequence}" if consequence else ""
    return [f"{what}: not counted: {calls_text(uncounted)}{behind}."] if uncounted else []


def together(several: Iterable[Mapping[str, int] | None]) -> dict[str, int]:
    """The calls of several, by operator; None is of an earlier version, which did not say."""
    return dict(sum((Counter(one) for one in several), Counter[str]()))
