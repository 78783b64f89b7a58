#!/usr/bin/env bash
# torch 2.13.0: what native_batch_norm gives besides its output, on the meta device (and so under FakeTensorMode) and on
# a CPU, in evaluation.
#
# Expected: the same shapes and types: that is what the meta device is for.
# Seen:     on a CPU no element is kept for the backward pass, on the meta device mean and deviation of every channel; of a
#           bfloat16 input they are float32 there, bfloat16 on the CPU. A memory estimate made on the meta device counts
#           two vectors a layer that are not there. In training the shapes agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import torch


def kept(device, dtype, training):
    vector = torch.ones(8, dtype=dtype, device=device)
    x = torch.ones(2, 8, 5, 3, dtype=dtype, device=device)
    _, mean, deviation = torch.ops.aten.native_batch_norm(x, vector, vector, vector.clone(), vector.clone(), training, 0.1, 1e-5)
    assert mean.shape == deviation.shape and mean.dtype == deviation.dtype
    return mean.numel(), mean.dtype


seen = {}
for training in (False, True):
    for dtype in (torch.float32, torch.bfloat16):
        seen[training, dtype] = kept("cpu", dtype, training), kept("meta", dtype, training)
        print(f"training {training}, {dtype}: on a CPU {seen[training, dtype][0]}, on meta {seen[training, dtype][1]}")
f32, bf16 = torch.float32, torch.bfloat16
assert seen[False, f32] == ((0, f32), (8, f32)) and seen[True, f32] == ((8, f32), (8, f32))
assert seen[False, bf16] == ((0, bf16), (8, f32)) and seen[True, bf16] == ((8, bf16), (8, f32))
PYTHON
