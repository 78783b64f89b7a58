#!/usr/bin/env bash
# pyarrow 26.0.1, polars 2.1.0: a Parquet file that another process replaces whole, by os.replace, as a table that grows.
#
# Expected: os.replace is atomic, so each read sees the rows of before or those of now.
# Seen:     pyarrow.parquet.read_table and polars.read_parquet raise now and then (corrupt metadata, a page of the wrong
#           size): both open the file by its name more than once, and put the schema or footer of one version beside the
#           pages of the next. pyarrow.parquet.ParquetFile, which opens it once, reads whole versions alone.
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

READERS = {
    "pyarrow.parquet.ParquetFile": lambda name: pyarrow.parquet.ParquetFile(name).read()["n"].to_pylist(),
    "pyarrow.parquet.read_table": lambda name: pyarrow.parquet.read_table(name)["n"].to_pylist(),
    "polars.read_parquet": lambda name: polars.read_parquet(name)["n"].to_list(),
}
writer = subprocess.Popen([sys.executable, "writer.py"])
told = {}
try:
    while not os.path.exists("table.parquet"):
        time.sleep(0.01)
    for name, read in READERS.items():
        whole, raised, end = 0, [], time.monotonic() + 40
        while time.monotonic() < end and not (raised and "File" not in name):
            try:
                values = read("table.parquet")
                assert set(values) == {len(values)}
                whole += 1
            except (OSError, polars.exceptions.PolarsError) as error:
                raised.append(f"{type(error).__name__}: {str(error).splitlines()[0]}")
        told[name] = whole, raised
        print(f"{name}: {whole} reads of one version each, then {raised or 'nothing raised'}")
finally:
    writer.kill()
whole, raised = told["pyarrow.parquet.ParquetFile"]
assert whole > 50 and not raised
assert all(told[name][1] for name in READERS if "File" not in name), told
PYTHON
venv/bin/python reader.py
