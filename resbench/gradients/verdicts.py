"""What the numbers of a network say, with the thresholds that were used and the step at which it holds.

    vanishing, exploding, healthy, marginal    by R = ||dL/dx_first|| / ||dL/dx_last||
    over-stepping                              the early layers move by a large part of themselves in one step
    frozen                                     the early layers barely move while the last one does
    no-gradient                                R cannot be computed: nothing reaches the last boundary
    shattered, intact                          by c1, the correlation of the gradients of neighbouring images

The early update ratio is the median over the first third of the layers. Medians over the seeds are judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from statistics import median
from typing import NamedTuple

from resbench.errors import OptionError
from resbench.gradients.statistics import Row


@dataclass(frozen=True)
class Thresholds:
    """Where one verdict ends and the next begins."""

    vanishing: float = 1e-3
    """R below it."""
    exploding: float = 1e3
    """R above it."""
    healthy: tuple[float, float] = (1e-2, 1e2)
    """R between them; marginal elsewhere."""
    over_stepping: float = 0.3
    """The early update ratio above it, in the first ten steps."""
    frozen: float = 1e-4
    """The early update ratio below it..."""
    alive: float = 1e-3
    """...while that of the last layer is above this."""
    shattered: float = 0.1
    """c1 below it."""
    intact: float = 0.4
    """c1 above it."""

    def changed(self, texts: Iterable[str]) -> Thresholds:
        """With ``name=value`` set: ``exploding=100``, ``healthy=0.1:10``. Raises OptionError."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for text in texts:
            name, _, given = text.partition("=")
            name = name.strip().replace("-", "_")
            if name not in values:
                raise OptionError(f"--threshold takes {', '.join(values)} =VALUE; received {text!r}")
            try:
                numbers = tuple(float(number) for number in given.split(":"))
            except ValueError:
                numbers = ()
            pair = isinstance(values[name], tuple)
            if len(numbers) != 1 + pair or not all(map(isfinite, numbers)) or list(numbers) != sorted(numbers):
                wanted = f"{name}=LOW:HIGH" if pair else f"{name}=NUMBER"
                raise OptionError(f"--threshold: expected {wanted}; received {text!r}")
            values[name] = numbers if pair else numbers[0]
        return Thresholds(**values)

    @property
    def line(self) -> str:
        """All of them, for under a table."""
        low, high = self.healthy
        return (
            f"Verdicts: R < {self.vanishing:g} vanishing, > {self.exploding:g} exploding, {low:g} to {high:g} healthy, "
            f"else marginal; over-stepping: early update ratio > {self.over_stepping:g} in the first ten steps; "
            f"frozen: early update ratio < {self.frozen:g} while the last layer's is > {self.alive:g} "
            "(early: median of the first third of the layers); "
            f"c1 < {self.shattered:g} shattered, > {self.intact:g} intact."
        )


VERDICTS = (
    "no-gradient",
    "vanishing",
    "exploding",
    "healthy",
    "marginal",
    "over-stepping",
    "frozen",
    "shattered",
    "intact",
)
EARLY_STEPS = 10


class Verdict(NamedTuple):
    """A word, the step at which it holds, and the number that it rests on."""

    word: str
    step: int
    reason: str

    def __str__(self) -> str:
        return f"{self.word} at step {self.step} ({self.reason})"


def verdicts(rows: Sequence[Row], limits: Thresholds) -> list[Verdict]:
    """Those of one network, step by step."""
    found: list[Verdict] = []
    for step in sorted({row.step for row in rows}):
        here = [row for row in rows if row.step == step]
        found += _flow(here, step, limits)
        found += _movement(here, step, limits)
        found += _correlation(here, step, limits)
    return found


def _flow(rows: Sequence[Row], step: int, limits: Thresholds) -> list[Verdict]:
    r = _median(rows, "first_to_last")
    if r is None:
        seen = any(row.statistic == "gradient" for row in rows)
        return [Verdict("no-gradient", step, "that of the last boundary is 0")] if seen else []
    low, high = limits.healthy
    if r < limits.vanishing:
        word = "vanishing"
    elif r > limits.exploding:
        word = "exploding"
    else:
        word = "healthy" if low <= r <= high else "marginal"
    return [Verdict(word, step, f"R = {r:.3g}")]


def _movement(rows: Sequence[Row], step: int, limits: Thresholds) -> list[Verdict]:
    layers = _by_layer(rows, "update")
    if not layers:
        return []
    early, last = median(layers[: max(len(layers) // 3, 1)]), layers[-1]
    if step < EARLY_STEPS and early > limits.over_stepping:
        return [Verdict("over-stepping", step, f"early update ratio {early:.3g}")]
    if early < limits.frozen and last > limits.alive:
        return [Verdict("frozen", step, f"early update ratio {early:.2g}, last {last:.2g}")]
    return []


def _correlation(rows: Sequence[Row], step: int, limits: Thresholds) -> list[Verdict]:
    c1 = _median(rows, "c1")
    if c1 is None or limits.shattered <= c1 <= limits.intact:
        return []
    return [Verdict("shattered" if c1 < limits.shattered else "intact", step, f"c1 = {c1:.2f}")]


def _median(rows: Sequence[Row], statistic: str) -> float | None:
    values = [row.value for row in rows if row.statistic == statistic]
    return median(values) if values else None


def _by_layer(rows: Sequence[Row], statistic: str) -> list[float]:
    """Median over the seeds of every layer that a gradient reaches, in running order."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.statistic == statistic and row.value:
            values.setdefault(row.name, []).append(row.value)
    return [median(seeds) for seeds in values.values()]


def against(found: Iterable[Verdict], words: Iterable[str]) -> list[Verdict]:
    """Those that a gate was told to fail on; with any, also where nothing could be judged. Raises OptionError."""
    wanted = [word.strip() for word in words]
    for word in wanted:
        if word not in VERDICTS:
            raise OptionError(f"--fail-on takes {', '.join(VERDICTS)}; received {word!r}")
    return [verdict for verdict in found if verdict.word in wanted or (wanted and verdict.word == "no-gradient")]
