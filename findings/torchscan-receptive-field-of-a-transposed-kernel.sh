#!/usr/bin/env bash
# torchscan 0.2.0 beside torch 2.13.0: the receptive field of single layers, as `crawl_module` tells it.
#
# Expected: an output of a transposed convolution of 3x3 and stride 1 sees 3 positions of its input a side, one of 2x2
#           and stride 2 sees 1; of a kernel of 3x7 either both sides are told, or the longer, or that it is not known.
# Seen:     a transposed kernel of k sees -k, and a kernel of 3x7 sees 3 (one of 7x3 sees 7); each is "complete". What
#           it does not know, such as nn.Upsample, it says to be "unavailable".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 torchscan==0.2.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
from torch import nn
from torchscan import crawl_module


def seen(layer):
    crawled = crawl_module(nn.Sequential(layer), (3, 32, 32))
    found = crawled["layers"][1]["metrics"]["receptive_field"]
    return found["value"], found["status"]


for layer, wanted in (
    (nn.ConvTranspose2d(3, 4, 3), (-3, "complete")),
    (nn.ConvTranspose2d(3, 4, 2, stride=2), (-2, "complete")),
    (nn.ConvTranspose2d(3, 4, 4, stride=2), (-4, "complete")),
    (nn.Conv2d(3, 4, (3, 7)), (3, "complete")),
    (nn.Conv2d(3, 4, (7, 3)), (7, "complete")),
    (nn.Conv2d(3, 4, 3, dilation=4), (9, "complete")),
    (nn.Upsample(scale_factor=2), (None, "unavailable")),
):
    print(layer, *seen(layer))
    assert seen(layer) == wanted
PYTHON
