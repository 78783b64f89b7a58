#!/usr/bin/env bash
# torch 2.13.0: module.compile() in place beside torch.compile(module), with a backend that counts its runs.
#
# Expected: both compile the same, and copy.deepcopy of either is compiled too.
# Seen:     nn.Sequential(...).compile() of torch's own layers compiles nothing: no graph is ever made, nothing is said.
#           torch.compile of the same model makes one. A class of one's own is compiled either way. And a deep copy of what
#           was compiled in place runs eagerly, while one of what torch.compile gave runs compiled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import copy

import torch
from torch import nn

runs = 0


def backend(graph, inputs):
    def compiled(*values):
        global runs
        runs += 1
        return graph.forward(*values)

    return compiled


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x).relu()


def runs_of(model):
    before = runs
    for _ in range(2):
        model(torch.zeros(2, 4))
    return runs - before


seen = {}
for name, make in (("Sequential", lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU())), ("a class of one's own", Own)):
    for way in ("torch.compile(model)", "model.compile()"):
        torch._dynamo.reset()
        model = make()
        if way == "model.compile()":
            model.compile(backend=backend)
        else:
            model = torch.compile(model, backend=backend)
        seen[name, way] = runs_of(model), runs_of(copy.deepcopy(model))
        print(f"{name}, {way}: compiled runs of two calls {seen[name, way][0]}, of a deep copy {seen[name, way][1]}")
assert list(seen.values()) == [(2, 2), (0, 0), (2, 2), (2, 0)], seen
PYTHON
