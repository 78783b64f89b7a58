#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU: the tests marked cuda, the tables, the suites, and the machine that ran them.
#   bash suites/gpu.sh [DIRECTORY [PART...]]    DIRECTORY: results/<name of the GPU>; PART: tests tables closure agreement gradients gate training fig6
# The last two want CIFAR-10: RESBENCH_CIFAR10=DIR; without it they use digits, and fig6 is left out.
# Each part takes some minutes; all of them one after the other are the default.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" -c 'import torch; print(torch.cuda.get_device_name(0).split()[-1].lower() if torch.cuda.is_available() else "")')
[ -n "$gpu" ] || { echo "expected an NVIDIA GPU that torch sees; found none; \`resbench doctor\` says why" >&2; exit 2; }
out=${1:-results/$gpu}
shift || true
mkdir -p "$out"
{ echo "commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"; nvidia-smi --query-gpu=name,driver_version,power.limit --format=csv,noheader; } > "$out/machine.txt"
"$python" -m resbench doctor --format markdown >> "$out/machine.txt"

resbench() { echo "\$ resbench $*"; "$python" -m resbench "$@" && echo; }

suite() {  # name, selection
    "$python" -m pytest suites -p no:cacheprovider --benchmark-enable --benchmark-only -s -k "$2" \
        --benchmark-columns=min,median,iqr,rounds --benchmark-json "$out/$1.json" 2>&1 | tee "$out/$1.txt"
    gzip -9 -f "$out/$1.json"
}

for part in "${@:-tests tables closure agreement gradients gate training fig6}"; do for part in $part; do case $part in
    tests) "$python" -m pytest -m cuda -p no:cacheprovider 2>&1 | tee "$out/test-cuda.txt" ;;
    tables)
        {
            for dtype in fp32 tf32 bf16; do
                resbench latency plain34 resnet18 resnet34 resnet50 googlenet vgg16 --device cuda --dtype $dtype --batch 1,32 --processes 3
            done
            resbench latency resnet50 --device cuda --dtype bf16 --memory-format channels_last --batch 32 --mode training --layers
            resbench latency resnet50 preact_resnet50 --device cuda --batch 32 --mode training --memory
            resbench compare conv1x1 conv3x3 --metrics macs,latency --device cuda --batch 32
            resbench compare conv5x5_direct conv5x5_reduced --metrics macs,latency --device cuda --batch 32
        } 2>&1 | tee "$out/tables.txt"
        ;;
    closure) suite closure "test_closure and cuda" ;;
    agreement) suite agreement "test_agreement and (cuda or triton)" ;;
    gradients)
        {
            resbench gradflow plain56 resnet56 --device cuda
            resbench gradflow plain110 resnet110 preact_resnet110 --device cuda --steps 0
        } 2>&1 | tee "$out/gradflow.txt"
        suite gradients "(test_probe or test_command) and cuda"
        ;;
    gate)  # expectations, the same counters again, and the same code on both sides
        {
            resbench gate --suite suites/cuda.toml --update
            for again in 1 2 3 4 5; do resbench gate --suite suites/cuda.toml --counters; done
            mkdir -p /tmp/resbench-same/base /tmp/resbench-same/head
            for side in base head; do cp -r resbench suites pyproject.toml "/tmp/resbench-same/$side"; done
            resbench gate /tmp/resbench-same/base /tmp/resbench-same/head --suite suites/cuda.toml --time-budget 4m \
                --raw "$PWD/$out/gate.json.gz"
        } 2>&1 | tee "$out/gate.txt" || true
        ;;
    training)
        { resbench degradation --device cuda --seeds 5 --dir "$(mktemp -d)"; } 2>&1 | tee "$out/degradation.txt"
        { resbench claims --device cuda --dir "$(mktemp -d)"; } 2>&1 | tee "$out/claims.txt"
        suite training "(test_epochs and cuda) or test_graph"
        ;;
    fig6) [ -z "${RESBENCH_CIFAR10:-}" ] || PYTHON=$python bash suites/fig6.sh "$RESBENCH_CIFAR10" ;;
    *) echo "expected tests, tables, closure, agreement, gradients, gate, training or fig6; received $part" >&2; exit 2 ;;
esac; done; done
