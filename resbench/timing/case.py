"""This module makes ready what is to be measured: a model by name in a setup, or a module that is lent."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch

from resbench.costs.measure import cost
from resbench.costs.values import with_integers
from resbench.errors import TraceError, cannot_run
from resbench.networks.arguments import refused
from resbench.networks.inputs import Input, parse_inputs
from resbench.networks.load import Model, load
from resbench.networks.modules import Lent
from resbench.restoring.unchanged import unchanged
from resbench.timing.accuracy import Data, batched, to_name
from resbench.workers.workload import EAGER, Setup, Workload, check_device


class Case(NamedTuple):
    """A case is a model by its name, with other inputs than its own where they are given as texts, in a setup."""

    model: str
    input: tuple[str, ...] | None
    setup: Setup
    data: Data | None = None
    """It runs on images of this set; None: on random numbers."""

    def __str__(self) -> str:
        runtime = "" if self.setup.runtime == EAGER else f", {self.setup.place}"
        return f"{self.model}, batch {self.setup.batch}, {self.setup.mode}{runtime}"


def case(model: str, input: Input, setup: Setup, data: Data | None = None) -> Case:
    """Make the case of a name, with its inputs as texts."""
    return Case(model, None if input is None else tuple(one.text for one in parse_inputs(input)), setup, data)


def workload(one: Case) -> tuple[Workload, str]:
    """Make the model of a case ready, once it is known that it fits, and return it with its name."""
    from resbench.timing.memory.measure import check_fits

    own_threads = torch.get_num_threads()
    uncountable: TraceError | None = None
    try:
        check_fits(cost(one.model, one.input, batch=one.setup.batch), one.setup)
    except TraceError as error:
        uncountable = error
    loaded = load(one.model, one.input)
    with one_line(one):
        if one.data:
            shown = to_name(one.data, loaded.input).images
            inputs: Any = (torch.from_numpy(batched(shown, one.setup.batch)),)
        else:
            inputs = with_integers(loaded.module, loaded.arguments(one.setup.batch))
        work = Workload(loaded.module, inputs, one.setup, own_threads)
        work.batched = loaded.batched
        if uncountable and not _runs(work):
            raise uncountable
        return work, loaded.name.title


def _runs(work: Workload) -> bool:
    """Tell whether a model that could not be counted runs: then it can be timed."""
    try:
        with work.ready():
            work.run()
    except Exception:
        return False
    return True


def one_line(one: Case) -> AbstractContextManager[None]:
    """Turn what this case cannot do into a MeasureError."""
    return cannot_run(str(one), f", {one.setup.dtype} on {one.setup.device}")


@contextmanager
def ready(model: str | Lent, input: Input, setup: Setup) -> Iterator[tuple[Workload, str]]:
    """Make a model ready. A module is given back as it was; what cannot be done is a MeasureError."""
    check_device(setup.device)
    if isinstance(model, str):
        one = case(model, input, setup)
        work, name = workload(one)
        with one_line(one):
            yield work, name
        return
    given = Model.of(model, input)
    name = str(given.name)
    inputs = with_integers(given.module, given.arguments(setup.batch))
    hint = refused(given.module, inputs)
    with unchanged(given.module), cannot_run(name, f", {setup.dtype} on {setup.device}", hint):
        work = Workload(given.module, inputs, setup)
        work.batched = given.batched
        yield work, name
