#!/usr/bin/env bash
# What a nightly job would have stored of the gate's suite: bash suites/nights.sh COMMIT ...
# Each commit's own tree runs its own suite; all runs go to results/history. Nothing else should run meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-$PWD/.venv/bin/python}
for commit in "${@:-none}"; do
    git rev-parse --quiet --verify "$commit^{commit}" > /dev/null ||
        { echo "expected commits, received $commit; \`git log --oneline\` shows them" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'git worktree remove --force "$folder/tree" 2> /dev/null || true; rm -rf "$folder"' EXIT
night=0
for commit in "$@"; do
    night=$((night + 1))
    git worktree add --detach --quiet "$folder/tree" "$commit"
    (
        cd "$folder/tree"
        PYTHONPATH=$PWD "$python" -m pytest -p no:cacheprovider suites/bench_gate.py --benchmark-enable \
            --benchmark-json "$folder/$(printf %03d "$night").json" > "$folder/said" || { cat "$folder/said"; exit 1; }
    )
    git worktree remove --force "$folder/tree"
    echo "night $night of $#: $commit" >&2
done
"$python" -m resbench history "$folder"/*.json --format csv > /dev/null
