"""A choice is the values that one option of a network may take, and how often each is drawn.

>>> read("depth", {"from": 8, "to": 20, "step": 6}).values()
(8, 14, 20)
>>> read("width", {"from": 1, "to": 64, "scale": "powers of two"}).values()
(1, 2, 4, 8, 16, 32, 64)
>>> read("order", ["original", "full-preact"]).at(0.7)
'full-preact'
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import exp, floor, log
from typing import Any, Literal

from resbench.arch.catalog import option_text
from resbench.errors import OptionError

Value = str | int | float | bool

Scale = Literal["uniform", "log", "powers of two"]

Random = Callable[[str], float]
"""It gives a number from 0 to just below 1 for a key, always the same."""

MOST_VALUES = 1_000_000
"""A choice that is enumerated has no more values."""


class Choice(ABC):
    """It draws a value, and knows all of them where they can be counted."""

    @abstractmethod
    def at(self, share: float) -> Value:
        """Return the value at a share, from 0 to just below 1, of what it is drawn from."""

    @abstractmethod
    def values(self) -> tuple[Value, ...]:
        """Return all values, in their order. Raises OptionError where they cannot be enumerated."""

    @property
    @abstractmethod
    def kind(self) -> type:
        """All its values are of this type: bool, int, float or str."""

    def drawn(self, random: Random) -> Value:
        """Draw a value: a single one takes one random number."""
        return self.at(random(""))


@dataclass(frozen=True)
class OneOf(Choice):
    """It is one of these, each as often as the others."""

    words: tuple[Value, ...]

    def at(self, share: float) -> Value:
        return self.words[int(share * len(self.words))]

    def values(self) -> tuple[Value, ...]:
        return self.words

    @cached_property
    def kind(self) -> type:
        return common(map(type, self.words))


@dataclass(frozen=True)
class Range(Choice):
    """It is low + k step up to high: uniform in the number, in its logarithm, or a power of two.

    Without a step it is any real number between, which is drawn and not enumerated.
    """

    name: str
    low: float
    high: float
    step: float | None
    scale: Scale = "uniform"

    def at(self, share: float) -> Value:
        if self.scale == "powers of two" or (self.scale == "uniform" and self.step):
            return self._kth(int(share * self._count))
        if self.scale == "uniform":
            return self.low + share * (self.high - self.low)
        if not self.step:
            return exp(log(self.low) + share * log(self.high / self.low))
        # a value is as likely as the part of the logarithmic axis that is nearer to it than to its neighbours
        ends = self.low - self.step / 2, self._kth(self._count - 1) + self.step / 2
        drawn = ends[0] * (ends[1] / ends[0]) ** share
        return self._kth(min(floor((drawn - ends[0]) / self.step), self._count - 1))

    def values(self) -> tuple[Value, ...]:
        if not self.step and self.scale != "powers of two":
            raise OptionError(f"{self.name}: real numbers cannot be enumerated: expected a step for --grid")
        return tuple(self._kth(k) for k in range(self._count))

    @property
    def kind(self) -> type:
        return int if self.scale == "powers of two" or (self.step and self._whole) else float

    @property
    def _count(self) -> int:
        if self.scale == "powers of two":
            return (int(self.high) // int(self.low)).bit_length()
        assert self.step
        return floor((self.high - self.low) / self.step + 1e-9) + 1

    def _kth(self, k: int) -> int | float:
        if self.scale == "powers of two":
            return int(self.low) << k
        assert self.step
        value = self.low + k * self.step
        return round(value) if self._whole else round(value, 9)

    @property
    def _whole(self) -> bool:
        return self.low == int(self.low) and self.step == int(self.step or 0)


@dataclass(frozen=True)
class Several(Choice):
    """It is so many numbers of one choice, written with dashes: ``2-2-6-2``; perhaps in ascending order."""

    name: str
    of: Choice
    count: int
    ascending: bool

    def at(self, share: float) -> Value:
        return self.text([self.of.at(share)] * self.count)

    def drawn(self, random: Random) -> Value:
        return self.text([self.of.at(random(f"/{i}")) for i in range(self.count)])

    def values(self) -> tuple[Value, ...]:
        each = self.of.values()
        if len(each) ** self.count > MOST_VALUES:
            raise OptionError(f"{self.name}: {len(each)} values {self.count} times are too many for --grid")
        texts = [self.text(numbers) for numbers in product(each, repeat=self.count)]
        return tuple(dict.fromkeys(texts))

    @property
    def kind(self) -> type:
        return str

    def text(self, numbers: Sequence[Value]) -> str:
        """Write numbers as the option takes them."""
        return "-".join(map(str, sorted(numbers) if self.ascending else numbers))


def common(kinds: Iterable[type]) -> type:
    """Return the type that holds values of all these: of whole and real numbers that is float, else perhaps str."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return float if found == {int, float} else str


def as_kind(value: Value, kind: type) -> Value:
    """Return a value as one of a type that `common` gave for it: words as the catalog writes them."""
    return option_text(value) if kind is str else value


def read(name: str, given: Any) -> Choice:
    """Read what a space says of an option: a value, a list of them, or a table of a range. Raises OptionError.

    With ``each = 4`` it is four of them, and with ``ascending = true`` in their order.
    """
    if isinstance(given, Mapping) and "each" in given:
        rest = {key: value for key, value in given.items() if key not in ("each", "ascending")}
        count, ascending = given["each"], given.get("ascending", False)
        if type(count) is not int or not 1 <= count <= 64 or type(ascending) is not bool:
            raise OptionError(
                f"{name}: expected each from 1 to 64, and ascending true or false; received {dict(given)!r}"
            )
        return Several(name, read(name, rest.get("of", rest)), count, ascending)
    if isinstance(given, Mapping):
        return _range(name, given)
    words = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not words or not all(isinstance(word, str | int | float) for word in words):
        raise OptionError(f"{name}: expected a value, a list of them or {{from, to}}; received {given!r}")
    if any(isinstance(word, str) and ("," in word or not word.strip()) for word in words):
        raise OptionError(f"{name}: expected values without commas, as a model's name has them; received {given!r}")
    if len(set(words)) < len(words):
        raise OptionError(f"{name}: expected values that differ, received {given!r}")
    return OneOf(words)


def _range(name: str, given: Mapping[str, Any]) -> Range:
    if unknown := given.keys() - {"from", "to", "step", "scale"}:
        raise OptionError(f"{name}: expected from, to, step and scale; received {sorted(unknown)[0]!r}")
    scale = given.get("scale", "uniform")
    if scale not in ("uniform", "log", "powers of two"):
        raise OptionError(f"{name}: scale takes uniform, log, powers of two; received {scale!r}")
    low, high, step = (_number(name, given, key) for key in ("from", "to", "step"))
    if low is None or high is None:
        raise OptionError(f"{name}: expected numbers as from and to; received {dict(given)!r}")
    if low > high:
        raise OptionError(f"{name}: the range is upside down: expected from <= to, received from {low} to {high}")
    whole = isinstance(low, int) and isinstance(high, int)
    if scale == "powers of two":
        if not whole or step is not None or low < 1 or int(low).bit_count() > 1 or int(high).bit_count() > 1:
            raise OptionError(f"{name}: expected powers of two, from and to, without a step; received {low} to {high}")
        return Range(name, low, high, None, scale)
    step = 1 if step is None and whole else step
    if step is not None and (step <= 0 or (high - low) / step >= MOST_VALUES):
        raise OptionError(f"{name}: expected a step above 0, and at most {MOST_VALUES:,} values; received {step}")
    if scale == "log" and low - (step or 0) / 2 <= 0:
        raise OptionError(f"{name}: a logarithmic range begins above 0; received from {low}")
    return Range(name, low, high, step, scale)


def _number(name: str, given: Mapping[str, Any], key: str) -> float | None:
    """Return a number of a range, or None where it does not say. Raises OptionError."""
    value = given.get(key)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0):
        return value
    raise OptionError(f"{name}: expected a number as {key}, received {value!r}")
