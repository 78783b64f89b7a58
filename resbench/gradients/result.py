"""The rows of one network, and what they say together: by place, and as one record a step."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median, stdev
from typing import Any

from resbench.gradients.statistics import StatisticRow


@dataclass(frozen=True)
class Flow:
    """The rows of one network over all seeds and steps."""

    model: str
    input: tuple[int, ...]
    rows: tuple[StatisticRow, ...]
    broken: str = ""
    """Where the first number was not finite; the rows end with that step."""
    interrupted: bool = False
    skipped: tuple[str, ...] = ()
    """Passes of their own that this network could not make, and why."""

    @property
    def steps(self) -> tuple[int, ...]:
        """That were observed."""
        return tuple(sorted({row.step for row in self.rows}))

    def means(self, statistic: str, step: int) -> dict[str, tuple[float, float]]:
        """Depth, and mean over the seeds, of every place in running order."""
        found: dict[str, list[StatisticRow]] = {}
        for row in self.rows:
            if row.statistic == statistic and row.step == step:
                found.setdefault(row.name, []).append(row)
        return {name: (same[0].depth, fmean(row.value for row in same)) for name, same in found.items()}

    def record(self, step: int) -> dict[str, Any]:
        """The network in one line: means over the seeds, None for what it does not have.

        The early update ratio is the median over the first third of the layers that a gradient reaches, the last one
        that of the last of them; ``cosine`` is the largest of all sums.
        """
        rows = [row for row in self.rows if row.step == step]

        def mean(statistic: str, name: str | None = None) -> float | None:
            found = [row.value for row in rows if row.statistic == statistic and name in (None, row.name)]
            return fmean(found) if found else None

        ratios = [row.value for row in rows if row.statistic == "first_to_last"]
        updates = [value for _, value in self.means("update", step).values() if value]
        return {
            "model": self.model,
            "step": step,
            "loss": mean("loss"),
            "first_to_last": mean("first_to_last"),
            "first_to_last_spread": stdev(ratios) if len(ratios) > 1 and all(map(isfinite, ratios)) else None,
            "growth": mean("growth", "stage 1"),
            "early_update": median(updates[: max(len(updates) // 3, 1)]) if updates else None,
            "last_update": updates[-1] if updates else None,
            "cosine": max((abs(row.value) for row in rows if row.statistic == "cosine"), default=None),
            **{key: mean(key) for key in ("c1", "effective_rank", "effective_depth", "identity_share", "dead")},
            **{key: mean(key) for key in ("sigma_max", "energy")},
        }
