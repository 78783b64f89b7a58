#!/usr/bin/env bash
# torch 2.13.0, FlopCounterMode: a sparse matrix times a dense one, the same product in four spellings.
#
# Expected: one figure for all, by the stored elements (8 of 64) or by the full shape, or nothing for each.
# Seen:     torch.sparse.mm and torch.sparse.addmm count nothing, a @ b and torch.mm count all 64 elements as if the
#           matrix were dense, whether it is stored by coordinates or by rows. The stored elements are counted by none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch
from torch.utils.flop_counter import FlopCounterMode

a, b, zero = torch.eye(8).to_sparse(), torch.randn(8, 5), torch.zeros(8, 5)
rows = a.to_sparse_csr()
spellings = {
    "torch.sparse.mm(a, b)": lambda: torch.sparse.mm(a, b),
    "torch.sparse.addmm(zero, a, b)": lambda: torch.sparse.addmm(zero, a, b),
    "torch.mm(a, b)": lambda: torch.mm(a, b),
    "a @ b": lambda: a @ b,
    "a.to_sparse_csr() @ b": lambda: rows @ b,
}
seen = {}
for name, product in spellings.items():
    with FlopCounterMode(display=False) as counter:
        assert torch.equal(product(), b)
    seen[name] = counter.get_total_flops()
    print(f"{name}: {seen[name]}")
assert list(seen.values()) == [0, 0, 2 * 64 * 5, 2 * 64 * 5, 2 * 64 * 5], seen
PYTHON
