"""This module holds what `profile` finds: where the trace is, and the tables of TensorBoard's profiler plugin."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from resbench.errors import OptionError
from resbench.result import Result
from resbench.tables.table import Table
from resbench.timing.profile.table import COLUMNS, profile_table
from resbench.timing.ran import Ran, ran_lines
from resbench.workers.environment import Environment
from resbench.workers.workload import Setup

VIEWS = tuple(COLUMNS)

Views = Mapping[str, tuple[Mapping[str, Any], ...]]
"""Each view that the plugin has is its rows, by the keys of their columns."""

SHOWN = 20
"""Each table for people has so many rows; the other formats have all."""


@dataclass(frozen=True, repr=False)
class Profile(Result):
    """This holds the trace of some runs of one model, and the views of it."""

    model: str
    trace: Path
    views: Views
    setup: Setup
    environment: Environment
    ran: Ran | None = None

    kind: ClassVar = "profile"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**document, "views": {view: document[view] for view in VIEWS if view in document}}

    def models(self) -> list[str]:
        return [self.model]

    def tables(self, view: str = "", shown: int | None = SHOWN) -> list[Table]:
        """Return the views, or one of them; long ones have the rows that took most. Raises OptionError for one that is
        not there."""
        if view and view not in self.views:
            raise OptionError(f"the trace {self.trace} has no {view}; it has {', '.join(self.views)}")
        first, *others = [
            profile_table(name, self.views[name], shown) for name in ([view] if view else list(self.views))
        ]
        warnings = [*first.warnings, *ran_lines(self.model, self.setup, self.ran)]
        return [replace(first, warnings=warnings), *others]
