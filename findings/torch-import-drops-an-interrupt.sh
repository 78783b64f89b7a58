#!/usr/bin/env bash
# torch 2.13.0: Ctrl-C while `import torch` is at importing numpy.
#
# Expected: KeyboardInterrupt, as everywhere else in that import.
# Seen:     nothing is raised and nothing is printed: torch is imported, and the program goes on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy==2.4.6
cat > "$folder/interrupted.py" << 'PYTHON'
import os
import signal
import sys


class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
try:
    import torch

    print("imported", torch.__version__)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
PYTHON
for name in torch.utils torch.nn numpy numpy.linalg; do
    echo "$name: $("$folder/venv/bin/python" "$folder/interrupted.py" $name 2>&1)"
done | tee "$folder/seen"
grep -c ": KeyboardInterrupt$" "$folder/seen" | grep -qx 2
grep -c "^numpy.*: imported 2.13.0" "$folder/seen" | grep -qx 2
