#!/usr/bin/env bash
# polars 2.1.0: read_parquet of a file that another process replaces by os.replace, as a table that grows is kept whole.
#
# Expected: as with any reader that opens the file once, each read sees the rows of before or those of now.
# Seen:     a read now and then raises a ComputeError (a page, or the footer, is not where it should be): the file is opened
#           more than once, so its first part is of one version and the rest of the next. pyarrow 26.0.1 reads thousands in
#           the same time, every one of them whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q polars==2.1.0 pyarrow==26.0.1
cd "$folder"
cat > writer.py << 'PYTHON'
import os

import pyarrow
import pyarrow.parquet

tables = []
for rows in (2_000, 30_000):
    columns = {f"c{i}": [f"{i} {j % 97}" for j in range(rows)] for i in range(12)}
    tables.append(pyarrow.table({"n": [rows] * rows, **columns}))
while True:
    for table in tables:
        pyarrow.parquet.write_table(table, "writing", compression="zstd")
        os.replace("writing", "table.parquet")
PYTHON
cat > reader.py << 'PYTHON'
import os
import subprocess
import sys
import time

import polars
import pyarrow.parquet

writer = subprocess.Popen([sys.executable, "writer.py"])
try:
    while not os.path.exists("table.parquet"):
        time.sleep(0.01)
    told = {}
    for name, read in (("pyarrow", pyarrow.parquet.read_table), ("polars", polars.read_parquet)):
        whole, raised, end = 0, {}, time.monotonic() + 40
        while time.monotonic() < end and not (name == "polars" and raised):
            try:
                table = read("table.parquet")
                rows = len(table)
                assert set(table["n"].to_pylist() if name == "pyarrow" else table["n"].to_list()) == {rows}
                whole += 1
            except polars.exceptions.PolarsError as error:
                raised[type(error).__name__] = str(error).splitlines()[0]
        told[name] = whole, raised
        print(f"{name}: {whole} reads of one version each, raised {raised or 'nothing'}")
finally:
    writer.kill()
assert told["pyarrow"][0] > 50 and not told["pyarrow"][1], told
assert "ComputeError" in told["polars"][1], told
PYTHON
venv/bin/python reader.py
