"""A limit is a range of a figure that costs nothing: networks outside of it are not drawn.

>>> limit = Limit.read("macs=50M:100M")
>>> limit.holds(75_000_000), limit.holds(120_000_000)
(True, False)
>>> print(Limit.read("params=:1M"))
params=:1000000
"""

import re
from typing import NamedTuple, Self

from resbench.errors import OptionError, did_you_mean
from resbench.sweeps.figures import Figures

SUFFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Limit(NamedTuple):
    """The figure of this name lies between the two, both included; None is no bound."""

    figure: str
    least: int | None
    most: int | None

    @classmethod
    def read(cls, text: str) -> Self:
        """Read ``macs=50M:100M``, ``params=:1M`` or ``depth=20:``. Raises OptionError."""
        name, equals, span = text.partition("=")
        name = name.strip()
        if name not in Figures._fields:
            hint = did_you_mean(name, Figures._fields, f"expected one of {', '.join(Figures._fields)}")
            raise OptionError(f"--limit: {name!r} is no figure that costs nothing{hint}")
        low, colon, high = span.partition(":")
        if not equals or not colon or not (low.strip() or high.strip()):
            raise OptionError(f"--limit takes a range such as {name}=50M:100M or {name}=:1M; received {text!r}")
        least, most = (_count(text, one.strip()) if one.strip() else None for one in (low, high))
        if least is not None and most is not None and least > most:
            raise OptionError(f"--limit: the range is upside down: expected from <= to, received {text!r}")
        return cls(name, least, most)

    def holds(self, value: int) -> bool:
        """Tell whether a value lies within."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        low, high = ("" if bound is None else str(bound) for bound in (self.least, self.most))
        return f"{self.figure}={low}:{high}"


def _count(text: str, word: str) -> int:
    """Read ``50M`` or ``1.5G``."""
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([kMGT]?)", word)
    if not found:
        raise OptionError(f"--limit takes numbers such as 50M, 1.5G or 200k; received {word!r} in {text!r}")
    return round(float(found[1]) * SUFFIXES[found[2]])
