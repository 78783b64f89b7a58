"""What has no formula and so was not counted, in words: the same beside every figure that is derived from a count."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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


def unclassified(what: str, layers: Sequence[str], consequence: str = "") -> list[str]:
    """A line for layers of which nobody knows the kind, and so what memory they take; none where there are none.

    >>> unclassified("net", ["scan", "glue"])
    ['net: scan, glue are of no known kind: what they keep for the backward pass is unknown.']
    >>> unclassified("net", ["scan"], "what is predicted may be too low")
    ['net: scan is of no known kind: what it keeps for the backward pass is unknown: what is predicted may be too low.']
    """
    are, keep = ("are", "they keep") if len(layers) > 1 else ("is", "it keeps")
    behind = f": {consequence}" if consequence else ""
    unknown = f"{', '.join(layers)} {are} of no known kind: what {keep} for the backward pass is unknown"
    return [f"{what}: {unknown}{behind}."] if layers else []


def together(several: Iterable[Mapping[str, int] | None]) -> dict[str, int]:
    """The calls of several, by operator; None is of an earlier version, which did not say."""
    return dict(sum((Counter(one) for one in several), Counter[str]()))
