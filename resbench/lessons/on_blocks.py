"""These claims are about a block, and are tried in float64 on the block itself."""

from typing import Any

import torch
from torch import Tensor, nn

from resbench.lessons.lab import CONDITION, HOLDS, WRONG, Answer, Lab
from resbench.networks.build import build
from resbench.networks.modules import Add


def identity(lab: Lab) -> Answer:
    """Claim 2: measure how far block(x) is from x, with all convolutions zero."""
    x = torch.randn(2, 64, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    pre, original = (_without_weights(name) for name in ("preact_basic_block", "basic_block"))
    far = {
        "pre": _distance(pre, x),
        "positive": _distance(original, x.abs()),
        "any": _distance(original, x),
    }
    for module in original.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
    far["beta"] = _distance(original, x.abs())
    right = far["pre"] == far["positive"] == 0 < min(far["any"], far["beta"])
    return Answer(
        CONDITION if right else HOLDS if not any(far.values()) else WRONG,
        f"largest |block(x) - x|: pre-activation {far['pre']:g}; original {far['positive']:g} for x >= 0, "
        f"{far['any']:.2f} for any x, {far['beta']:g} with beta = 1",
    )


def _without_weights(name: str) -> nn.Module:
    block = build(name).double()
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    return block


@torch.no_grad()
def _distance(block: nn.Module, x: Tensor) -> float:
    return max(float((block.train(training)(x.clone()) - x).abs().max()) for training in (True, False))


def gradient_of_the_sum(lab: Lab) -> Answer:
    """Claim 3: compute dE/dx_l - dE/dx_L - d(sum of F)/dx_l dE/dx_L over one stage, relative to the first."""
    names = {
        "pre-activation": "resnet20,order=full-preact",
        "original": "resnet20",
        "shortcuts scaled by 0.5": "resnet20,order=full-preact,shortcut=scaling",
    }
    defects = {what: sum_defect(name) for what, name in names.items()}
    exact, *others = defects.values()
    right = exact < 1e-12 and min(others) > 1e-2
    figures = ", ".join(f"{what} {defect:.1e}" for what, defect in defects.items())
    return Answer(CONDITION if right else WRONG, f"what is left over, of the gradient at x_l: {figures}")


def sum_defect(name: str) -> float:
    """Return the defect of the third stage's units behind the first one, whose shortcut changes shape."""
    stage = build(name).double().get_submodule("layer3")
    units = nn.Sequential(*list(stage.children())[1:])
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 64, 8, 8, dtype=torch.float64, generator=draw).requires_grad_()
    y, branches = with_branches(units, x)
    g = torch.randn(y.shape, dtype=torch.float64, generator=draw)
    (whole,) = torch.autograd.grad(y, x, g, retain_graph=True)
    (residual,) = torch.autograd.grad(torch.stack([(branch * g).sum() for branch in branches]).sum(), x)
    return float((whole - g - residual).norm() / whole.norm())


def with_branches(net: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the output for x, and what every branch adds, in running order; the network is not used again."""
    branches: list[Tensor] = []

    def keep(module: nn.Module, operands: tuple[Any, ...]) -> None:
        branches.append(operands[0].clone())  # the sum is written over the branch

    for module in net.modules():
        if isinstance(module, Add):
            module.register_forward_pre_hook(keep)
    return net(x), branches
