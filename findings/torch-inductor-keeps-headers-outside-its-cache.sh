#!/usr/bin/env bash
# torch 2.13.0: `torch.compile` on a CPU with TORCHINDUCTOR_CACHE_DIR.
#
# Expected: everything that the compiler keeps lies in the folder that the variable names.
# Seen:     its precompiled headers, 149 MB after one small network, lie in torchinductor_USER of the temporary folder all the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6 setuptools==80.9.0
mkdir "$folder/temporary"
TMPDIR=$folder/temporary TORCHINDUCTOR_CACHE_DIR=$folder/cache "$folder/venv/bin/python" -W ignore - << 'PYTHON'
import torch

torch.compile(torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()))(torch.randn(2, 8))
PYTHON
du -sm "$folder/cache" "$folder/temporary"
find "$folder/temporary" -name "*.gch" | grep -q precompiled_headers
test -n "$(find "$folder/cache" -name "*.so")"
test -z "$(find "$folder/cache" -name "*.gch")"
