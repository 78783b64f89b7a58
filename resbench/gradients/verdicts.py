"""Thresholds turn the numbers of a network into verdicts, each at the step where it holds.

    vanishing, exploding, healthy, marginal    by R = ||dL/dx_first|| / ||dL/dx_last||
    over-stepping                              the early layers move by a large part of themselves in one step
    frozen                                     the early layers barely move while the last one does
    no-gradient                                R cannot be computed: nothing reaches the last boundary
    shattered, intact                          by c1, the correlation of the gradients of neighbouring images

The numbers that are judged are those of the table: means over the seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
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


def _judged(record: dict[str, Any], limits: Thresholds) -> Iterator[Verdict]:
    step, r, c1 = record["step"], record["first_to_last"], record["c1"]
    if r is None:
        yield Verdict(NO_GRADIENT, step, "that of the last boundary is 0")
    elif r < limits.vanishing:
        yield Verdict("vanishing", step, f"R = {r:.3g}")
    elif r > limits.exploding:
        yield Verdict("exploding", step, f"R = {r:.3g}")
    else:
        yield Verdict("healthy" if limits.healthy[0] <= r <= limits.healthy[1] else "marginal", step, f"R = {r:.3g}")
    early, last = record["early_update"], record["last_update"]
    if early is not None and early > limits.over_stepping and step < EARLY_STEPS:
        yield Verdict("over-stepping", step, f"early update ratio {early:.3g}")
    if early is not None and early < limits.frozen and last > limits.alive:
        yield Verdict("frozen", step, f"early update ratio {early:.2g}, last {last:.2g}")
    if c1 is not None and c1 < limits.shattered:
        yield Verdict("shattered", step, f"c1 = {c1:.2f}")
    if c1 is not None and c1 > limits.intact:
        yield Verdict("intact", step, f"c1 = {c1:.2f}")


def chosen_verdicts(text: str) -> list[str]:
    """Split ``exploding,frozen`` into words. Raises OptionError for one that is no verdict."""
    words = [word.strip() for word in text.split(",")] if text else []
    for word in words:
        if word not in VERDICTS:
            raise OptionError(f"--fail-on takes {', '.join(VERDICTS)}; received {word!r}")
    return words


def against(found: Iterable[Verdict], words: Collection[str]) -> list[Verdict]:
    """Return the verdicts that a gate was told to fail on; it also fails where nothing could be judged."""
    return [verdict for verdict in found if words and verdict.word in (*words, NO_GRADIENT)]
