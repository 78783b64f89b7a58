#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in some 20 minutes; figure 6 takes longer than all the rest.
#   [PROCESSES=2] [BUDGET=4m] bash suites/gpu.sh [DIRECTORY [PART...]]    DIRECTORY: results/<name of the GPU>
# The parts, one after the other:
#   checks    what reads no clock, side by side: the tests, the counters (written, and counted again), gradients, trainings, claims
#   latency   of networks, of the layers and the memory of one
#   suites    closure of the layers, agreement with two other timers, the probe's cost, epochs by hand and from a graph
#   duel      the gate with the same code on both sides
#   lessons   the pairs of the notes
#   landscape 51 x 51 points around four networks on CIFAR-10, where RESBENCH_CIFAR10 says where it lies; goes on after four minutes
#   fig6      where RESBENCH_CIFAR10=DIR holds CIFAR-10; without it the suites train on digits
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" suites/gpu_name.py)
[ -n "$gpu" ] || { echo "expected an NVIDIA GPU that torch sees; found none; \`resbench doctor\` says why" >&2; exit 2; }
out=${1:-results/$gpu}
shift || true
mkdir -p "$out"
scratch=$(mktemp -d)
trap 'jobs -p | xargs -r kill 2>/dev/null; rm -rf "$scratch"' EXIT
{ echo "commit ${COMMIT:-$(git rev-parse --short HEAD 2>/dev/null || echo unknown)}"; nvidia-smi --query-gpu=name,driver_version,power.limit --format=csv,noheader; } > "$out/machine.txt"
"$python" -m resbench doctor --format markdown >> "$out/machine.txt"

resbench() { echo "\$ resbench $*"; "$python" -m resbench "$@" && echo; }

suite() {  # name, selection
    local options=(-p no:cacheprovider --benchmark-enable --benchmark-only -s -k "$2" --benchmark-columns=min,median,iqr,rounds)
    echo "\$ pytest suites --benchmark-enable --benchmark-only -s -k '$2'"
    "$python" -m pytest suites "${options[@]}" --benchmark-json "$out/$1.json"
    gzip -9 -f "$out/$1.json"
}

counters() {
    resbench gate --suite suites/cuda.toml --update
    for _ in 1 2 3; do resbench gate --suite suites/cuda.toml --counters; done
}

gradients() {
    resbench gradflow plain56 resnet56 --device cuda
    resbench gradflow plain110 resnet110 preact_resnet110 --device cuda --steps 0
}

networks() {
    resbench latency resnet18 resnet34 resnet50 googlenet vgg16 --device cuda --dtype bf16 --memory-format channels_last --batch 32 --processes "${PROCESSES:-2}"
    resbench latency resnet50 --device cuda --dtype bf16 --memory-format channels_last --batch 32 --mode training --layers
    resbench latency resnet50 preact_resnet50 --device cuda --batch 32 --mode training --memory
}

timers() {
    suite closure "test_closure and cuda and resnet50 and bf16 and not preact"
    suite agreement "(test_agreement and cuda or triton) and bottleneck_block and bf16"
    suite gradients "test_probe and cuda"
    suite training "(test_epochs and cuda) or test_graph"
}

duel() {
    for side in base head; do mkdir "$scratch/$side" && cp -r resbench suites pyproject.toml "$scratch/$side"; done
    resbench gate "$scratch/base" "$scratch/head" --suite suites/cuda.toml --time-budget "${BUDGET:-4m}" --raw "$out/gate.json.gz" || true
}

lessons() {
    resbench compare conv1x1 conv3x3 --metrics macs,latency --device cuda --batch 32
    resbench compare conv5x5_direct conv5x5_reduced --metrics macs,latency --device cuda --batch 32
}

beside() {  # name, command: in the background on one thread, its output in a file
    local name=$1 start=$SECONDS
    shift
    {
        set +e
        ( set -e; export OMP_NUM_THREADS=1; "$@" ) > "$out/$name.txt" 2>&1
        local status=$?
        echo "$name: exit $status, $((SECONDS - start)) s; $out/$name.txt"
        [ $status -eq 0 ] || echo "$name" >> "$scratch/failed"
    } &
}

for part in "${@:-checks latency suites duel lessons landscape fig6}"; do for part in $part; do case $part in
    checks)
        beside test-cuda "$python" -m pytest -m cuda tests/cuda -p no:cacheprovider --numprocesses 4 --dist worksteal
        beside counters counters
        beside gradflow gradients
        beside degradation resbench degradation --device cuda --seeds 5 --dir "$scratch/degradation"
        beside claims resbench claims --device cuda --dir "$scratch/claims"
        wait
        ;;
    latency) networks 2>&1 | tee "$out/latency.txt" ;;
    suites) timers 2>&1 | tee "$out/suites.txt" ;;
    duel) duel 2>&1 | tee "$out/duel.txt" ;;
    lessons) lessons 2>&1 | tee "$out/lessons.txt" ;;
    landscape) [ -z "${RESBENCH_CIFAR10:-}" ] || PYTHON=$python bash suites/landscape.sh 240 "$RESBENCH_CIFAR10" ;;
    fig6) [ -z "${RESBENCH_CIFAR10:-}" ] || PYTHON=$python bash suites/fig6.sh "$RESBENCH_CIFAR10" ;;
    *) echo "expected checks, latency, suites, duel, lessons, landscape or fig6; received $part" >&2; exit 2 ;;
esac; done; done
if [ -e "$scratch/failed" ]; then
    echo "failed: $(paste -sd ' ' "$scratch/failed")" >&2
    exit 1
fi
