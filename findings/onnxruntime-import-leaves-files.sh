#!/usr/bin/env bash
# onnxruntime 1.32.0 on Linux: what `import onnxruntime` alone leaves on the disk.
#
# Expected: nothing, or what the Privacy.md of the package says: telemetry is on in official builds, with a "persistent
#           device identifier"; ORT_DISABLE_TELEMETRY=1 before the import turns it off.
# Seen:     three files, of which Privacy.md names none: deviceid (the same in the next process) and onnxruntime.db, which
#           holds an event with the interpreter's path, below Microsoft/DeveloperTools in the user's cache folder, and .ses in
#           the temporary folder; and a second thread. disable_telemetry_events() behind the import comes too late for
#           all of it. With the variable set there is no file and no thread.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" << 'PYTHON'
import os
import subprocess
import sys
from pathlib import Path

THREADS = "import os, onnxruntime; print(len(os.listdir('/proc/self/task')))"


def left(name, code, **more):
    place = Path(sys.argv[1], name)
    (place / "tmp").mkdir(parents=True, exist_ok=True)
    own = {"HOME": place / "home", "XDG_CACHE_HOME": place / "cache", "TMPDIR": place / "tmp", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {name: str(value) for name, value in (own | more).items()}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    files = {str(file.relative_to(place)): file.read_bytes() for file in sorted(place.rglob("*")) if file.is_file()}
    return said.stdout.strip(), files


kept = "cache/Microsoft/DeveloperTools/.onnxruntime/"
written = [f"{kept}deviceid", f"{kept}onnxruntime.db", "tmp/.ses"]
threads, files = left("plain", THREADS)
print(f"import onnxruntime: {threads} threads, {', '.join(files)}")
assert (threads, [*files]) == ("2", written), (threads, files)
assert b"venv/bin/python" in files[written[1]], "the event in the database names the interpreter"
_, again = left("plain", THREADS)
assert again[written[0]] == files[written[0]], "the identifier stays"
_, late = left("late", "import onnxruntime; onnxruntime.disable_telemetry_events()")
print(f"disable_telemetry_events() behind it: {', '.join(late)}")
assert [*late] == written, late
threads, none = left("off", THREADS, ORT_DISABLE_TELEMETRY="1")
print(f"ORT_DISABLE_TELEMETRY=1 before it: {threads} thread, files: {', '.join(none) or 'none'}")
assert (threads, none) == ("1", {}), (threads, none)
PYTHON
