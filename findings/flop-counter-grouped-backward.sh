#!/usr/bin/env bash
# torch 2.13.0, torch.utils.flop_counter.FlopCounterMode: the backward pass of a grouped convolution.
#
# Expected: twice the forward pass (the gradients of input and weight), whatever the number of groups.
# Seen:     1 + groups times the forward pass: 2, 3, 5, 9 times for 1, 2, 4, 8 groups. A depthwise network's training
#           cost is therefore far too high. The forward pass is right, and so is the backward pass with one group.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - << 'PYTHON'
import torch
from torch.utils.flop_counter import FlopCounterMode

seen = {}
for groups in (1, 2, 4, 8):
    layer = torch.nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False)
    image = torch.randn(1, 8, 16, 16, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        output = layer(image)
        forward = counter.get_total_flops()
        output.sum().backward()
    assert forward == 2 * 8 * 16 * 16 * (8 // groups) * 9
    seen[groups] = (counter.get_total_flops() - forward) / forward
    print(f"{groups} groups: forward {forward}, backward {seen[groups]:g} times that")
assert seen == {1: 2, 2: 3, 4: 5, 8: 9}, seen
PYTHON
