#!/usr/bin/env bash
# fvcore 0.1.5.post20221221 beside torch 2.13.0: a convolution whose padding is a word.
#
# Expected: padding="valid" counts as padding=0, and padding="same" of a 3x3 as padding=1.
# Seen:     0 for both, in one and two dimensions; the operator (aten::_convolution_mode) is listed as unsupported. A
#           network that writes its padding so has no convolution in fvcore's total.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 fvcore==0.1.5.post20221221
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn


def count(layer, *shape):
    found = FlopCountAnalysis(layer.eval(), torch.randn(shape))
    found.unsupported_ops_warnings(False)
    return found.total(), dict(found.unsupported_ops())


for kind, shape in ((nn.Conv1d, (1, 3, 16)), (nn.Conv2d, (1, 3, 16, 16))):
    for number, word in ((0, "valid"), (1, "same")):
        counted, named = count(kind(3, 4, 3, padding=number), *shape)
        passed_over, unsupported = count(kind(3, 4, 3, padding=word), *shape)
        print(f"{kind.__name__}: padding={number} {counted}, padding={word!r} {passed_over} {unsupported}")
        assert counted > 0 and not named
        assert passed_over == 0 and unsupported == {"aten::_convolution_mode": 1}
PYTHON
