"""Trainings side by side: the networks of one seed in turn, epoch by epoch; kept in a folder, and gone on with.

    cells -> runs -> results

Ctrl-C ends after the step at hand, with everything kept; ``kill -9`` loses what was done since the last save.
"""

from __future__ import annotations

import copy
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch.nn.modules.lazy import LazyModuleMixin

from resbench.costs.measure import cost
from resbench.errors import Failures, ResbenchError, cannot_run
from resbench.networks.load import load
from resbench.results import Progress, silent
from resbench.training.checkpoint import Checkpoint, fingerprint, locked
from resbench.training.feed import Feed
from resbench.training.parallel import ALONE, Ranks, join
from resbench.training.result import Cell, Training
from resbench.training.run import Run
from resbench.workers.workload import check_device, repeatable

SAVE_S = 10.0
"""Between two saves: what a killed process has to do again."""


@dataclass(frozen=True)
class Options:
    """How trainings are run; nothing here changes what they give, but for the device and compilation."""

    device: str = "cpu"
    compiled: bool = False
    every: int = 0
    """Gradient statistics of every so manyth step; 0 for none."""
    folder: Path | None = None
    watch: Callable[[Training], object] | None = None
    """Told what a training has given so far, at the end of each of its epochs."""
    ranks: Ranks = ALONE


def options(
    device: str,
    compiled: bool = False,
    every: int = 0,
    folder: Path | None = None,
    watch: Callable[[Training], object] | None = None,
) -> Options:
    """How this process trains: alone, or as one of torchrun's. Raises MeasureError for a device that is not here."""
    check_device(device)
    ranks, device = join(device)
    return Options(device, compiled, every, folder, watch, ranks)


@dataclass
class _Work:
    """The share of the whole that is done, counted in MACs."""

    total: float
    done: float = 0.0


def train(
    cells: Sequence[Cell],
    feed: Feed,
    options: Options | None = None,
    progress: Progress = silent,
    failures: Failures | None = None,
) -> list[Training]:
    """Train every cell to the end of its recipe, or until Ctrl-C: then some results are not finished.

    Raises MeasureError for what cannot be trained here, OutputError and SourceError for the folder. With ``failures``
    of several networks one that fails is said there and left out, and the others go on.
    """
    options, failures = options or Options(), failures or Failures()
    weights = {cell: _macs(cell) for cell in cells}
    work = _Work(sum(cell.recipe.iterations * weights[cell] for cell in cells))
    results: list[Training] = []
    first = options.ranks.rank == 0
    folder = locked(options.folder) if options.folder and first else nullcontext()
    with folder, repeatable(options.device), _interruptible(options.ranks.world == 1) as stop:
        for _, group in groupby(cells, key=lambda cell: cell.seed):
            runs: list[_Kept] = []
            for cell in _standing(group, failures):
                with failures.of(cell.model):
                    runs.append(_Kept(cell, feed, options, weights[cell], work))
            while any(not one.run.finished for one in runs) and not stop():
                active = [one for one in runs if not one.run.finished]
                draws = any(one.run.draws for one in active)
                for one in active:
                    with failures.of(one.cell.model):
                        one.epoch(stop, progress)
                        if draws:  # captured steps share one generator: no other is filled in while it is read
                            one.run.wait()
                for one in active:
                    with failures.of(one.cell.model):
                        one.close(stop())
                standing = _standing((one.cell for one in runs), failures)
                runs = [one for one in runs if one.cell in standing]
            results += [one.result() for one in runs]
            if stop():
                break
    begun = {result.cell for result in results}
    left = [cell for cell in _standing(cells, failures) if cell not in begun]
    return results + [Training(cell, (), finished=False) for cell in left]


def _standing(cells: Iterable[Cell], failures: Failures) -> list[Cell]:
    """Of networks that have not failed, with whichever seed."""
    return [cell for cell in cells if cell.model not in failures.reasons]


class _Kept:
    """A run and its checkpoint."""

    def __init__(self, cell: Cell, feed: Feed, options: Options, macs: float, work: _Work) -> None:
        self.cell, self.macs, self.work, self.options = cell, macs, work, options
        torch.manual_seed(cell.seed)
        loaded = load(cell.model, cell.input, seed=cell.seed)
        model = loaded.module
        with suppress(Exception):  # a factory may give the same module again; what cannot be copied is trained itself
            model = copy.deepcopy(model)
        with cannot_run(cell.model):
            if any(isinstance(module, LazyModuleMixin) for module in model.modules()):
                model(torch.zeros(2, *cell.input))
        key = {
            "model": [cell.model, fingerprint(model)],
            "input": list(cell.input),
            "seed": cell.seed,
            "recipe": asdict(cell.recipe),
            "data": [feed.name, feed.digest],
            "machine": [torch.device(options.device).type, options.ranks.world, options.compiled],
            "probe": options.every,
            "torch": str(torch.__version__),
        }
        with cannot_run(cell.model):
            self.run = Run(
                cell.model,
                model,
                cell.seed,
                cell.recipe,
                feed,
                options.device,
                compiled=options.compiled,
                every=options.every,
                ranks=options.ranks,
            )
        self.kept = Checkpoint(options.folder, f"{cell.model}-seed{cell.seed}", key) if options.folder else None
        state = self.kept.load(self.run.device) if self.kept else None
        options.ranks.wait()
        if state:
            self.run.restore(state)
        self.earlier = self.run.finished
        self.work.done += self.macs * self.run.step
        self.saved, self.ended = time.monotonic(), False

    def epoch(self, stop: Callable[[], bool], progress: Progress) -> None:
        """Train to the end of the epoch, or to the step at which that is no longer wanted."""
        run, before = self.run, self.run.step
        epochs = -(-self.cell.recipe.iterations // run.feed.steps)
        line = f"{run.name}, seed {run.seed}: epoch {run.step // run.feed.steps + 1} of {epochs}"
        progress(line, self.work.done / self.work.total)
        self.ended = False
        with cannot_run(run.name):
            for _ in run.epoch():
                self.work.done += self.macs * (run.step - before)
                before = run.step
                progress(line, self.work.done / self.work.total)
                if stop():
                    return
                if self.due and self.options.ranks.world == 1:
                    self.save()
        self.ended = True
        self.work.done += self.macs * (run.step - before)

    def close(self, stopped: bool) -> None:
        """Read what the epoch gave, if it came to its end."""
        if self.ended:
            with cannot_run(self.run.name):
                self.run.close()
            if self.options.watch and self.options.ranks.rank == 0:
                self.options.watch(self.result())
        if self.due or stopped or self.run.finished:
            self.save()

    @property
    def due(self) -> bool:
        return time.monotonic() - self.saved > SAVE_S

    def save(self) -> None:
        if self.kept and self.options.ranks.rank == 0:
            self.kept.save(self.run.state())
            self.saved = time.monotonic()

    def result(self) -> Training:
        run = self.run
        return Training(self.cell, tuple(run.history), tuple(run.rows), run.broken, run.finished, self.earlier)


def _macs(cell: Cell) -> float:
    """Of one image; 1 for a network that cannot be counted."""
    try:
        return float(max(cost(cell.model, cell.input).macs, 1))
    except ResbenchError:
        return 1.0


@contextmanager
def _interruptible(possible: bool) -> Iterator[Callable[[], bool]]:
    """Gives a question: was Ctrl-C pressed? Pressed a second time it ends the program as always."""
    asked: list[int] = []
    if not possible or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\nresbench: stopping after this step; once more to stop at once", file=sys.stderr)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)
