#!/usr/bin/env bash
# torch 2.13.0: gradients through torch.cond where nothing is compiled.
#
# Expected: torch.cond gives the same gradients under torch.compiler.set_stance("force_eager") as it does without, or
#           says that it cannot.
# Seen:     weights that a branch merely encloses are lost: the result does not require a gradient, without a word. Where
#           the input requires one, the forward raises an AssertionError that speaks of fake tensors.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - << 'PYTHON'
import torch
from torch import nn


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: self.linear(x), lambda x: self.linear(x) + 1, (x,))


def gradient(stance, learned_input):
    torch.manual_seed(0)
    model, x = Branching(), torch.randn(2, 8, requires_grad=learned_input)
    with torch.compiler.set_stance(stance):
        try:
            output = model(x)
        except AssertionError as error:
            return f"AssertionError: {str(error)[:40]}"
    if not output.requires_grad:
        return "none is recorded"
    output.sum().backward()
    return tuple(model.linear.weight.grad.shape)


seen = {
    (stance, learned): gradient(stance, learned)
    for stance in ("default", "force_eager")
    for learned in (False, True)
}
for (stance, learned), what in seen.items():
    print(f"{stance}, {'learned input' if learned else 'plain input'}: {what}")
assert seen == {
    ("default", False): (8, 8), ("default", True): (8, 8),
    ("force_eager", False): "none is recorded",
    ("force_eager", True): "AssertionError: Please convert all Tensors to FakeTensor",
}, seen
PYTHON
