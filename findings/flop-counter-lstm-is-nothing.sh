#!/usr/bin/env bash
# torch 2.13.0 on an x86 CPU, FlopCounterMode: recurrent layers and some products.
#
# Expected: of an LSTM 4/3 of what a GRU of the same sizes has (four gates for three); of addbmm and baddbmm the same.
# Seen:     an LSTM is 0, forward and backward, beside a GRU that is counted to the last operation: the CPU runs an LSTM
#           as one oneDNN operator (mkldnn_rnn_layer) that has no formula. addbmm is 0 where baddbmm is counted, mv and
#           dot are 0 where mm is counted. Nothing is said of it: what has no formula is passed over without a word.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def flops(run, backward=False):
    with FlopCounterMode(display=False) as counter:
        output = run()
        if backward:
            output[0].sum().backward()
    return counter.get_total_flops()


steps, width = 5, 8
sequence = torch.randn(steps, 1, width)
gate = 2 * steps * 2 * width * width
lstm, gru = nn.LSTM(width, width), nn.GRU(width, width)
a, b = torch.randn(4, 3, 5), torch.randn(4, 5, 6)
seen = {
    "gru": flops(lambda: gru(sequence)),
    "lstm": flops(lambda: lstm(sequence)),
    "lstm, forward and backward": flops(lambda: lstm(sequence), backward=True),
    "baddbmm": flops(lambda: torch.baddbmm(torch.zeros(4, 3, 6), a, b)),
    "addbmm": flops(lambda: torch.addbmm(torch.zeros(3, 6), a, b)),
    "mm": flops(lambda: torch.mm(a[0], b[0])),
    "mv": flops(lambda: torch.mv(a[0], b[0, :, 0])),
    "dot": flops(lambda: torch.dot(a[0, 0], a[0, 1])),
}
for name, value in seen.items():
    print(f"{name}: {value}")
assert seen == {
    "gru": 3 * gate, "lstm": 0, "lstm, forward and backward": 0,
    "baddbmm": 2 * 4 * 3 * 5 * 6, "addbmm": 0, "mm": 2 * 3 * 5 * 6, "mv": 0, "dot": 0,
}, seen
PYTHON
