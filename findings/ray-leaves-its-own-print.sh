#!/usr/bin/env bash
# ray 2.60.0: a local cluster that is started and shut down, and what `print` is afterwards.
#
# Expected: after ray.shutdown() the process is as before ray.init().
# Seen:     builtins.print is ray.experimental.tqdm_ray.safe_print from then on, for all code of the process; the import of
#           ray does not change it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ray==2.60.0
"$folder/venv/bin/python" - 2> "$folder/stderr" << 'PYTHON'
import builtins

own = builtins.print
import ray

own("after the import:", builtins.print is own)
ray.init(address="local", num_cpus=1, include_dashboard=False)
ray.shutdown()
left = f"{builtins.print.__module__}.{builtins.print.__name__}"
own("after init and shutdown:", left)
assert left == "ray.experimental.tqdm_ray.safe_print", left
PYTHON
