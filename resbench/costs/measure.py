"""A model's cost is counted however it is given: an architecture is folded, anything else is traced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, get_args

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture
from resbench.arch.cost import cost as fold
from resbench.arch.rows import Cost, Mode
from resbench.costs.result import Costs
from resbench.errors import Failures, OptionError, ResbenchError, TraceError, message
from resbench.given import public
from resbench.networks.inputs import Input, parse_input
from resbench.networks.load import Model, load
from resbench.networks.name import ModelName
from resbench.progress import Progress, in_turn, silent

if TYPE_CHECKING:
    from torch import nn

    from resbench.costs.check import Check, Checks


SMALL_BYTES = 2**28
"""A model with fewer bytes of weights is tried with them where it fails without."""

Given: TypeAlias = "str | ModelName | Model | Architecture | Node | nn.Module"
"""A model is given in one of these forms."""


@public
def flops(
    models: Given | Sequence[Given],
    input: Input = None,
    *,
    batch: int = 1,
    mode: Mode = "inference",
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Costs:
    """It gives the costs of models, layer by layer, each as ``cost`` counts it.

    >>> flops(["plain56", "resnet56"]).tables()[0].to_pandas()["macs"].tolist()
    [125485696, 125485696]
    """
    several: Sequence[Given] = models if isinstance(models, list | tuple) else [models]  # type: ignore[list-item]
    failures = failures or Failures()
    told = in_turn(several, "counting", progress)
    costs = failures.each(told, lambda model: cost(model, input, batch=batch, mode=mode))
    return Costs(tuple(failures.left(costs)))


def cost(model: Given, input: Input = None, *, batch: int = 1, mode: Mode = "inference") -> Cost:
    """Count every layer's parameters, MACs, elementwise work and activations; in training the backward's MACs too.

    ``model`` is a name (``resnet56,shortcut=B``, ``torchvision:resnet50``), a model that is loaded, an architecture,
    an expression of the algebra, or an ``nn.Module``; the last two need their ``input`` (C, H, W). Raises ShapeError
    or TraceError where shapes do not fit.
    """
    if mode not in get_args(Mode):
        raise OptionError(f"a mode is {' or '.join(get_args(Mode))}; received {mode!r}")
    if type(batch) is not int or batch < 1:
        raise OptionError(f"expected a batch of at least 1, received {batch!r}")
    if isinstance(model, str | ModelName):
        model = load(model, input, device="meta")
    if isinstance(model, Model):
        return _of_model(model, batch, mode)
    if isinstance(model, Architecture):
        size = parse_input(input) if input else model.input
        return fold(model.body, size, batch=batch, model=model.name, source="catalog", mode=mode)
    if input is None:
        raise OptionError("an expression or a module has no input of its own: expected input=(C, H, W), received none")
    if isinstance(model, Node):
        return fold(model, parse_input(input), batch=batch, source="expression", mode=mode)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        raise OptionError(f"expected a model name, an architecture or an nn.Module, received {type(model).__name__}")
    return _traced(Model.of(model, input), batch, mode)


@public
def verified(
    models: str | Sequence[str],
    input: Input = None,
    *,
    batch: int = 1,
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Checks:
    """Models are counted by every counter that applies. Raises as ``checked`` does."""
    from resbench.costs.check import Checks

    several, failures = [models] if isinstance(models, str) else models, failures or Failures()
    told = in_turn(several, "counting in several ways", progress)
    checks = failures.each(told, lambda name: checked(name, input, batch=batch))
    return Checks(tuple(failures.left(checks)))


def checked(name: str, input: Input = None, *, batch: int = 1) -> Check:
    """Count the model by every counter that applies, and hold the figures published for it beside that.

    A counter that fails is blank there, with its reason. Raises what `load` raises, and TraceError where all fail.
    """
    from resbench.costs.check import check

    loaded = load(name, input)
    failed: list[str] = []
    folded = _counted(lambda: cost(loaded, batch=batch), "the fold", failed) if loaded.architecture else None
    traced = _counted(lambda: _traced(loaded, batch), "the tracer", failed)
    return check(loaded.name.title, folded, traced, loaded.module, loaded.published, loaded.arguments(batch), failed)


def _counted(count: Callable[[], Cost], counter: str, failed: list[str]) -> Cost | None:
    """Let a counter count; None where it fails, and its reason goes to the others."""
    try:
        return count()
    except ResbenchError as error:
        failed.append(f"{counter}: {error}")
        return None


def _of_model(model: Model, batch: int, mode: Mode) -> Cost:
    """Fold an expression, walk a graph; trace anything else, with the weights where the forward looks at values."""
    if model.graph:
        if mode == "training":
            raise OptionError(f"{model.name}: a graph of ONNX is one of inference; expected it without --mode training")
        from resbench.graphs.counting import count

        return count(model.sized(batch), model.name.title, model.source)
    arch = model.architecture
    if arch:
        return fold(arch.body, arch.input, batch=batch, model=arch.name, source=model.source, mode=mode)
    try:
        return _traced(model, batch, mode)
    except TraceError as error:
        if "meta" not in message(error.__cause__).lower() and not _is_small(model):
            raise
    return _traced(load(model.name), batch, mode)


def _is_small(model: Model) -> bool:
    """Tell whether a named model is small enough to try it with weights where it failed without: some operators take
    less on the meta device than elsewhere, such as a grouped product, which takes bfloat16 alone."""
    held = [*model.module.parameters()]
    return all(p.is_meta for p in held) and sum(p.numel() * p.element_size() for p in held) <= SMALL_BYTES


def _traced(model: Model, batch: int, mode: Mode = "inference") -> Cost:
    from resbench.costs.trace import trace

    return trace(
        model.module,
        model.arguments(batch),
        training=mode == "training",
        name=model.name.title,
        source=model.source,
    )
