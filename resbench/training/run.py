"""A run trains one network with one seed, step by step.

All that is random (weights, order, crops, dropout) is a function of seed and step, so a state is whole with the
weights, the momentum and the sums of the current epoch.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from resbench.errors import MeasureError
from resbench.gradients.frozen import logits
from resbench.gradients.measure import loss_of
from resbench.gradients.probe import GradientProbe
from resbench.gradients.statistics import StatisticRow
from resbench.gradients.trunk import hooked
from resbench.restoring.unchanged import unchanged
from resbench.training.feed import Feed
from resbench.training.parallel import ALONE, Ranks
from resbench.training.result import Epoch, TrainingRecipe

State = dict[str, Any]

STRIDE = 16
"""A GPU is given so many steps at once."""


class TrainingRun:
    """A run has a network on its device, somewhere between its first weights and its last.

    The ``rows`` are what the probe observed. ``broken`` says which number was not finite, and where; training ends
    there.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        seed: int,
        recipe: TrainingRecipe,
        feed: Feed,
        device: str = "cpu",
        *,
        compiled: bool = False,
        every: int = 0,
        ranks: Ranks = ALONE,
    ) -> None:
        self.name, self.seed, self.recipe, self.feed, self.device = name, seed, recipe, feed, torch.device(device)
        self.ranks = ranks
        self.model = model.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.params = [p for p in model.parameters() if p.requires_grad]
        if not self.params:
            raise MeasureError(f"{name} has no parameter to train")
        on_gpu = self.device.type == "cuda"
        self.stream = torch.cuda.Stream(self.device) if on_gpu else None  # type: ignore[no-untyped-call]
        self.optimizer = torch.optim.SGD(
            self.params,
            torch.tensor(recipe.lr, device=self.device) if on_gpu else recipe.lr,  # a graph reads it at every step
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        for p in self.params:
            self.optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
        if compiled:  # what cannot run says so by its own modules, and the compiler by a traceback
            images, _ = next(feed.testing())
            with unchanged(self.model), torch.no_grad():
                self.model(images[:2])
        self.forward = ranks.wrapped(torch.compile(self.model) if compiled else self.model, self.device)
        self.probe = GradientProbe(self.model, every, name, seed) if every else None
        self.step, self.seconds, self.broken = 0, 0.0, ""
        self.rows: list[StatisticRow] = []
        self.history: list[Epoch] = []
        self.wrong = torch.zeros((), dtype=torch.int64, device=self.device)
        self.loss = torch.zeros((), device=self.device)
        self.losses = torch.zeros(feed.steps, device=self.device)
        self.draws = any(isinstance(module, nn.modules.dropout._DropoutNd) for module in model.modules())
        """Random numbers are drawn in its steps."""
        self._replay: Callable[[Tensor], None] | None = None

    def wait(self) -> None:
        """Wait until a GPU has done what it was given."""
        if self.stream:
            self.stream.synchronize()

    @property
    def finished(self) -> bool:
        return bool(self.broken) or self.step >= self.recipe.iterations

    def state(self) -> State:
        """Return all that the rest of the training depends on, as copies."""
        return {
            "step": self.step,
            "model": {key: value.clone() for key, value in self.model.state_dict().items()},
            "momentum": [self.optimizer.state[p]["momentum_buffer"].clone() for p in self.params],
            "wrong": self.wrong.clone(),
            "losses": self.losses.clone(),
            "history": [tuple(epoch) for epoch in self.history],
            "rows": [tuple(row) for row in self.rows],
            "seconds": self.seconds,
            "broken": self.broken,
        }

    @torch.no_grad()
    def restore(self, state: State) -> None:
        """Go back, or on, to that state: every tensor keeps its place."""
        self.step, self.seconds, self.broken = state["step"], state["seconds"], state["broken"]
        self.model.load_state_dict(state["model"])
        for p, momentum in zip(self.params, state["momentum"], strict=True):
            self.optimizer.state[p]["momentum_buffer"].copy_(momentum)
        self.wrong.copy_(state["wrong"])
        self.losses.copy_(state["losses"])
        self.history = [Epoch(*epoch) for epoch in state["history"]]
        self.rows = [StatisticRow(*row) for row in state["rows"]]
        self._start = state

    def epoch(self) -> Iterator[None]:
        """Train to the end of this epoch, standing still after each step; on a GPU after some, and without waiting."""
        begun = time.perf_counter()
        number, first = divmod(self.step, self.feed.steps)
        last = min(self.feed.steps, self.recipe.iterations - number * self.feed.steps)
        with self._stream():
            rows = self.feed.rows(self.seed, number)
            if first == 0:
                self.wrong.zero_()
                self.losses.zero_()
                self._start = self.state()
            for place in range(first, last):
                self._train(rows[place])
                self.losses[place] = self.loss
                self.step += 1
                if self.stream is None and self.ranks.world == 1 and not isfinite(float(self.loss)):
                    break
                if place + 1 < last and (self.stream is None or place % STRIDE == STRIDE - 1):
                    self.seconds += time.perf_counter() - begun
                    yield
                    begun = time.perf_counter()
            else:
                self._test()
        self.seconds += time.perf_counter() - begun

    def close(self) -> None:
        """Read what an epoch gave, for which a GPU is waited for."""
        begun = time.perf_counter()
        self.wait()
        number = (self.step - 1) // self.feed.steps
        done = self.step - number * self.feed.steps
        losses = (self.ranks.total(self.losses[:done]) / self.ranks.world).tolist()
        wrong = int(self.ranks.total(self.wrong))
        bad = next((place for place, loss in enumerate(losses) if not isfinite(loss)), None)
        if bad is not None:
            step = number * self.feed.steps + bad
            self.broken = (
                f"{self.name}, seed {self.seed}: the loss is {losses[bad]:g} at step {step}{self._where(step)}"
            )
        elif self.finished and not all(bool(p.isfinite().all()) for p in self.params):
            self.broken = f"{self.name}, seed {self.seed}: weights are not finite after the last step"
        else:
            self.seconds += time.perf_counter() - begun
            self.history.append(
                Epoch(
                    number + 1,
                    self.step,
                    self.recipe.rate(self.step - 1),
                    sum(losses) / done,
                    wrong / (done * self.feed.batch),
                    int(self.test_wrong) / len(self.feed.test_labels),
                    self.seconds,
                )
            )

    # -- one step ------------------------------------------------------------------------------------

    def _train(self, row: Tensor) -> None:
        self._prepare()
        probe = self.probe if self.probe and self.step % self.probe.every == 0 else None
        if self.stream is None or self.ranks.world > 1 or probe:
            self._learn(row, probe)
            return
        if self._replay is None:
            self._replay = self._captured(row)
            self._prepare()
        self._replay(row)

    def _prepare(self) -> None:
        """Set the learning rate of this step, and seed its random numbers in this process."""
        rate, group = self.recipe.rate(self.step), self.optimizer.param_groups[0]
        if self.stream:
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
        torch.manual_seed(1_000_003 * self.seed + self.step * self.ranks.world + self.ranks.rank)

    def _learn(self, row: Tensor, probe: GradientProbe | None = None) -> None:
        """Make one step: forward, loss, backward, update."""
        x, labels = self.feed.training(row[:, self.ranks.rank :: self.ranks.world])
        self.optimizer.zero_grad()
        if probe:
            probe.steps = self.step
        with self._precision():
            output = (probe or self.forward)(x)
            loss = loss_of(self.name, output, labels, self.feed.classes)
        loss.backward()  # type: ignore[no-untyped-call]
        if probe:  # it has called the network itself, and not what shares it out
            self.ranks.average([p.grad for p in self.params if p.grad is not None])
        self.optimizer.step()
        with torch.no_grad():
            self.wrong += (logits(output)[0].argmax(1) != labels).sum()
            self.loss.copy_(loss)
        if probe:
            probe.read(self.recipe.rate(self.step))
            self.rows += probe.take()

    def _captured(self, row: Tensor) -> Callable[[Tensor], None]:
        """Capture the whole step as one CUDA graph; where it cannot be one, return the step as it is.

        The runs that capturing needs are undone.
        """
        static, before, start = row.clone(), self.state(), self._start
        stream = torch.cuda.current_stream()
        for _ in range(3):
            self._learn(static)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad()

        def replay(row: Tensor) -> None:
            static.copy_(row)
            graph.replay()

        step: Callable[[Tensor], None] = replay
        try:
            with torch.cuda.graph(graph, stream=stream):
                self._learn(static)
        except RuntimeError:
            step = self._learn
        self.restore(before)
        self._start = start
        return step

    @torch.no_grad()
    def _test(self) -> None:
        self.test_wrong = torch.zeros_like(self.wrong)
        self.model.eval()
        for x, labels in self.feed.testing():
            with self._precision():
                self.test_wrong += (logits(self.model(x))[0].argmax(1) != labels).sum()
        self.model.train()

    def _precision(self) -> AbstractContextManager[None]:
        enabled = self.recipe.dtype == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def _stream(self) -> AbstractContextManager[Any]:
        """Return, on a GPU, the context of the run's own stream, behind all that was asked for before."""
        if self.stream:
            self.stream.wait_stream(torch.cuda.current_stream(self.device))
        return torch.cuda.stream(self.stream)

    # -- what was not finite -------------------------------------------------------------------------

    def _where(self, step: int) -> str:
        """Name the first layer that is not finite at that step, for which the epoch is run again up to there."""
        self.restore(self._start)
        self._replay = None
        rows = self.feed.rows(self.seed, step // self.feed.steps)
        with self._stream():
            while self.step < step:
                self._prepare()
                self._learn(rows[self.step % self.feed.steps])
                self.step += 1
            found = first_not_finite(self.model, self.feed.training(rows[step % self.feed.steps])[0], self._precision())
        return f", first in {found}" if found else ""


@torch.no_grad()
def first_not_finite(model: nn.Module, x: Tensor, precision: AbstractContextManager[None] | None = None) -> str:
    """Name what is not finite first, in running order: ``the weights of conv1``, ``the output of fc``."""
    found: list[str] = []

    def look(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if not all(bool(p.isfinite().all()) for p in module.parameters(recurse=False)):
            found.append(f"the weights of {name}")
        elif isinstance(output, Tensor) and not bool(output.isfinite().all()):
            found.append(f"the output of {name}")

    layers = [(name, module) for name, module in model.named_modules() if not next(module.children(), None)]
    with hooked(layers, nn.Module.register_forward_hook, look), precision or nullcontext():
        model(x)
    return found[0] if found else ""
