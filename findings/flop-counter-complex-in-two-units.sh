#!/usr/bin/env bash
# torch 2.13.0, FlopCounterMode: complex products.
#
# Expected: one unit for all, either complex multiply-accumulates or the four real ones that each of them is.
# Seen:     a matrix product is counted in complex multiply-accumulates (as many as the real one of the same shape), a
#           convolution in real ones, and three to a complex one: torch takes it apart into three real convolutions
#           before the counter sees it. A 1x1 convolution and the linear layer that it is differ by a factor of three.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def flops(layer, x):
    with FlopCounterMode(display=False) as counter:
        y = layer(x)
    return counter.get_total_flops(), y


seen = {}
for dtype in (torch.float32, torch.complex64):
    convolution = nn.Conv2d(8, 5, 1, bias=False, dtype=dtype)
    linear = nn.Linear(8, 5, bias=False, dtype=dtype)
    linear.weight.data = convolution.weight.data.flatten(1)
    image = torch.randn(1, 8, 6, 6, dtype=dtype)
    of_convolution, y = flops(convolution, image)
    of_linear, z = flops(linear, image.movedim(1, -1))
    torch.testing.assert_close(y, z.movedim(-1, 1))
    seen[str(dtype)] = of_convolution, of_linear
    print(f"{dtype}: 1x1 convolution {of_convolution}, the same as a linear layer {of_linear}")
plain = 2 * 36 * 8 * 5
assert seen == {"torch.float32": (plain, plain), "torch.complex64": (3 * plain, plain)}, seen
PYTHON
