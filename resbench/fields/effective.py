"""The effective receptive field is what of its receptive field a position uses (Luo et al. 2016, arXiv 1701.04128).

The gradient of the centre of the last map is taken with respect to random inputs, with a random sign for each channel;
its square, as the mean over inputs and channels, says how much each pixel matters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from resbench.errors import MeasureError, OptionError, cannot_run
from resbench.fields.reading import LayerField
from resbench.fields.result import MASS, Effective, Field
from resbench.networks.inputs import Input
from resbench.networks.load import Model, load
from resbench.networks.name import ModelName
from resbench.restoring.unchanged import unchanged
from resbench.workers.workload import check_device, repeatable

CELLS = 64
"""A picture has so many cells a side at most."""


def effective(model: Any, input: Input, read: Field, seeds: int, images: int, device: str) -> Effective:
    """Measure how the squared gradient at the centre of the last map spreads over the input.

    Every seed draws weights (unless they come from a file, or with a module), inputs and signs. Where nobody trained
    them, the statistics of a BN are those of the inputs. Raises MeasureError for a network without a map of positions,
    or whose gradient is not finite.
    """
    check_device(device)
    if len(read.input) != 4 or read.last is None:
        why = f"it is not known what {read.unknown[0]} sees" if read.unknown else "it has no map of positions"
        raise MeasureError(f"{read.model}: expected a network whose last map sees parts of an image: {why}")
    maps, layer = [], read.last
    with repeatable(device):
        for seed in range(seeds):
            module = _loaded(model, input, seed).module
            with unchanged(module), cannot_run(read.model, f" on {device}"):
                spread, layer = _spread(module.to(device), read, seed, images, device)
            maps.append(spread.cpu())
    centre = _centre(layer, read.input)
    mean = torch.stack(maps).mean(0)
    sides = tuple(_side(one, centre) for one in maps)
    return Effective(layer.name, sides, images, centre, _cells(mean), _weights(model))


def _loaded(model: Any, input: Input, seed: int) -> Model:
    if isinstance(model, Model):
        return model
    if isinstance(model, str | ModelName):
        return load(model, input, seed=seed)
    if model is None:
        raise OptionError("expected a model, received none")
    return Model.of(model, input, seed)


def _weights(model: Any) -> str:
    """Say where the weights are from."""
    if isinstance(model, nn.Module):
        return "the module's own weights"
    name = ModelName.parse(str(model)) if isinstance(model, str | ModelName) else None
    if name and (name.weights or any(key in ("weights", "pretrained") for key, _ in name.options)):
        return "the weights that are named"
    return "weights as initialised"


def _norms(module: nn.Module) -> list[Any]:
    kinds = nn.modules.batchnorm._BatchNorm
    return [one for one in module.modules() if isinstance(one, kinds) and one.running_mean is not None]


def _has_statistics(module: nn.Module) -> bool:
    """Tell whether any BN holds statistics of images that it has seen."""
    return any(bool(one.running_mean.any()) for one in _norms(module))


def _spread(module: nn.Module, read: Field, seed: int, images: int, device: str) -> tuple[Tensor, LayerField]:
    """Give the mean squared gradient of each pixel (H, W), as shares of the whole, and the layer of whose output."""
    draws = torch.Generator().manual_seed(seed)
    dtype = next((one.dtype for one in module.parameters() if one.is_floating_point()), torch.float32)
    x = torch.randn((images, *read.input[1:]), generator=draws).to(device, dtype)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    if not _has_statistics(module):
        _calibrate(module, x)
    module.eval()
    candidates = [one for one in reversed(read.layers) if one.positions]
    with _outputs(module) as outputs:
        module(x.requires_grad_().clone())
    layer = next((one for one in candidates if _is_map(outputs.get(one.name), one)), None)
    if layer is None:
        raise MeasureError(f"{read.model}: expected a module that gives the last map, found none to take a gradient of")
    output = outputs[layer.name]
    signs = torch.randint(0, 2, output.shape[:2], generator=draws).to(output) * 2 - 1
    row, column = (side // 2 for side in output.shape[2:])
    (gradient,) = torch.autograd.grad((output[:, :, row, column] * signs).sum(), x)
    squares = gradient.double().square().mean((0, 1))
    if not torch.isfinite(squares).all() or not squares.sum() > 0:
        raise MeasureError(f"{read.model}: the gradient of {layer.name} is zero or not finite: nothing to measure")
    return squares / squares.sum(), layer


def _is_map(output: Any, layer: LayerField) -> bool:
    return isinstance(output, Tensor) and output.requires_grad and tuple(output.shape[1:]) == layer.output[1:]


def _calibrate(module: nn.Module, x: Tensor) -> None:
    """Set the statistics of every BN to those of these inputs, as a network in training has them."""
    norms = _norms(module)
    module.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        module(x)


@contextmanager
def _outputs(module: nn.Module) -> Iterator[dict[str, Any]]:
    """Collect what each module gives, by name; of several calls the last."""
    found: dict[str, Any] = {}
    hooks = [
        one.register_forward_hook(lambda _, __, output, name=name: found.update({name: output}))
        for name, one in module.named_modules()
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _centre(layer: LayerField, shape: tuple[int, ...]) -> tuple[int, int]:
    """Find the pixel in the middle of what the centre of a map sees."""
    row, column = (
        min(max(side // 2 * span.stride + (span.low + span.high) // 2, 0), whole - 1)
        for side, span, whole in zip(layer.output[2:], layer.window or (), shape[2:], strict=True)
    )
    return row, column


def _side(shares: Tensor, centre: tuple[int, int]) -> int:
    """Find the side of the least square around the centre with ``MASS`` of the whole."""
    (height, width), (row, column) = shares.shape, centre
    distance = torch.maximum(
        (torch.arange(height) - row).abs()[:, None].expand(height, width),
        (torch.arange(width) - column).abs()[None].expand(height, width),
    )
    rings = torch.zeros(int(distance.max()) + 1, dtype=shares.dtype)
    rings.index_add_(0, distance.flatten(), shares.flatten())
    reach = int((rings.cumsum(0) < MASS).sum())
    return 2 * min(reach, len(rings) - 1) + 1


def _cells(shares: Tensor) -> tuple[tuple[float, ...], ...]:
    """Sum the shares of pixels in cells of equal sides, of which there are not too many."""
    step = -(-max(shares.shape) // CELLS)
    rows = [part.sum(0) for part in torch.split(shares, step)]
    return tuple(tuple(float(cell.sum()) for cell in torch.split(row, step)) for row in rows)
