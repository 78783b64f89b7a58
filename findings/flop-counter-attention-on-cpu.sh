#!/usr/bin/env bash
# torch 2.13.0 on an x86 CPU, FlopCounterMode: attention and grouped products.
#
# Expected: scaled_dot_product_attention of 4 heads, 64 positions and width 8 is 2 * 2 * 4 * 64 * 64 * 8 operations
#           wherever it runs, since the counter has formulas for attention; a grouped product is that of its rows.
# Seen:     on the CPU attention is 0, with and without gradients: the kernel for CPUs
#           (_scaled_dot_product_flash_attention_for_cpu) has no formula, those of GPUs have; on the meta device and with
#           the plain kernel (SDPBackend.MATH) it is counted. grouped_mm is 0 too, and does not run on the meta device
#           in float32, which the CPU takes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import grouped_mm, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode


def flops(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


heads = torch.randn(1, 4, 64, 8)
rows, weights = torch.randn(16, 32), torch.randn(4, 32, 64)
ends = torch.tensor([4, 8, 12, 16], dtype=torch.int32)
learned = heads.clone().requires_grad_()
with sdpa_kernel(SDPBackend.MATH):
    plain = flops(lambda: scaled_dot_product_attention(heads, heads, heads))
with torch.no_grad():
    bare = flops(lambda: scaled_dot_product_attention(heads, heads, heads))
seen = {
    "plain kernel": plain,
    "cpu": flops(lambda: scaled_dot_product_attention(learned, learned, learned)),
    "cpu, without gradients": bare,
    "grouped_mm": flops(lambda: grouped_mm(rows, weights, offs=ends)),
}
for name, value in seen.items():
    print(f"{name}: {value}")
assert seen == {"plain kernel": 2 * 2 * 4 * 64 * 64 * 8, "cpu": 0, "cpu, without gradients": 0, "grouped_mm": 0}, seen
try:
    grouped_mm(rows.to("meta"), weights.to("meta"), offs=ends.to("meta"))
    raise SystemExit("grouped_mm runs on the meta device in float32")
except RuntimeError as error:
    print(f"grouped_mm on meta: {error}")
    assert "BF16" in str(error), error
PYTHON
