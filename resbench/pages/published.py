"""Test errors are in print: in the papers, and in torchvision's own tables where it is installed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from resbench.arch.published import TEST_ERRORS, TOP1_ERRORS
from resbench.errors import Failures, ResbenchError
from resbench.networks.name import ModelName
from resbench.progress import Progress
from resbench.result import Figure, Metric, Result, Where


@dataclass(frozen=True, repr=False)
class Published(Result):
    """This holds what was printed of networks, each figure with its source."""

    printed: tuple[Figure, ...]

    kind: ClassVar = "published"
    metrics: ClassVar = {"published": Metric("published_error", "in print", "share", -1)}
    members: ClassVar = "printed"

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        return cls(tuple(figure for name in models for figure in (*_of_papers(name), *_of_torchvision(name))))

    def figures(self) -> Iterator[Figure]:
        yield from self.printed


def _of_papers(name: str) -> Iterator[Figure]:
    """Yield the papers' figures: words ("fails", "over 60") give none, a range gives its middle and half of itself."""
    for table, data in ((TEST_ERRORS, "CIFAR-10"), (TOP1_ERRORS, "ImageNet, top 1, 10 crops")):
        found = re.fullmatch(r"([\d.]+)(?: to ([\d.]+))?", table[name].percent if name in table else "")
        if found:
            ends = [float(found[1]) / 100, float(found[2] or found[1]) / 100]
            half = (ends[1] - ends[0]) / 2 if found[2] else None
            yield Figure(name, "published", sum(ends) / 2, half, f"test error on {data}.", table[name].source)


def _of_torchvision(name: str) -> Iterator[Figure]:
    own = ModelName.stored(name)
    if own.source != "torchvision":
        return
    from resbench.networks.sources.torchvision import accuracies

    with suppress(ResbenchError):  # it may not be installed
        for weights, percent in accuracies(own.base).items():
            place = f"test error on ImageNet, top 1, 1 crop, {weights.rpartition('.')[2]}."
            yield Figure(name, "published", 1 - percent / 100, None, place, f"torchvision, {weights}")
