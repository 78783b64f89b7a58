#!/usr/bin/env bash
# transformers 5.23.0 beside torch 2.13.0: a forward that is asked for its hidden states.
#
# Expected: what a forward needs to record them is gone when it returns.
# Seen:     the first such forward puts hooks on the model, and they stay, also for the forwards that ask for nothing. Who
#           counts hooks, copies or serialises the model, or runs it once to measure it, has another model afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 transformers==5.23.0
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from transformers import BertConfig, BertModel

config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=50)
model = BertModel(config).eval()
tokens = torch.zeros(1, 4, dtype=torch.long)


def hooks():
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


seen = [hooks()]
for asked in ({}, {"output_hidden_states": True}, {}):
    with torch.no_grad():
        model(tokens, **asked)
    seen.append(hooks())
print(f"hooks: {seen[0]} at first, {seen[1]} after a forward, {seen[2]} after one for hidden states, {seen[3]} after another")
assert seen[:2] == [0, 0] and seen[2] > 0 and seen[3] == seen[2], seen
PYTHON
