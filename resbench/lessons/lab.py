"""The experiments share kept trainings, gradient flows, and a stopwatch for pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

from resbench.data import load_images
from resbench.errors import MeasureError
from resbench.gradients.measure import flow
from resbench.gradients.result import Flow, FlowRecipe
from resbench.results import Progress, silent
from resbench.training.degradation import Plan, study
from resbench.training.result import Trainings
from resbench.training.train import Options

HOLDS, CONDITION, WRONG = "holds", "holds with a condition", "wrong as stated"
UNANSWERED = "not answered"
"""The experiment behind it could not be made."""

OBSERVED = {"digits": 44, "cifar10": 12_800}
"""So many steps lie between two observations of the gradient, which makes five of them in a training."""

PAIRS = 31
"""So many pairs are run side by side."""


class Answer(NamedTuple):
    """An answer is the verdict of an experiment, and its figures in words."""

    verdict: str
    figure: str


@dataclass
class Lab:
    """A lab runs experiments; ``plan`` and ``options`` are those of every training."""

    plan: Plan
    options: Options
    progress: Progress = silent
    flows: dict[tuple[str, str], Flow] = field(default_factory=dict)
    _before: str = ""
    _from: float = 0.0
    _share: float = 1.0

    def at(self, line: str, begin: float, share: float) -> None:
        """Tell what is asked now, and which part of the whole it is."""
        self._before, self._from, self._share = line, begin, share
        self.progress(line, begin)

    def train(self, *names: str, **changed: Any) -> Trainings:
        """These networks to the end; what was trained before is taken from the folder. ``changed``: of the plan."""
        outcome = study(names, replace(self.plan, **changed), self.options, self._inner)
        if any(not result.finished for result in outcome.trainings):
            raise KeyboardInterrupt
        for broken in (result.broken for result in outcome.trainings if result.broken):
            raise MeasureError(broken)
        return outcome

    def flow(self, name: str, norm: str = "bn") -> Flow:
        """Observe the gradient at the first step, of two seeds, on the images that are trained on."""
        if (name, norm) not in self.flows:
            images = load_images(self.plan.data, self.plan.root)
            recipe = FlowRecipe(steps=(0,), seeds=2, device=self.options.device)
            found = flow(name, images, recipe, norm=norm, progress=lambda line, share: self._inner(line, 0))
            if found.interrupted:
                raise KeyboardInterrupt
            self.flows[name, norm] = found
        return self.flows[name, norm]

    def ratio(self, slow: str, fast: str, batch: int = 8) -> tuple[float, float, float]:
        """Return the time of ``slow`` over that of ``fast``, run in turn: median, 10th and 90th percentile."""
        from resbench.networks.load import load
        from resbench.workers import stopwatch
        from resbench.workers.medians import tenths
        from resbench.workers.sampling import Rules, warm_up
        from resbench.workers.workload import Setup, Workload

        watches: list[Callable[[], float]] = []
        works = []
        for name in (slow, fast):
            loaded = load(name)
            works.append(Workload(loaded.module, loaded.arguments(batch), Setup(device=self.options.device)))
        with works[0].ready():
            for work in works:
                watch = stopwatch.eager(work)
                warm_up(watch, Rules(warmup_s=0.2, warmup_cap_s=1))
                watches.append(lambda watch=watch: median(sum(run) for run in watch(5)))  # type: ignore[misc]
            ratios = [watches[0]() / watches[1]() for _ in range(PAIRS)]
        low, high = tenths(ratios)
        return median(ratios), low, high

    def _inner(self, line: str, share: float) -> None:
        self.progress(f"{self._before}: {line}", self._from + self._share * share)


def percent(share: float) -> str:
    """Write a share as ``29.1 %``."""
    return f"{100 * share:.1f} %"
