#!/usr/bin/env bash
# torch 2.13.0: a compiled module, called once while FlopCounterMode (or any TorchDispatchMode) is on.
#
# Expected: that one call runs eagerly, or is compiled anew; the calls after it run the compiled code as before.
# Seen:     no call after it runs compiled code again, also where compiled code was there and warm: the module stays
#           eager for the rest of the process. The one warning speaks of hooks that fire twice, not of this. torch.compile
#           of the same module again does not help; torch._dynamo.reset() does. Who counts first and times then, in one
#           process, times the eager module.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from torch.utils.flop_counter import FlopCounterMode

runs = 0


def backend(graph, inputs):
    def compiled(*values):
        global runs
        runs += 1
        return graph.forward(*values)

    return compiled


def after(calls):
    global runs
    before = runs
    for call in calls:
        call(image)
    return runs - before


net, image = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()), torch.randn(2, 4)
compiled = torch.compile(net, backend=backend)
warm = after([compiled, compiled])
with FlopCounterMode(display=False) as counter:
    counted = after([compiled])
assert counter.get_total_flops() == 2 * 2 * 4 * 4
behind = after([compiled, compiled])
again = after([torch.compile(net, backend=backend)] * 2)
torch._dynamo.reset()
reset = after([compiled, compiled])
print(f"compiled runs of two calls: {warm} before, {counted} of the one counted, {behind} after it,")
print(f"{again} when compiled again, {reset} after torch._dynamo.reset()")
assert (warm, counted, behind, again, reset) == (2, 0, 0, 0, 2)
PYTHON
