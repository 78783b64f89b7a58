"""The experiments share kept trainings, gradient flows, and a stopwatch for pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

from resbench.data import load_images
from resbench.errors import MeasureError
from resbench.gradients.measure import flow
from resbench.gradients.result import Flow, FlowRecipe
from resbench.networks.load import load
from resbench.progress import Progress, Step, silent
from resbench.training.degradation import Plan, study
from resbench.training.result import Trainings
from resbench.training.train import Options
from resbench.workers import stopwatch
from resbench.workers.medians import tenths
from resbench.workers.sampling import Rules, Stopwatch, warm_up
from resbench.workers.workload import Setup, Workload

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

    def part(self, name: str, part: str, earlier: str) -> Lab:
        """Return the lab for one of several experiments: what it tells is of that part, under its name."""

        def told(line: str, share: float) -> None:
            own = line.keeps if isinstance(line, Step) else ""
            keeps = " and ".join(filter(None, (earlier, own if self.options.folder else "")))
            self.progress(Step(f"{name}: {line}", keeps, part), share)

        return replace(self, progress=told)

    def train(self, *names: str, **changed: Any) -> Trainings:
        """Train networks to the end; what was trained before is taken from the folder. ``changed`` alters the plan."""
        outcome = study(names, replace(self.plan, **changed), self.options, self.progress)
        if any(not result.finished for result in outcome.trainings):
            raise KeyboardInterrupt
        for broken in (result.broken for result in outcome.trainings if result.broken):
            raise MeasureError(broken)
        return outcome

    def flow(self, name: str, norm: str = "bn") -> Flow:
        """Observe the gradient at the first step, of two seeds, on the images that are trained on."""
        if (name, norm) not in self.flows:
            recipe = FlowRecipe(steps=(0,), seeds=2, device=self.options.device, threads=self.options.threads)
            found = flow(
                name,
                load_images(self.plan.data, self.plan.root),
                recipe,
                norm=norm,
                progress=lambda line, share: self.progress(str(line), 0),
            )
            if found.interrupted:
                raise KeyboardInterrupt
            self.flows[name, norm] = found
        return self.flows[name, norm]

    def ratio(self, slow: str, fast: str, batch: int = 8) -> tuple[float, float, float]:
        """Return the time of ``slow`` over that of ``fast``, run in turn: median, 10th and 90th percentile."""
        setup = Setup(device=self.options.device)
        works = [Workload(model.module, model.arguments(batch), setup) for model in map(load, (slow, fast))]
        with works[0].ready():
            watches = [stopwatch.eager(work) for work in works]
            for watch in watches:
                warm_up(watch, Rules(warmup_s=0.2, warmup_cap_s=1))
            ratios = [_seconds(watches[0]) / _seconds(watches[1]) for _ in range(PAIRS)]
        return median(ratios), *tenths(ratios)


def _seconds(watch: Stopwatch) -> float:
    return median(sum(run) for run in watch(5))


def percent(share: float) -> str:
    """Write a share as ``29.1 %``."""
    return f"{100 * share:.1f} %"
