"""Each question about one network is answered here, in whatever process a cell runs: by one thread on the CPU."""

import platform
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from resbench.data import Images, load_images, load_split
from resbench.errors import MeasureError, ResbenchError, first_line
from resbench.fields.measure import field
from resbench.gradients.measure import flow
from resbench.gradients.result import FlowRecipe
from resbench.gradients.verdicts import Thresholds, verdicts
from resbench.networks.load import Model, load, result_name
from resbench.sweeps import proxies
from resbench.sweeps.pool import PATIENCE_S, died_twice, ends_after
from resbench.sweeps.questions import GRADIENT, HALF, QUESTIONS, Cell, How, Place, Value
from resbench.timing.latency.measure import latency
from resbench.timing.runtimes.runtime import TORCH, runtime, version_of
from resbench.training.degradation import Plan, recipe_of
from resbench.training.feed import Feed
from resbench.training.run import TrainingRun
from resbench.units import FP32_BYTES
from resbench.workers.environment import environment
from resbench.workers.workload import repeatable

SHOWN = 64
"""A batch of so many images tells of a network's first weights."""

BASE_BYTES = 700 * 2**20
"""A process that has imported torch, and read a small set of images, takes about so much."""

SLOWER = 50
"""A cell takes no longer than any other work of a process, and so many times as long as was guessed: or it hangs."""

Figures = dict[str, Value]


class Answer(NamedTuple):
    """A cell gives figures, or the reason why there are none."""

    figures: Figures
    failed: str
    took_s: float
    place: Place

    @property
    def words(self) -> dict[str, Any]:
        """Say where it comes from, and why it has no figures, as the row of its cell does."""
        return {**self.place._asdict(), "took_s": self.took_s, "failed": self.failed or None}


def answered(cell: Cell) -> Answer:
    """Answer a cell, and say how long it took and where; whatever goes wrong is the answer."""
    begun, device = time.monotonic(), cell.device
    answer = ANSWERS[cell.question.name.partition(":")[0]]
    found, failed = Figures(), ""
    with nullcontext() if cell.question.timed else repeatable(device, 1 if device == "cpu" else None):
        where = place(device, cell.question.runtime)
        try:
            found = {name: None if value != value else value for name, value in answer(cell).items()}  # nan: not known
        except ResbenchError as error:
            failed = first_line(error)
        except (Exception, SystemExit) as error:  # of an operator, a runtime, or the machine: the others go on
            failed = f"{type(error).__name__}: {first_line(error)}"
    return Answer(found, failed, time.monotonic() - begun, where)


def answered_in_time(cell: Cell) -> Answer:
    """Answer a cell in a process of those that share them: where it hangs, the process ends.

    Ctrl-C is not for such a process: whatever is raised here is of the network, and no end of the sweep.
    """
    with ends_after(patience_s(cell)):
        try:
            return answered(cell)
        except BaseException as error:
            return died(cell, f"{type(error).__name__}: {first_line(error)}")


def patience_s(cell: Cell) -> float:
    """Say after how many seconds a cell hangs."""
    return PATIENCE_S + SLOWER * cell.seconds


def died(cell: Cell, why: str = "") -> Answer:
    """Answer for a process that died at a cell, and once more when it was there for that cell alone."""
    return Answer({}, why or died_twice("ran", patience_s(cell)), 0.0, Place(cell.device, None, "", ""))


def memory(cell: Cell) -> int:
    """Predict how many bytes the process of a cell takes: weights with their gradients and momentum, and what a batch
    keeps for the backward pass."""
    found = cell.costs
    images = cell.how.batch if cell.question.name == "error" else SHOWN
    return BASE_BYTES + FP32_BYTES * (4 * found.params + 3 * images * found.activations)


def place(device: str, runtime: str = "") -> Place:
    """Say where this process answers."""
    threads = torch.get_num_threads() if device == "cpu" else None
    return Place(device, threads, _versions(runtime), _machine(device))


@cache
def _machine(device: str) -> str:
    """Return the digest of this machine, which takes milliseconds to ask."""
    return environment(device).id


@cache
def _versions(name: str) -> str:
    own = [] if name in ("", *TORCH) else [version_of(runtime(name))]
    return ", ".join([f"torch {torch.__version__}", f"Python {platform.python_version()}", *own])


def _field(cell: Cell) -> Figures:
    [found] = field(cell.network).fields
    if not found.last or not found.size:
        raise MeasureError(f"{cell.network} ends in no map of positions: its receptive field is not known")
    return {"field": max(found.size), "field_stride": max(span.stride for span in found.last.window or ())}


def _gradient(cell: Cell) -> Figures:
    recipe = FlowRecipe((0,), 1, SHOWN, 0.1, cell.how.device, threads=1 if cell.how.device == "cpu" else None)
    found = flow(cell.network, _images(cell.how), recipe, seeds=(cell.seed or 0,))
    if found.interrupted:
        raise KeyboardInterrupt
    if found.broken and not found.rows:
        raise MeasureError(found.broken)
    record = found.record(0)
    words = ", ".join(one.word for one in verdicts(found, Thresholds()))
    return {**{name: record[name] for name in GRADIENT}, "verdict": words}


def _synflow(cell: Cell) -> Figures:
    model = _loaded(cell)
    return {"synflow_log10": proxies.synflow_log10(model.module, model.input)}


def _naswot(cell: Cell) -> Figures:
    model = _loaded(cell)
    return {"naswot": proxies.naswot(*_on_images(cell, model)[:2])}


def _gradnorm(cell: Cell) -> Figures:
    model = _loaded(cell)
    return {"gradnorm": proxies.gradnorm(*_on_images(cell, model), _images(cell.how).classes)}


def _loaded(cell: Cell) -> Model:
    torch.manual_seed(cell.seed or 0)
    return load(cell.network, seed=cell.seed or 0)


def _on_images(cell: Cell, model: Model) -> tuple[nn.Module, Tensor, Tensor]:
    """Return the module on its device, images and labels."""
    x, labels = _images(cell.how).batch(SHOWN, 0, cell.seed or 0, model.input)
    return model.module.to(cell.how.device), x.to(cell.how.device), labels.to(cell.how.device)


def _error(cell: Cell) -> Figures:
    run = training(cell)
    while not run.finished:
        for _ in run.epoch():
            pass
        run.close()
    last = run.history[-1] if run.history and not run.broken else None
    ended = (last.train_error, last.test_error, last.loss) if last else (None, None, None)
    return {**dict(zip(("train_error", "test_error", "train_loss"), ended, strict=True)), "broken": run.broken or None}


def training(cell: Cell) -> TrainingRun:
    """Return the training of a cell, before its first step."""
    how, seed = cell.how, cell.seed or 0
    shape = load(cell.network).input
    feed = _feed(how, shape)
    name = result_name(cell.network, classes=feed.classes)
    recipe = recipe_of(
        Plan(how.data, None, 1, how.epochs, how.batch, how.lr, how.dtype), name, feed.steps, feed.augment
    )
    torch.manual_seed(seed)
    return TrainingRun(name, load(name, shape, seed=seed).module, seed, recipe, feed, how.device)


@lru_cache(2)
def _feed(how: How, shape: tuple[int, ...]) -> Feed:
    root = Path(how.root) if how.root else None
    train, test = (part.resized(shape) for part in load_split(how.data, root, shape))
    return Feed(train, test, how.batch, how.data.startswith("cifar"), how.device)


@lru_cache(1)
def _images(how: How) -> Images:
    return load_images(how.data, Path(how.root) if how.root else None)


def _latency(cell: Cell) -> Figures:
    how = cell.how
    found = latency(cell.network, device=how.device, runtime=cell.question.runtime, processes=how.processes)
    if found.interrupted:
        raise KeyboardInterrupt
    [one] = found.latencies
    return {"latency_s": one.median_s, HALF: one.half_width_s}


ANSWERS: Mapping[str, Callable[[Cell], Figures]] = {
    "field": _field,
    "gradient": _gradient,
    "synflow": _synflow,
    "naswot": _naswot,
    "gradnorm": _gradnorm,
    "error": _error,
    "latency": _latency,
}
assert {*ANSWERS} | {"cost"} == {*QUESTIONS}
