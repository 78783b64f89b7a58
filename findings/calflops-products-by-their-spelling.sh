#!/usr/bin/env bash
# calflops 0.3.2 beside torch 2.13.0: one product of matrices, written in six ways.
#
# Expected: the 12,288 multiply-accumulates of it for each, and twice as many for attention, or a name for what was
#           passed over.
# Seen:     12,288 for torch.matmul(x, y) and x.matmul(y), and 0 for x @ y, torch.bmm and scaled dot product attention,
#           without a word. torch.einsum has FLOPs, 24,580 (4 more than twice the product's), and 0 MACs; so has
#           nn.LSTM FLOPs and 0 MACs. Convolutions are right, grouped and transposed ones too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 calflops==0.3.2 transformers==5.23.0 accelerate==1.15.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from calflops import calculate_flops
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    def __init__(self, call, *layers):
        super().__init__()
        self.call, self.layers, self.weight = call, nn.ModuleList(layers), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.call(x, *self.layers)


def count(call, *layers):
    found = calculate_flops(Net(call, *layers), (1, 3, 16, 16), print_results=False, output_as_string=False)
    return found[:2]


product = 3 * 16 * 16 * 16
for what, found, wanted in (
    ("torch.matmul(x, x)", count(lambda x: torch.matmul(x, x)), (2 * product, product)),
    ("x.matmul(x)", count(lambda x: x.matmul(x)), (2 * product, product)),
    ("x @ x", count(lambda x: x @ x), (0, 0)),
    ("torch.bmm(x[0], x[0])", count(lambda x: torch.bmm(x[0], x[0])), (0, 0)),
    ("attention", count(lambda x: functional.scaled_dot_product_attention(x, x, x)), (0, 0)),
    ("torch.einsum", count(lambda x: torch.einsum("bchw,bcwv->bchv", x, x)), (2 * product + 4, 0)),
    ("nn.LSTM", count(lambda x, lstm: lstm(x[0])[0], nn.LSTM(16, 8, batch_first=True)), (77_568, 0)),
    (
        "nn.ConvTranspose2d",
        count(lambda x, layer: layer(x), nn.ConvTranspose2d(3, 4, 3, stride=2, bias=False)),
        (2 * 27_648, 27_648),
    ),
):
    print(f"{what}: FLOPs, MACs {found}")
    assert found == wanted
PYTHON
