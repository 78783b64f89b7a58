"""A trace meets control flow by values, and does not depend on them: the larger branch runs, a loop goes round once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from resbench.arch.rows import Fork
from resbench.operators.complexes import WholeConvolutions
from resbench.operators.rules import larger_branch
from resbench.workers.control_flow import values_known

if TYPE_CHECKING:
    from resbench.costs.tracer import Tracer


class Trial:
    """A part of the forward is tried, and takes this; it is no part of the count."""

    def __init__(self) -> None:
        self.macs = self.elementwise = 0
        self.uncounted: Counter[str] = Counter()


class Forks(WholeConvolutions):
    """These are the places where values decide, each with what it would take either way."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer.book)
        self.tracer = tracer
        self.found: list[Fork] = []

    def branch(self, condition: Any, branches: Sequence[Callable[..., Any]], operands: Sequence[Any]) -> Any:
        """Run the larger branch, whatever the condition is."""
        trials = [self._tried(branch, operands) for branch in branches]
        larger = larger_branch([(trial.macs, trial.elementwise) for trial in trials])
        self._note("cond", trials)
        for trial in (*trials[:larger], *trials[larger + 1 :]):  # in these there may be more than is known
            for name in trial.uncounted:
                self.tracer.not_counted(name)
        return branches[larger](*operands)

    def loop(self, goes_on: Callable[..., Any], body: Callable[..., Any], carried: Sequence[Any]) -> Any:
        """Go round as often as the condition says, and once where it has no value to say so."""
        values = tuple(carried)
        while values_known(condition := goes_on(*values)):
            if not condition:
                return values
            values = tuple(body(*values))
        self._note("while_loop", [self._tried(body, values)])
        return tuple(body(*values))

    def _tried(self, part: Callable[..., Any], operands: Sequence[Any]) -> Trial:
        """Run a part of the forward only to see what it takes."""
        around, trial = self.tracer.trial, Trial()
        self.tracer.trial = trial
        try:
            with torch.no_grad():
                part(*operands)
        finally:
            self.tracer.trial = around
        return trial

    def _note(self, operator: str, trials: Sequence[Trial]) -> None:
        """Note what values decide between, if this is no trial itself."""
        if self.tracer.trial is None:
            path = self.tracer.stack[-1].name
            name = self.tracer.unused(f"{path}.{operator}" if path else operator)
            self.found.append(Fork(name, tuple(trial.macs for trial in trials)))
