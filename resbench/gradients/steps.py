"""Steps are what optimisers do to the weights between a forward pass and its reading.

Torch tells of every optimiser's step before and after it: there the gradient is the one that is applied, unscaled,
clipped and averaged, whatever becomes of it before the reading; and a step that a scaler leaves out is not there.
"""

import weakref
from collections.abc import Iterable
from functools import partial
from traceback import walk_stack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from resbench.gradients.passing import norm


class Rate(NamedTuple):
    """A weight has a learning rate; ``predicts``: the step is the rate times the gradient, without momentum."""

    lr: float | Tensor
    predicts: bool


def at_present(value: float | Tensor) -> float | Tensor:
    """Return a copy of a rate: a scheduler may fill a tensor anew."""
    return value.detach().clone() if isinstance(value, Tensor) else float(value)


def loss_scale() -> Tensor | None:
    """Return the factor of the ``GradScaler`` whose step this is; it calls the optimiser, but does not tell it."""
    for frame, _ in walk_stack(None):
        scaler = frame.f_locals.get("self") if frame.f_code.co_name in ("step", "_maybe_opt_step") else None
        if isinstance(scaler, torch.amp.GradScaler) and scaler.is_enabled():
            return scaler._get_scale_async().clone()  # type: ignore[union-attr]  # it has one, or could not step
    return None


class Steps:
    """These are the steps of some weights, by identity: their gradients as applied, their change and their rates."""

    def __init__(self) -> None:
        self.weights: dict[int, nn.Parameter] = {}
        self.before: dict[int, Tensor] = {}
        self.gradients: dict[int, Tensor] = {}
        self.changes: dict[int, Tensor] = {}
        self.rates: dict[int, Rate] = {}
        self.scale: Tensor | None = None
        self._versions: dict[int, int] = {}
        me = weakref.proxy(self)  # the hooks of all optimisers do not keep a probe alive
        hooks = (
            register_optimizer_step_pre_hook(partial(Steps._before_step, me)),
            register_optimizer_step_post_hook(partial(Steps._after_step, me)),
        )
        self._unhook = [weakref.finalize(self, hook.remove) for hook in hooks]

    def rates_of(self, optimizer: Optimizer) -> dict[int, Rate]:
        """Return the rates that an optimiser has for these weights, by identity, as they are now."""
        predicts = type(optimizer) is torch.optim.SGD
        groups = [group for group in optimizer.param_groups if "lr" in group]
        rated = [(Rate(at_present(group["lr"]), predicts), group["params"]) for group in groups]
        return {id(weight): rate for rate, weights in rated for weight in weights if id(weight) in self.weights}

    @torch.no_grad()
    def start(self, weights: Iterable[nn.Parameter], again: bool) -> None:
        """Keep the weights as they are; ``again``: also those that have changed since they were kept."""
        for weight in weights:
            key = id(weight)
            if key not in self.before or (again and self._versions[key] != weight._version):
                self.weights[key], self._versions[key] = weight, weight._version
                self.before[key] = weight.detach().clone()

    @torch.no_grad()
    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found = self.rates_of(optimizer)
        if not found:
            return
        self.scale = loss_scale()
        own_scale = getattr(optimizer, "grad_scale", None)  # a fused step that unscales by itself
        for key in found.keys() & self.rates.keys():  # a second step of these, and the first was never read
            self.before[key] = self.weights[key].detach().clone()
        for key, weight in self.weights.items():
            if weight.grad is not None and (key in found or key not in self.rates):
                # the gradient of another optimiser, or of none, is not unscaled yet
                self.gradients[key] = _unscaled(weight.grad, own_scale if key in found else self.scale)
        self.rates |= found

    @torch.no_grad()
    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        for key, rate in self.rates_of(optimizer).items():
            weight = self.weights[key]
            if key not in self.rates and weight.grad is not None:  # the pass was made within the step: LBFGS
                self.gradients[key] = norm(weight.grad)
            self.rates.setdefault(key, rate)
            self.changes[key] = norm(weight - self.before[key])

    @torch.no_grad()
    def close(self) -> None:
        """Stop listening; where no optimiser has reported, take the gradients and changes as they are now."""
        for unhook in self._unhook:
            unhook()
        for key, weight in self.weights.items():
            if key not in self.gradients and weight.grad is not None:
                self.gradients[key] = _unscaled(weight.grad, self.scale)
            if key not in self.changes:
                self.changes[key] = norm(weight - self.before[key])


def _unscaled(gradient: Tensor, scale: Tensor | None) -> Tensor:
    return norm(gradient) if scale is None else norm(gradient) / scale
