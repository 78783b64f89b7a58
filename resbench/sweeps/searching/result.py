"""This module holds what a search finds: the networks that no other beats, and what that is worth."""

from dataclasses import dataclass
from statistics import median
from typing import ClassVar, NamedTuple

from resbench.result import Result
from resbench.tables.table import Column, Table
from resbench.units import plural


class Found(NamedTuple):
    """A network has these objectives, in their order."""

    network: str
    values: tuple[float, ...]


class Chance(NamedTuple):
    """Random searches looked at so many networks each, and cover these hypervolumes, ascending."""

    networks: int
    volumes: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Search(Result):
    """A search has looked at networks of a space; each is a row in its folder."""

    space: str
    folder: str
    minimize: tuple[str, ...]
    limits: tuple[str, ...]
    sampler: str
    seed: int
    budget: int
    looked: int
    earlier: int
    """So many of them an earlier call had looked at."""
    failed: int
    front: tuple[Found, ...]
    """No network that was looked at is smaller in one objective and no larger in the others."""
    hypervolume: float | None
    """It is between 0 and 1; None: random search was not asked, for it costs as much again."""
    random: Chance | None
    interrupted: bool = False
    others: int = 0
    """The folder has so many networks of other calls, which are not looked at here."""
    reason: str = ""
    """The first network that failed now failed for this."""

    kind: ClassVar = "search"

    @property
    def verdict(self) -> str:
        """Say whether the search found more than random ones of its budget do."""
        if self.hypervolume is None or self.random is None:
            return "Random search was not asked: it would cost as much again. Use --sampler random with another --dir."
        volumes = self.random.volumes
        low, high = volumes[0], volumes[-1]
        told = f"{self.hypervolume:.4f}, of {len(volumes)} random searches {median(volumes):.4f} "
        told += f"({low:.4f} to {high:.4f})"
        word = "better than all of them" if self.hypervolume > high else "no better than random search"
        return f"Hypervolume: {told}: {word}."

    def tables(self) -> list[Table]:
        columns = [*(Column(one, one, "number") for one in self.minimize), Column("network", "network", "prose")]
        within = f" within {', '.join(self.limits)}" if self.limits else ""
        notes = [
            f"Front of {plural(self.looked, 'network')} of {self.space}{within}, chosen by {self.sampler}, seed "
            f"{self.seed}; rows in {self.folder}.",
            self.verdict,
        ]
        if self.others:
            notes.insert(1, f"{plural(self.others, 'network')} of other calls in {self.folder} are not in this front.")
        warnings = ["Interrupted: what was looked at so far; the same command goes on."] if self.interrupted else []
        if self.failed:
            first = f" The first one failed thus: {self.reason}" if self.reason else ""
            count = plural(self.failed, "network")
            warnings.append(f"{count} gave no finite number, and stand beside the front.{first}")
        if self.looked < self.budget and not self.interrupted:
            warnings.append(f"Of {self.budget:,} that were asked for: the optimiser found no others.")
        return [Table(columns, [[*one.values, one.network] for one in self.front], notes=notes, warnings=warnings)]
