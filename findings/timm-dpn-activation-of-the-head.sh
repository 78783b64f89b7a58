#!/usr/bin/env bash
# timm 1.0.31 (torch 2.13.0): the activation of a DPN's head.
#
# Expected: DPN(fc_act_layer="elu"), its default and that of the original, ends in ELU; another name gives another.
# Seen:     it ends in ReLU whatever is asked for: norm_layer already is a partial with act_layer="relu", and asking
#           get_norm_act_layer for another activation of that keeps the first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/pip" install -q --no-deps timm==1.0.31 torchvision==0.28.0 huggingface_hub==0.36.0 safetensors==0.7.0 pyyaml pillow
"$folder/venv/bin/pip" install -q 'huggingface_hub==0.36.0'
"$folder/venv/bin/python" - << 'PYTHON'
import torch

try:
    import torchvision
except RuntimeError:  # its extension is of another build of torch: the operators that it declares are declared here
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import timm
from timm.models.dpn import DPN

seen = {}
for asked in ("elu", "gelu", "relu"):
    model = DPN(k_sec=(1, 1, 1, 1), fc_act_layer=asked)
    seen[asked] = type(model.features.conv5_bn_ac.bn.act).__name__
    print(f"asked for {asked}: {seen[asked]}")
print("timm", timm.__version__, "dpn68:", timm.create_model("dpn68").features.conv5_bn_ac.bn.act)
assert set(seen.values()) == {"ReLU"}, seen
PYTHON
