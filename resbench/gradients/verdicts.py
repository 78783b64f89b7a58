"""Thresholds turn the numbers of a network into verdicts, each at the step where it holds.

    vanishing, exploding, healthy, marginal    by R = ||dL/dx_first|| / ||dL/dx_last||
    over-stepping                              the early layers move by a large part of themselves in one step
    frozen                                     the early layers barely move while the last one does
    no-gradient                                R cannot be computed: nothing reaches the last boundary
    shattered, intact                          by c1, the correlation of the gradients of neighbouring images

The numbers that are judged are those of the table: means over the seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from resbench.errors import OptionError
from resbench.gradients.result import Flow, Verdict


@dataclass(frozen=True)
class Thresholds:
    """The thresholds say where one verdict ends and the next begins.

    R is ``vanishing`` below and ``exploding`` above these, ``healthy`` between those, and marginal elsewhere. The
    early update ratio is ``over_stepping`` above it in the first ten steps, and ``frozen`` below it while that of the
    last layer is above ``alive``. c1 is ``shattered`` below and ``intact`` above these.
    """

    vanishing: float = 1e-3
    exploding: float = 1e3
    healthy: tuple[float, float] = (1e-2, 1e2)
    over_stepping: float = 0.3
    frozen: float = 1e-4
    alive: float = 1e-3
    shattered: float = 0.1
    intact: float = 0.4

    def changed(self, texts: Iterable[str]) -> Thresholds:
        """Return thresholds with ``name=value`` set: ``exploding=100``, ``healthy=0.1:10``. Raises OptionError."""
        values = vars(self).copy()
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
                raise OptionError(f"--threshold: expected {name}={'LOW:HIGH' if pair else 'NUMBER'}; received {text!r}")
            values[name] = numbers if pair else numbers[0]
        return Thresholds(**values)

    @property
    def line(self) -> str:
        """Return the line of all thresholds that stands under a table."""
        low, high = self.healthy
        return (
            f"Verdicts: R < {self.vanishing:g} vanishing, > {self.exploding:g} exploding, {low:g} to {high:g} healthy, "
            f"else marginal; over-stepping: early update ratio > {self.over_stepping:g} in the first ten steps; "
            f"frozen: early update ratio < {self.frozen:g} while the last layer's is > {self.alive:g} "
            "(early: median of the first third of the layers); "
            f"c1 < {self.shattered:g} shattered, > {self.intact:g} intact."
        )


NO_GRADIENT = "no-gradient"
VERDICTS = (
    *("vanishing", "exploding", "healthy", "marginal", NO_GRADIENT),
    *("over-stepping", "frozen", "shattered", "intact"),
)
EARLY_STEPS = 10


def verdicts(flow: Flow, limits: Thresholds) -> list[Verdict]:
    """Return the verdicts on one network, step by step."""
    return [verdict for step in flow.steps for verdict in _judged(flow.record(step), limits)]


def _judged(record: dict[str, Any], limits: Thresholds) -> list[Verdict]:
    """Return the first verdict by R that holds, and every other one; with what a network lacks nothing compares."""
    keys = ("first_to_last", "early_update", "last_update", "c1")
    r, early, last, c1 = (nan if record[key] is None else record[key] for key in keys)
    low, high = limits.healthy
    by_ratio = (
        (NO_GRADIENT, record["first_to_last"] is None, "that of the last boundary is 0"),
        ("vanishing", r < limits.vanishing, f"R = {r:.3g}"),
        ("exploding", r > limits.exploding, f"R = {r:.3g}"),
        ("healthy", low <= r <= high, f"R = {r:.3g}"),
        ("marginal", True, f"R = {r:.3g}"),
    )
    step = record["step"]
    others = (
        ("over-stepping", early > limits.over_stepping and step < EARLY_STEPS, f"early update ratio {early:.3g}"),
        ("frozen", early < limits.frozen and last > limits.alive, f"early update ratio {early:.2g}, last {last:.2g}"),
        ("shattered", c1 < limits.shattered, f"c1 = {c1:.2f}"),
        ("intact", c1 > limits.intact, f"c1 = {c1:.2f}"),
    )
    first = next(verdict for verdict in by_ratio if verdict[1])
    return [Verdict(word, step, reason) for word, holds, reason in (first, *others) if holds]


def chosen_verdicts(words: Sequence[str]) -> list[str]:
    """Return words that are verdicts. Raises OptionError for one that is none."""
    for word in words:
        if word not in VERDICTS:
            raise OptionError(f"--fail-on takes {', '.join(VERDICTS)}; received {word!r}")
    return [*words]


def against(found: Iterable[Verdict], words: Collection[str]) -> list[Verdict]:
    """Return the verdicts that a gate was told to fail on; it also fails where nothing could be judged."""
    return [verdict for verdict in found if words and verdict.word in (*words, NO_GRADIENT)]
