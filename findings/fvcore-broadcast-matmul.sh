#!/usr/bin/env bash
# fvcore 0.1.5.post20221221 beside torch 2.13.0: a matrix product whose second operand has the larger batch.
#
# Expected: n k m for each matrix of the result, whichever side the batch comes from.
# Seen:     the batch of the first operand alone: a third of the products here, without a warning. Equal batches, and a
#           batch on the first side, are right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 fvcore==0.1.5.post20221221
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn


class Product(nn.Module):
    def __init__(self, other):
        super().__init__()
        self.other = other

    def forward(self, x):
        return x @ self.other


shares = []
for one, other in (((3, 8, 4), (4, 5)), ((3, 8, 4), (3, 4, 5)), ((8, 4), (3, 4, 5)), ((2, 1, 8, 4), (3, 4, 5))):
    x, y = torch.randn(one), torch.randn(other)
    right = (x @ y).numel() * one[-1]
    found = FlopCountAnalysis(Product(y), (x,))
    shares.append(found.total() / right)
    print(f"{one} @ {other}: {right} products, counted {found.total()}, unsupported {dict(found.unsupported_ops())}")
    assert not found.unsupported_ops()
assert shares == [1, 1, 1 / 3, 1 / 3], shares
PYTHON
