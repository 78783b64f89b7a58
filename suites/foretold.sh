#!/usr/bin/env bash
# What foretells the error that a network of `residual` ends with, before its first step: figures, proxies, verdicts.
#   bash suites/foretold.sh [SECONDS [DATA_ROOT]]    stops after SECONDS (480); the same command goes on until it says that it is done
# On digits at 16x16, networks below 10 million MACs, 8 epochs; with DATA_ROOT, the folder of CIFAR-10, at 3x32x32 below 100
# million, 30 epochs, on an NVIDIA GPU where torch sees one. N, SEEDS and PROCESSES in the environment make it shorter or longer.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
[ -x .venv/bin/python ] && python=${PYTHON:-.venv/bin/python}
gpu=$("$python" suites/gpu_name.py)
where=$([ -n "$gpu" ] && echo cuda || echo cpu)
metrics=field,gradient,synflow,naswot,gradnorm,error
if [ -n "${2:-}" ]; then
    out=results/${gpu:-cpu}/sweep_cifar10
    space=suites/residual_cifar.toml
    how=(--limit macs=:100M --epochs 30 --data cifar10 --data-root "$2")
else
    out=results/sweep/residual
    space=residual
    how=(--limit macs=:10M --epochs 8)
fi
command=(sweep "$space" -n "${N:-200}" --seeds "${SEEDS:-2}" --metrics "$metrics" "${how[@]}" --device "$where"
    --processes "${PROCESSES:-2}" --dir "$out")
mkdir -p "$(dirname "$out")"
status=0
timeout --signal INT "${1:-480}" "$python" -m resbench "${command[@]}" > /dev/null || status=$?
said="resbench ${command[*]}"
{
    echo "\$ ${said/${2:-nowhere}/DIR}"
    [ $status -eq 0 ] || echo "# not done yet: the rows so far"
    echo "\$ resbench sweep $space --dir $out --report --target error"
    "$python" -m resbench sweep "$space" --dir "$out" --report --target error --plot "$out.svg" -o "$out.json"
    "$python" -m resbench sweep "$space" --dir "$out" --report --target error
} > "$out.txt"
gzip -9nf "$out.json"
rm -f "$out.data.csv"
[ $status -eq 0 ] && echo "done: $out.txt" || { echo "not done yet (exit $status): the same command goes on from here" >&2; exit $status; }
