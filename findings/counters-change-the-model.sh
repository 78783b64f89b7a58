#!/usr/bin/env bash
# thop 0.1.1.post2209072238, ptflops 0.7.5, torchinfo 1.8.0, torchprofile 0.1.0 beside torch 2.13.0: a model in training
# whose last BatchNorm is frozen (in eval mode), before and after its operations are counted once.
#
# Expected: ptflops leaves the model in eval mode; the others leave it as it was.
# Seen:     none leaves it so. thop and torchinfo set every module to training, the frozen BatchNorm too, so that
#           its statistics move in the next step; thop also leaves two buffers, total_ops and total_params, in the state
#           dict. ptflops leaves everything in eval mode; its backend "pytorch" also leaves four methods and a counter on
#           the model, its backend "aten" a hook before and one behind every module. torchprofile moves the running
#           statistics of every BatchNorm in training mode.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 \
    thop==0.1.1.post2209072238 ptflops==0.7.5 torchinfo==1.8.0 torchprofile==0.1.0
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import contextlib
import io

import ptflops
import thop
import torch
import torchinfo
import torchprofile
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.frozen, self.fc = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.frozen(self.bn(self.conv(x)).relu()).mean((2, 3)))


def state(model):
    modules = dict(model.named_modules())
    return {
        "mode": {name: module.training for name, module in modules.items()},
        "state dict": {name: value.tolist() for name, value in model.state_dict().items()},
        "hooks": {name: len(m._forward_hooks) + len(m._forward_pre_hooks) for name, m in modules.items()},
        "attributes": {name: sorted(vars(module)) for name, module in modules.items()},
    }


def changes(count):
    model = Net().train()
    model.frozen.eval()
    before = state(model)
    with contextlib.redirect_stdout(io.StringIO()):
        count(model)
    after = state(model)
    found = {}
    for what in before:
        names = {*before[what], *after[what]}
        differ = sorted(name for name in names if before[what].get(name) != after[what].get(name))
        if differ:
            found[what] = differ
    if "attributes" in found:
        found["attributes"] = sorted({*after["attributes"][""]} - {*before["attributes"][""]})
    return found


def flops_of(backend):
    return lambda model: ptflops.get_model_complexity_info(
        model, (3, 16, 16), as_strings=False, print_per_layer_stat=False, backend=backend
    )


images = torch.zeros(2, 3, 16, 16)
seen = {
    "thop": changes(lambda model: thop.profile(model, inputs=(images,), verbose=False)),
    "torchinfo": changes(lambda model: torchinfo.summary(model, (2, 3, 16, 16), verbose=0)),
    "ptflops, aten": changes(flops_of("aten")),
    "ptflops, pytorch": changes(flops_of("pytorch")),
    "torchprofile": changes(lambda model: torchprofile.profile_macs(model, images)),
}
for name, found in seen.items():
    print(name, found)
everything_but_frozen = ["", "bn", "conv", "fc"]
assert seen == {
    "thop": {"mode": ["frozen"], "state dict": ["total_ops", "total_params"]},
    "torchinfo": {"mode": ["frozen"]},
    "ptflops, aten": {"mode": everything_but_frozen, "hooks": ["bn", "conv", "fc", "frozen"]},
    "ptflops, pytorch": {
        "mode": everything_but_frozen,
        "attributes": ["__batch_counter__", "compute_average_flops_cost", "reset_flops_count", "start_flops_count",
                       "stop_flops_count"],
    },
    "torchprofile": {"state dict": ["bn.num_batches_tracked", "bn.running_mean", "bn.running_var"]},
}
PYTHON
