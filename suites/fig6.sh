#!/usr/bin/env bash
# Figure 6 of He et al. 2015: plain and residual networks of 20 to 56 layers, and ResNet-110, 64,000 iterations of CIFAR-10 each.
#   bash suites/fig6.sh DATA_ROOT [SECONDS]    stops after SECONDS (480); the same command goes on until it says that it is done
# An NVIDIA GPU is used where torch sees one. EPOCHS, SEEDS and MODELS in the environment make it shorter or longer.
set -euo pipefail
root=${1:?expected the folder that holds CIFAR-10}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" suites/gpu_name.py)
out=results/${gpu:-cpu}
mkdir -p "$out"
models=${MODELS:-plain20 plain32 plain44 plain56 resnet20 resnet32 resnet44 resnet56 resnet110}
command=(degradation $models --data cifar10 --data-root "$root" --dir runs/fig6 --device "$([ -n "$gpu" ] && echo cuda || echo cpu)"
    --seeds "${SEEDS:-1}" ${EPOCHS:+--epochs "$EPOCHS"})
plot=()
"$python" -c "import vl_convert" 2>/dev/null && plot=(--plot "$out/fig6.svg")
status=0
timeout --signal INT "${2:-480}" "$python" -m resbench "${command[@]}" -o "$out/fig6.json" ${plot[@]+"${plot[@]}"} || status=$?
if [ $status -ne 0 ]; then
    echo "not done yet (exit $status): the same command goes on from here" >&2
    exit $status
fi
{ echo "\$ resbench ${command[*]}" | sed "s#$root#DIR#"; "$python" -m resbench "${command[@]}"; } > "$out/fig6.txt"
gzip -9 -f "$out/fig6.json"
echo "done: $out/fig6.txt, ${plot[@]:+fig6.svg, }fig6.json.gz"
