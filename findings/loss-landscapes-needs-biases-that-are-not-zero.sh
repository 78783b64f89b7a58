#!/usr/bin/env bash
# loss-landscapes 3.0.6, torch 2.13.0: a filter-normalised plane of a network with batch normalisation, as torch makes it.
#
# Expected: BN's bias begins at 0, so its part of the direction has length 0 (Li et al. 2018 leave BN and biases out).
# Seen:     random_plane(normalization="filter") raises ZeroDivisionError: it divides by the length of each entry of the
#           bias of the point itself, which multiplies a direction that was drawn. With biases of any other number it runs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 loss-landscapes==3.0.6
cat > "$folder/plane.py" << 'PYTHON'
import loss_landscapes
import torch
from loss_landscapes.metrics import Loss
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
metric = Loss(nn.CrossEntropyLoss(), torch.randn(8, 3, 8, 8), torch.randint(0, 5, (8,)))


def plane():
    with torch.no_grad():
        return loss_landscapes.random_plane(net, metric, 1, 3, normalization="filter", deepcopy_model=True)


try:
    plane()
    told = "a plane"
except ZeroDivisionError as error:
    told = f"ZeroDivisionError: {error}"
print(f"BN's bias as torch makes it, {net[1].bias.tolist()}: {told}")
assert told.startswith("ZeroDivisionError"), "this has changed"
nn.init.constant_(net[1].bias, 0.01)
print(f"and of 0.01: a plane of {plane().shape}")
PYTHON
"$folder/venv/bin/python" "$folder/plane.py"
