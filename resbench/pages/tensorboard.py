"""Event files show TensorBoard what commands have computed: scalars, histograms, hyperparameters and graphs.

    DIR/COMMAND/TIME     one call: a second one never mixes with it
      gradflow           MODEL by step, MODEL/stepN by depth, MODEL/end
      degradation        MODEL/seedN by iteration, MODEL/seedN/end
      latency            MODEL by batch, MODEL/batchN with its samples

MODEL holds the graph, ``end`` (and ``batchN``) the hyperparameters with what came out. Tags that begin with a capital
stand first on TensorBoard's page.
"""

import os
import re
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, suppress
from dataclasses import asdict, replace
from datetime import datetime
from io import StringIO
from itertools import count, groupby
from math import isfinite, log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils import tensorboard

from resbench.costs.values import with_integers
from resbench.errors import MeasureError, OutputError, ResbenchError, first_line, foreign
from resbench.gradients.result import Flow, Flows
from resbench.gradients.statistics import STATISTICS
from resbench.networks.arguments import positional
from resbench.networks.inputs import Input
from resbench.networks.load import load
from resbench.timing.latency.result import Latencies, Latency
from resbench.timing.latency.table import latency_record
from resbench.training.result import Cell, Training, Trainings
from resbench.units import calls_text
from resbench.workers.workload import Setup, Workload

LINEAR = ("cosine", "share", "identity_share", "dead")
"""These lie from -1 to 1; others spread over orders of magnitude, and their histograms are of the logarithm."""

BINS = 100
"""A histogram has so many, equally wide: TensorBoard's own are a tenth of the value wide, and latencies lie closer."""

FLOW_END = ("c1", "early_update", "first_to_last", "growth", "loss")
TRAINING_END = ("loss", "test_error", "train_error")
LATENCY_END = ("median_s", "p10_s", "p90_s", "peak_bytes", "throughput")
"""These stand beside the hyperparameters. TensorBoard shows the first five of them unasked."""

TRAINING = ("lr", "loss", "train_error", "test_error", "epoch", "seconds")
"""These numbers of an epoch are written by iteration."""


def check_folder(folder: Path) -> None:
    """Raise OutputError unless folders can be made there; nothing is left behind."""
    at = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    try:
        tempfile.TemporaryDirectory(dir=at).cleanup()
    except OSError as error:
        raise OutputError(
            f"cannot make folders in {at}: {error.strerror or error}; name a folder with --tensorboard"
        ) from None


class Board:
    """A board writes the event files of one call. A disk that fails stops nothing: ``failure`` says it.

    ``hparams`` are those of every run. Raises OutputError where nothing can be written.
    """

    def __init__(
        self,
        root: Path,
        command: str,
        hparams: Mapping[str, Any] | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        check_folder(root / command)
        self.root, self.command, self.hparams = root, command, dict(hparams or {})
        self.time = f"{clock():%Y%m%d-%H%M%S}"
        self.folder: Path | None = None
        """The folder of this call is made with its first run."""
        self.failure = ""
        self.remarks: list[str] = []
        """A line says what could not be drawn, and why."""
        self._models: dict[str, Path] = {}
        self._open: dict[Cell, Any] = {}
        """Each training in progress has its writer."""
        self._written: dict[Cell, tuple[int, int]] = {}
        """So many epochs and rows of each training are written."""

    # -- what the commands hand over -----------------------------------------------------------------

    def flows(self, result: Flows) -> None:
        """Write gradient flow: by step with the histograms over the places, and by depth with a run for each step."""
        recipe = {**asdict(result.recipe), "steps": ",".join(map(str, result.recipe.steps))}
        for flow in (flow for flow in result.flows if flow.rows):
            with self._writing():
                with closing(self._run(flow.model)) as writer:
                    for step in flow.steps:
                        _step(writer, flow, step)
                    self._graph(writer, flow.model, flow.input)
                for step in flow.steps:
                    with closing(self._run(flow.model, f"step{step}")) as writer:
                        _by_depth(writer, flow, step)
                with closing(self._run(flow.model, "end")) as writer:
                    own = {**recipe, "model": flow.model, "input": _shape(flow.input)}
                    self._session(writer, own, flow.record(flow.steps[-1]), FLOW_END, flow.steps[-1])

    def training(self, result: Training) -> None:
        """Write what a training has given since the last call; where it has ended, also its hyperparameters."""
        cell, (epochs, rows) = result.cell, self._written.get(result.cell, (0, 0))
        if (len(result.history), len(result.rows)) == (epochs, rows):
            return
        with self._writing():
            if cell not in self._open:
                self._open[cell] = self._run(cell.model, f"seed{cell.seed}")
            writer = self._open[cell]
            for epoch in result.history[epochs:]:
                for key in TRAINING:
                    writer.add_scalar(f"Training/{key}", getattr(epoch, key), epoch.iteration)
            for step, same in groupby(result.rows[rows:], lambda row: row.step):
                _step(writer, Flow(cell.model, cell.input, tuple(same)), step)
            self._written[cell] = len(result.history), len(result.rows)
            writer.flush()
        if result.finished and cell in self._open:
            self._end(result)

    def trainings(self, found: Trainings) -> None:
        """Write all that is not written yet, and the graph of every network."""
        for result in found.trainings:
            self.training(result)
            if result.cell in self._open:
                self._end(result)
        for name, same in found.by_model.items():
            if name in self._models:
                with self._writing(), closing(self._run(name)) as writer:
                    self._graph(writer, name, same[0].cell.input)

    def latencies(self, found: Latencies, input: Input = None) -> None:
        """Write the figures by batch, and for each batch its samples: all of them, and those of each process."""
        by_batch = sorted(found.latencies, key=lambda one: one.input[0])
        for model in dict.fromkeys(one.model for one in by_batch):
            same = {one.input[0]: one for one in by_batch if one.model == model}
            records = {batch: latency_record(one, one.roof(found.roofs)) for batch, one in same.items()}
            with self._writing():
                with closing(self._run(model)) as writer:
                    for batch, record in records.items():
                        _scalars(writer, "Batch", {key: v for key, v in record.items() if key != "batch"}, batch)
                    self._graph(writer, model, input)
                for batch, one in same.items():
                    with closing(self._run(model, f"batch{batch}")) as writer:
                        own = {
                            **{"model": model, "input": _shape(one.input), **asdict(one.setup)},
                            **{"machine": found.environment.id, "processes": len(one.readings)},
                        }
                        if one.uncounted:
                            own["not_counted"] = calls_text(one.uncounted)
                        self._session(writer, own, records[batch], LATENCY_END, batch)
                        _samples(writer, one)

    # -- runs ----------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        hook = threading.excepthook
        threading.excepthook = lambda args: None  # what stops a writer's thread is raised again in this one
        try:
            yield
        except OSError as error:
            self.failure = f"cannot write {self.folder or self.root}: {error.strerror or error}"
        finally:
            threading.excepthook = hook

    def _run(self, model: str, *below: str) -> Any:
        """Open a writer that is to be closed; its folder is made where there is none."""
        if self.folder is None:
            self.folder = _fresh(self.root / self.command, self.time)
        if model not in self._models:
            self._models[model] = _fresh(self.folder, re.sub(r"[^\w.=,-]+", "_", model)[-120:])
        return tensorboard.SummaryWriter(str(self._models[model].joinpath(*below)))

    def _end(self, result: Training) -> None:
        """Close the writer of a training, and write its hyperparameters with what came out."""
        cell, last = result.cell, result.last
        with self._writing():
            self._open.pop(cell).close()
            with closing(self._run(cell.model, f"seed{cell.seed}", "end")) as writer:
                own = {"model": cell.model, "seed": cell.seed, "input": _shape(cell.input), **asdict(cell.recipe)}
                self._session(writer, own, last._asdict() if last else {}, TRAINING_END, last.iteration if last else 0)

    def _session(
        self, writer: Any, hparams: Mapping[str, Any], record: Mapping[str, Any], keys: Sequence[str], step: int
    ) -> None:
        """Write a line of the table of hyperparameters: those, and what came out.

        Torch's summary of the whole experiment is left out: TensorBoard would take the columns from the first one that
        it finds in DIR; where there is none it takes those of all runs.
        """
        words = {key: str(v) if isinstance(v, bool) else v for key, v in {**self.hparams, **hparams}.items()}
        for summary in tensorboard.summary.hparams(words, {})[1:]:  # type: ignore[no-untyped-call]
            writer.file_writer.add_summary(summary)
        found = {key: record[key] for key in keys if record.get(key) is not None and isfinite(record[key])}
        _scalars(writer, self.command, found, step)

    def _graph(self, writer: Any, model: str, input: Input) -> None:
        """Write the graph of a network; a remark says where it cannot be traced."""
        try:  # what a network of somebody else's prints was seen when it was measured
            with redirect_stderr(StringIO()), foreign(MeasureError, lambda e: f"{type(e).__name__}: {first_line(e)}"):
                _add_graph(writer, model, input)
        except ResbenchError as error:
            self.remarks.append(f"{model}: no graph for TensorBoard ({first_line(error)})")


# -- what a run holds --------------------------------------------------------------------------------


def _step(writer: Any, flow: Flow, step: int) -> None:
    """Write one observed step: the network, every place (means over the seeds), and all places as a histogram."""
    flow = replace(flow, rows=tuple(row for row in flow.rows if row.step == step))
    _scalars(writer, "Network", {key: v for key, v in flow.record(step).items() if key != "step"}, step)
    for key in dict.fromkeys(row.statistic for row in flow.rows if row.place != "network"):
        for name, (_, value) in flow.means(key, step).items():
            writer.add_scalar(f"{key}/{name}", value, step)
        values = [row.value for row in flow.rows if row.statistic == key]
        if key in LINEAR:
            _histogram(writer, f"Places/{key}", values, step)
        elif STATISTICS[key].place != "stage":
            _histogram(writer, f"Places/log10 {key}", [log10(v) for v in values if v > 0], step)


def _by_depth(writer: Any, flow: Flow, step: int) -> None:
    """Write each statistic by depth in thousandths. A place at the depth of another stands one behind it: TensorBoard
    keeps one value for each point."""
    for key, statistic in STATISTICS.items():
        at = -1
        means = flow.means(key, step).values() if statistic.place != "network" else ()
        for depth, value in sorted(means, key=lambda place: place[0]):
            at = max(at + 1, round(1000 * depth))
            writer.add_scalar(f"Depth/{key}", value, at)


def _samples(writer: Any, one: Latency) -> None:
    """Write the seconds of every run: all of them, and process by process."""
    kinds: Mapping[str, Sequence[Sequence[float]]] = {
        "total_s": [reading.totals for reading in one.readings],
        "queued_s": [reading.queued for reading in one.readings],
        "graph_s": [reading.graph for reading in one.readings],
    }
    for key, processes in kinds.items():
        _histogram(writer, f"Samples/{key}", [value for values in processes for value in values], 0)
        for number, values in enumerate(processes, 1):
            _histogram(writer, f"Samples/{key} by process", values, number)


def _scalars(writer: Any, group: str, record: Mapping[str, Any], step: int) -> None:
    for key, value in record.items():
        if isinstance(value, int | float):
            writer.add_scalar(f"{group}/{key}", value, step)


def _histogram(writer: Any, tag: str, values: Sequence[float], step: int) -> None:
    """Write the finite values as a histogram; without any there is none."""
    if finite := [value for value in values if isfinite(value)]:
        writer.add_histogram(tag, np.asarray(finite), step, bins=BINS)


def _add_graph(writer: Any, model: str, input: Input) -> None:
    loaded = load(model, input)
    work = Workload(loaded.module, with_integers(loaded.module, loaded.arguments()), Setup())
    with work.ready(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.jit.trace is old, and what it cannot follow
        module, inputs = positional(work.model, work.called)
        traced = torch.jit.trace(module, inputs, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
        writer.add_graph(traced, inputs)


def _shape(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _fresh(parent: Path, name: str) -> Path:
    """Make a new folder of that name, with a number behind it where there is one already."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        path = parent / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise AssertionError
