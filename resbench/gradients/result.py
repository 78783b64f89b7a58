"""A flow holds the rows of one network, and reads them by place and as one record a step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, median, stdev
from typing import Any, ClassVar, NamedTuple

from resbench.drawing.charts import Picture
from resbench.errors import Failures, OptionError, OutputError
from resbench.given import device_name
from resbench.gradients.statistics import Statistic, StatisticRow, chosen_statistics
from resbench.gradients.table import depth_table, network_table, row_table
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Section, Where
from resbench.tables.table import Table
from resbench.units import plural
from resbench.workers.environment import Environment
from resbench.workers.medians import mean_and_half

SHOWN = ("gradient", "update")
"""These statistics stand by depth where nothing else is asked for."""


@dataclass(frozen=True)
class FlowRecipe:
    """A recipe is everything about a run but the network."""

    steps: tuple[int, ...] = (0, 1, 5)
    """These steps are observed; 0 is the step from the first weights."""
    seeds: int = 3
    batch: int = 64
    lr: float = 0.1
    device: str = "cpu"
    deep: bool = False
    """The Jacobians of the blocks are estimated too."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    threads: int | None = None
    """So many threads shared an operator on the CPU; None: it was not said, or ran on a GPU."""

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) < 0 or len(set(self.steps)) < len(self.steps):
            raise OptionError(f"--steps takes different whole numbers from 0, such as 0,1,5; received {self.steps}")
        if self.seeds < 1:
            raise OptionError(f"--seeds takes at least 1; received {self.seeds}")
        if self.batch < 2:
            raise OptionError(f"--batch takes at least 2 images; received {self.batch}")
        if not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(f"--lr takes a number above 0; received {self.lr:g}")
        device_name(self.device)


class Verdict(NamedTuple):
    """A verdict is a word, with the step at which it holds and the number that it rests on."""

    word: str
    step: int
    reason: str

    def __str__(self) -> str:
        return f"{self.word} at step {self.step} ({self.reason})"


@dataclass(frozen=True)
class Flow:
    """A flow holds the rows of one network over all seeds and steps."""

    model: str
    input: tuple[int, ...]
    rows: tuple[StatisticRow, ...]
    broken: str = ""
    """It says where the first number was not finite; the rows end with that step."""
    interrupted: bool = False
    skipped: tuple[str, ...] = ()
    """These passes of their own this network could not make, and why."""
    verdicts: tuple[Verdict, ...] = ()

    derived: ClassVar = ("records",)

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the observed steps, ascending."""
        return tuple(sorted({row.step for row in self.rows}))

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return the network in one line for each observed step."""
        return [self.record(step) for step in self.steps]

    def means(self, statistic: str, step: int) -> dict[str, tuple[float, float]]:
        """Return depth, and mean over the seeds, of every place in running order."""
        found: dict[str, list[StatisticRow]] = {}
        for row in self.rows:
            if row.statistic == statistic and row.step == step:
                found.setdefault(row.name, []).append(row)
        return {name: (same[0].depth, fmean(row.value for row in same)) for name, same in found.items()}

    def record(self, step: int) -> dict[str, Any]:
        """Return the network in one line: means over the seeds, None for what it does not have.

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


@dataclass(frozen=True, repr=False)
class Flows(Result):
    """These are the gradient flows of networks, with the verdicts on each."""

    flows: tuple[Flow, ...]
    recipe: FlowRecipe
    data: str
    environment: Environment
    limits: str = ""
    """These thresholds lie between the verdicts; empty where an earlier version measured."""
    missing: tuple[str, ...] = ()
    """These networks were asked for, and Ctrl-C came before them."""

    kind: ClassVar = "gradflow"
    metrics: ClassVar = {"gradient": Metric("first_to_last", "R", "number", 0)}
    members: ClassVar = "flows"
    heading: ClassVar = (
        "gradient",
        "Gradient flow",
        "How the gradient reaches every layer in the first steps of training, and whether it moves the weights.",
    )

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.gradients.measure import gradflow

        return gradflow(models, steps=(0,), device=where.device, failures=failures, progress=progress)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        def finite(row: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**row, "value": "NaN" if row["value"] is None else row["value"]}

        flows = [
            {**one, "broken": one["broken"] or "", "rows": [*map(finite, one["rows"])]} for one in document["models"]
        ]
        return {**document, "flows": flows}

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C ended it: then the last network's rows are those so far."""
        return bool(self.missing) or any(flow.interrupted for flow in self.flows)

    def tables(self, shown: Sequence[Statistic] = ()) -> list[Table]:
        """Return each statistic by depth that a network has, then the networks."""
        by_depth = [depth_table(statistic, self.flows) for statistic in shown or chosen_statistics(SHOWN)]
        return [*filter(None, by_depth), network_table(self)]

    def flat(self) -> Table:
        return row_table(self.flows)

    def figures(self) -> Iterator[Figure]:
        for flow in self.flows:
            step = next(iter(flow.steps), None)
            ratios = [r.value for r in flow.rows if r.statistic == "first_to_last" and r.step == step]
            if ratios and all(map(isfinite, ratios)):
                when = f"step {step}, lr {self.recipe.lr:g}" if step else f"step {step}"
                place = (
                    f"||dL/dx_first|| / ||dL/dx_last|| at {when}, {plural(len(ratios), 'seed')}, "
                    f"batches of {self.recipe.batch} of {self.data}. {self.environment.note}"
                )
                yield Figure(flow.model, "gradient", *mean_and_half(ratios), place)

    def pictures(self, shown: Sequence[str] = ()) -> list[Picture]:
        """Return the charts of these statistics, or of the default ones with the paths. Raises OutputError for none."""
        from resbench.gradients.chart import pictures

        return pictures(self.flows, shown) if shown else pictures(self.flows)

    def sketch(self, width: int, colour: bool) -> str:
        from resbench.gradients.chart import picture

        return picture(self.flows, width, colour)

    def verdicts(self) -> Iterator[str]:
        yield from (
            f"Gradient of {one.model}: {'; '.join(map(str, one.verdicts)) or 'no verdict'}" for one in self.flows
        )

    def sections(self) -> list[Section]:
        *by_depth, networks = self.tables()
        try:
            drawn = self.pictures()
        except OutputError:  # nothing finite: the table says so
            drawn = []
        return [Section(*self.heading, (), [networks, *by_depth], drawn)]
