"""Networks of one seed train in turn, epoch by epoch, and go on from what a folder keeps.

    cells -> runs -> results

Ctrl-C ends after the step at hand, with everything kept; ``kill -9`` loses what was done since the last save.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import torch
from torch import nn

from resbench.costs.measure import cost
from resbench.errors import Failures, ResbenchError, cannot_run
from resbench.files import locked
from resbench.interrupts import noted
from resbench.networks.load import load
from resbench.progress import Progress, Step, silent
from resbench.training.checkpoint import Checkpoint, fingerprint
from resbench.training.feed import Feed
from resbench.training.parallel import ALONE, Ranks, join
from resbench.training.result import Cell, Training
from resbench.training.run import TrainingRun
from resbench.training.trail import Trail
from resbench.units import plural
from resbench.workers.workload import check_device, own_threads, repeatable

SAVE_S = 10.0
"""So much time lies between two saves: a killed process has to do it again."""


@dataclass(frozen=True)
class Options:
    """The options say how trainings are run; only the device, compilation and ``threads`` change what they give.

    Gradient statistics are taken of every ``every``-th step; 0 takes none. ``watch`` is called with what a training
    has given so far, at the end of each of its epochs, and ``ended`` with each network that is trained, and its trail.
    """

    device: str = "cpu"
    compiled: bool = False
    every: int = 0
    folder: Path | None = None
    watch: Callable[[Training], object] | None = None
    ranks: Ranks = ALONE
    threads: int | None = None
    """So many threads share an operator on the CPU; None: as many as torch chooses."""
    trail: int = 0
    """The weights of every so manyth epoch are kept, and those of the beginning; 0 keeps none."""
    ended: Callable[[Training, nn.Module, Trail], object] | None = None


def options(
    device: str,
    compiled: bool = False,
    every: int = 0,
    folder: Path | None = None,
    watch: Callable[[Training], object] | None = None,
    threads: int | None = None,
) -> Options:
    """Tell how this process trains: alone, or as one of torchrun's. Raises MeasureError without that device."""
    check_device(device)
    ranks, device = join(device)
    return Options(device, compiled, every, folder, watch, ranks, own_threads(device, threads))


def precision(device: str) -> str:
    """Return bf16 where the hardware multiplies it, else fp32."""
    if device.startswith("cuda"):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    multiplies = any(getattr(torch.cpu, f"_is_{kind}_supported", bool)() for kind in ("avx512_bf16", "amx_tile"))
    return "bf16" if device == "cpu" and multiplies else "fp32"


def train(
    cells: Sequence[Cell],
    feed: Feed,
    options: Options | None = None,
    progress: Progress = silent,
    failures: Failures | None = None,
) -> list[Training]:
    """Train every cell to the end of its recipe, or until Ctrl-C: then some results are not finished.

    Raises MeasureError for what cannot be trained here, OutputError and SourceError for the folder. With ``failures``
    of several networks, one that fails is recorded there and left out, and the others go on.
    """
    options, failures = options or Options(), failures or Failures()
    options = replace(options, threads=own_threads(options.device, options.threads))
    macs = {cell: _macs(cell) for cell in cells}
    total = sum(cell.recipe.iterations * macs[cell] for cell in cells)
    done: dict[Cell, float] = {}
    results: list[Training] = []

    def tell(line: str) -> None:
        done.update({one.cell: macs[one.cell] * one.run.step for one in trainings})
        epochs = sum(len(one.history) for one in results) + sum(len(one.run.history) for one in trainings)
        own = "every step so far" if options.ranks.world == 1 else "what was saved last"
        keeps = own if options.folder else plural(epochs, "epoch") if epochs else ""
        progress(Step(line, keeps), sum(done.values()) / total)

    folder = locked(options.folder) if options.folder and options.ranks.rank == 0 else nullcontext()
    stopping = noted("stopping after this step") if options.ranks.world == 1 else nullcontext(lambda: False)
    with folder, repeatable(options.device, options.threads), stopping as stop:
        for _, group in groupby(cells, key=lambda cell: cell.seed):
            trainings: list[_Training] = []
            for cell in group:
                if cell.model not in failures.reasons:  # with another seed
                    with failures.of(cell.model):
                        trainings.append(_Training(cell, feed, options))
            while (active := [training for training in trainings if not training.run.finished]) and not stop():
                draws = any(training.run.draws for training in active)
                for training in active:
                    with failures.of(training.cell.model):
                        training.epoch(stop, tell)
                        if draws:  # captured steps share one generator: no other is filled in while it is read
                            training.run.wait()
                for training in active:
                    with failures.of(training.cell.model):
                        training.close(stop())
                trainings = [training for training in trainings if training.cell.model not in failures.reasons]
            results += [training.result() for training in trainings]
            if options.ended:
                for training in trainings:
                    if training.run.finished:
                        options.ended(training.result(), training.run.model, training.trail)
            if stop():
                break
    begun = {result.cell for result in results}
    left = [cell for cell in cells if cell not in begun and cell.model not in failures.reasons]
    return results + [Training(cell, (), finished=False) for cell in left]


class _Training:
    """A training is a run and its checkpoint."""

    def __init__(self, cell: Cell, feed: Feed, options: Options) -> None:
        self.cell, self.options = cell, options
        torch.manual_seed(cell.seed)
        model = load(cell.model, cell.input, seed=cell.seed).module
        if options.threads:
            torch.set_num_threads(options.threads)  # whatever the factory has chosen for those that follow
        with suppress(Exception):  # a factory may give the same module again; what cannot be copied is trained itself
            model = copy.deepcopy(model)
        with cannot_run(cell.model):
            if any(map(torch.nn.parameter.is_lazy, (*model.parameters(), *model.buffers()))):
                model(torch.zeros(2, *cell.input))
            weights = fingerprint(model)
            self.run = TrainingRun(
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
        key = {
            "model": [cell.model, weights],
            "input": list(cell.input),
            "seed": cell.seed,
            "recipe": asdict(cell.recipe),
            "data": [feed.name, feed.digest],
            "machine": [torch.device(options.device).type, options.ranks.world, options.compiled],
            **({"threads": options.threads} if options.threads else {}),
            "probe": options.every,
            "torch": str(torch.__version__),
        }
        self.checkpoint = Checkpoint(options.folder, f"{cell.model}-seed{cell.seed}", key) if options.folder else None
        self.trail = Trail(options.trail, options.folder, f"{cell.model}-seed{cell.seed}", key)
        state = self.checkpoint.load(self.run.device) if self.checkpoint else None
        options.ranks.wait()
        if state and self.trail.holds(state["step"] // feed.steps):
            self.run.restore(state)
        else:
            self.pass_by(0)
        self.earlier = self.run.finished
        self.saved, self.ended = time.monotonic(), False

    def epoch(self, stop: Callable[[], bool], tell: Callable[[str], object]) -> None:
        """Train to the end of the epoch, or to the step at which that is no longer wanted."""
        run = self.run
        epochs = -(-self.cell.recipe.iterations // run.feed.steps)
        line = f"{run.name}, seed {run.seed}: epoch {run.step // run.feed.steps + 1} of {epochs}"
        tell(line)
        self.ended = False
        with cannot_run(run.name):
            for _ in run.epoch():
                tell(line)
                if stop():
                    return
                if self.due and self.options.ranks.world == 1:
                    self.save()
        self.ended = True

    def close(self, stopped: bool) -> None:
        """Read what the epoch gave, if it came to its end."""
        if self.ended:
            with cannot_run(self.run.name):
                self.run.close()
            self.pass_by(len(self.run.history))
            if self.options.watch and self.options.ranks.rank == 0:
                self.options.watch(self.result())
        if self.due or stopped or self.run.finished:
            self.save()

    def pass_by(self, epoch: int) -> None:
        """Keep the weights of an epoch in the trail, once for all processes."""
        if self.options.ranks.rank == 0:
            self.trail.pass_by(epoch, self.run.model)

    @property
    def due(self) -> bool:
        return time.monotonic() - self.saved > SAVE_S

    def save(self) -> None:
        if self.checkpoint and self.options.ranks.rank == 0:
            self.checkpoint.save(self.run.state())
            self.saved = time.monotonic()

    def result(self) -> Training:
        run = self.run
        return Training(self.cell, tuple(run.history), tuple(run.rows), run.broken, run.finished, self.earlier)


def _macs(cell: Cell) -> float:
    """Count the MACs of one image; a network that cannot be counted has 1."""
    try:
        return float(max(cost(cell.model, cell.input).macs, 1))
    except ResbenchError:
        return 1.0
