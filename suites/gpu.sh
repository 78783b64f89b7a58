#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one go: the tests marked cuda, then the suites, with the machine that ran them.
#   bash suites/gpu.sh [DIRECTORY]      default results/<name of the GPU>
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" -c 'import torch; print(torch.cuda.get_device_name(0).split()[-1].lower() if torch.cuda.is_available() else "")')
[ -n "$gpu" ] || { echo "expected an NVIDIA GPU that torch sees; found none; \`resbench doctor\` says why" >&2; exit 2; }
out=${1:-results/$gpu}
mkdir -p "$out"
{ echo "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"; nvidia-smi --query-gpu=name,driver_version,power.limit --format=csv,noheader; } > "$out/machine.txt"
"$python" -m resbench doctor --format markdown >> "$out/machine.txt"
"$python" -m pytest -m cuda -p no:cacheprovider 2>&1 | tee "$out/test-cuda.txt"
"$python" -m pytest suites --benchmark-enable --benchmark-only --benchmark-json "$out/suites.json" -s 2>&1 | tee "$out/suites.txt"
gzip -9 -f "$out/suites.json"
