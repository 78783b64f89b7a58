"""These statistics tell what a network with frozen BN does to small changes of its input.

They are checkpoint statistics: they need passes of their own, over a copy of the model.
"""

import copy
from collections.abc import Mapping
from math import nan
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from resbench.errors import MeasureError
from resbench.gradients.trunk import blocks, hooked
from resbench.workers.switches import unfused

POINTS = 48
"""The line between two images has so many points."""

PROBES = 8
POWER_STEPS, SETTLED = 200, 1e-4
"""Power iteration ends when a step changes the mean by less than this part of it."""


@torch.no_grad()
def frozen(model: nn.Module, x: Tensor) -> nn.Module:
    """Return a copy in which every BN normalises by the statistics of this batch, whatever it is given.

    Raises MeasureError where the copy shares weights with the model, which is to go on as it is.
    """
    still = copy.deepcopy(model)
    own = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    if any(id(tensor) in own for tensor in (*still.parameters(), *still.buffers())):
        raise MeasureError(f"a copy of {type(model).__name__} shares weights with it: expected one that shares none")
    for module in still.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum, module.track_running_stats = 1.0, True
            if module.running_mean is None:
                module.register_buffer("running_mean", x.new_zeros(module.num_features))
                module.register_buffer("running_var", x.new_ones(module.num_features))
    still.train()(x)
    return still.eval().requires_grad_(False)


def logits(output: Any) -> list[Tensor]:
    """Return the output of a classifier, and those of its auxiliary heads, which have its shape.

    The ``logits`` of a dictionary or an object come first, else the first tensor of several. Raises MeasureError where
    there is none.
    """
    values = [output] if isinstance(output, Tensor) else output
    if not isinstance(values, (tuple, list)):
        fields = output if isinstance(output, Mapping) else getattr(output, "__dict__", {})
        values = [value for _, value in sorted(fields.items(), key=lambda item: item[0] != "logits")]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        raise MeasureError(f"expected logits, received {type(output).__name__} without a tensor")
    return [tensors[0], *(value for value in tensors[1:] if value.shape == tensors[0].shape)]


def shattering(still: nn.Module, a: Tensor, b: Tensor, seed: int = 0) -> dict[str, float]:
    """Measure how the gradient of the output by the input changes on the line from image ``a`` to image ``b``.

    The output is one number: a random direction, the same at every point, of the logits. ``c1``: mean cosine of
    the gradients of successive points (Balduzzi et al. 2017: 0 for white noise, near 1 where the network is smooth).
    ``effective_rank``: ||G||_F^2 / ||G||_2^2 of all of them, from 1 to 48. Where a gradient is zero there is neither.
    """
    steps = torch.linspace(0, 1, POINTS, dtype=a.dtype, device=a.device).view(-1, *(1 for _ in a.shape))
    line = torch.lerp(a, b, steps).requires_grad_()
    outputs = logits(still(line))[0].flatten(1)
    draw = torch.Generator().manual_seed(seed)
    direction = torch.randn(outputs.shape[1], generator=draw, dtype=torch.float64).to(outputs)
    (gradients,) = torch.autograd.grad((outputs @ direction).sum(), line)
    rows = gradients.flatten(1).double()
    sizes = rows.norm(dim=1, keepdim=True)
    if not sizes.all():
        return {}
    if not rows.isfinite().all():
        return {"c1": nan, "effective_rank": nan}
    unit = rows / sizes
    spectrum = torch.linalg.eigvalsh(rows @ rows.T)
    return {
        "c1": float((unit[1:] * unit[:-1]).sum(1).mean()),
        "effective_rank": float(spectrum.sum() / spectrum[-1]),
    }


def jacobians(still: nn.Module, x: Tensor, seed: int = 0) -> dict[str, dict[str, float]]:
    """Estimate the Jacobian dy/dx of every block, as means over the images.

    ``sigma_max`` is its largest singular value, by power iteration; ``energy`` is ||dy/dx||_F^2 / n for n inputs, by
    Hutchinson's estimate over random signs.
    """
    inputs = _inputs(still, x)
    draw = torch.Generator("cpu").manual_seed(seed)  # the CPU's, for the same draws on every device
    with unfused(), sdpa_kernel(SDPBackend.MATH):  # the others have no forward derivative
        return {name: _jacobian(block, inputs[name], draw) for name, block in blocks(still) if name in inputs}


def _inputs(still: nn.Module, x: Tensor) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, args: Any) -> None:
        if args and isinstance(args[0], Tensor):
            found[name] = args[0].clone()

    with torch.no_grad(), hooked(blocks(still), nn.Module.register_forward_pre_hook, keep):
        still(x)
    return found


def _jacobian(block: nn.Module, x: Tensor, draw: torch.Generator) -> dict[str, float]:
    y, back = torch.func.vjp(block, x)  # type: ignore[misc]

    def signs(shape: torch.Size) -> Tensor:
        return torch.randint(0, 2, shape, generator=draw, device="cpu").to(x) * 2 - 1

    squares = [back(signs(y.shape))[0].flatten(1).square().sum(1).mean() for _ in range(PROBES)]
    v, largest = _unit(signs(x.shape)), 0.0
    for _ in range(POWER_STEPS):
        _, u = torch.func.jvp(block, (x,), (v,))  # type: ignore[misc]
        before, largest = largest, float(u.flatten(1).norm(dim=1).mean())
        if abs(largest - before) <= SETTLED * largest:
            break
        v = _unit(back(u)[0])
    return {
        "sigma_max": largest,
        "energy": float(torch.stack(squares).mean()) / x[0].numel(),
    }


def _unit(v: Tensor) -> Tensor:
    sizes: Tensor = torch.linalg.vector_norm(v.flatten(1), dim=1).clamp_min(torch.finfo(v.dtype).tiny)
    return v / sizes.view(-1, *(1 for _ in v.shape[1:]))
