#!/usr/bin/env bash
# Does the picture of Li et al. 2018 appear, with which spread, and under which treatment of BN?
#   bash suites/landscape.sh [SECONDS [DATA_ROOT]]    stops after SECONDS (480); the same command goes on until it says that it is done
# Trainings of plain-20, plain-56, ResNet-20 and ResNet-56, each along filter-normalised directions of its own. On digits at
# 16x16: five seeds, 25 x 25 points over 256 images, half an hour of two cores. With DATA_ROOT, the folder of CIFAR-10, on an
# NVIDIA GPU where torch sees one: one seed, 51 x 51 points over 10,000 images. SEEDS and POINTS make it shorter or longer.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" suites/gpu_name.py)
end=$(($(date +%s) + ${1:-480}))
if [ -n "${2:-}" ]; then
    out=results/${gpu:-cpu}/landscape_cifar10
    how=(--points "${POINTS:-51}" --images 10000 --epochs 30 --data cifar10 --data-root "$2" --device "$([ -n "$gpu" ] && echo cuda || echo cpu)")
    seeds=${SEEDS:-1}
else
    out=results/landscape
    how=(--points "${POINTS:-25}" --images 256)
    seeds=${SEEDS:-5}
fi
mkdir -p "$out"
for bn in recompute eval train; do
    command=(landscape plain20 plain56 resnet20 resnet56 --bn "$bn" "${how[@]}" --seeds)
    status=0
    timeout --signal INT $((end > $(date +%s) ? end - $(date +%s) : 1)) "$python" -m resbench "${command[@]}" "$seeds" -o "$out/$bn.json" || status=$?
    [ $status -eq 0 ] || { echo "not done yet (exit $status): the same command goes on from here" >&2; exit $status; }
    said="\$ resbench ${command[*]} $seeds"
    {
        echo "${said/${2:-nowhere}/DIR}"
        "$python" -m resbench "${command[@]}" "$seeds"
    } > "$out/$bn.txt" 2> /dev/null
    "$python" -m resbench "${command[@]}" 1 --plot "$out/$bn.svg" > /dev/null 2>&1 # of the first seed alone
    gzip -9nf "$out/$bn.json"
    rm -f "$out/$bn.data.csv"
done
echo "done: $out"
