"""The command `claims` finds a verdict on each claim, with its figures in words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from resbench.errors import Failures
from resbench.files import RUNS
from resbench.lessons.table import Finding, claim_lines, claim_table
from resbench.progress import Progress
from resbench.result import Result, Section, Where
from resbench.tables.table import Table
from resbench.workers.environment import Environment


@dataclass(frozen=True, repr=False)
class Claims(Result):
    """These claims were tried, in this order; they are of no network, and a page always shows them."""

    claims: tuple[Finding, ...]
    environment: Environment
    interrupted: bool = False

    kind: ClassVar = "claims"
    heading: ClassVar = ("claims", "Claims", "What is said of residual learning, each claim run as an experiment.")
    derived: ClassVar = ("unexpected",)

    @classmethod
    def measured(cls, models: Sequence[str], where: Where, failures: Failures, progress: Progress) -> Result:
        from resbench.lessons.measure import claims

        return claims(device=where.device, folder=RUNS, progress=progress)

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return document

    @property
    def unexpected(self) -> list[int]:
        """Return the numbers of the claims that came out otherwise than expected."""
        return [one.id for one in self.claims if not one.as_expected]

    def tables(self) -> list[Table]:
        return [claim_table(self.claims, self.environment.note, whole=False)]

    def worded(self, width: int) -> str:
        return claim_lines(self.claims, self.environment.note, width)

    def flat(self) -> Table:
        return claim_table(self.claims, self.environment.note, whole=True)

    def verdicts(self) -> Iterator[str]:
        counts = Counter(one.verdict for one in self.claims)
        news = [f"{number} otherwise than expected" for number in self.unexpected]
        yield f"Claims: {', '.join([f'{count} {verdict}' for verdict, count in counts.items()] + news)}"

    def sections(self) -> list[Section]:
        return [Section(*self.heading, (), [self.flat()])]
