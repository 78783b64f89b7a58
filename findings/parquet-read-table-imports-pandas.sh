#!/usr/bin/env bash
# pyarrow 26.0.1 beside pandas 2.3.3: a Parquet file is read into Arrow's own table, and nothing of pandas is asked for.
#
# Expected: pandas is imported by to_pandas alone.
# Seen:     pyarrow.parquet.read_table, pyarrow.array of a list and pyarrow.Schema.empty_table import pandas where it is
#           installed: a quarter of a second and some 50 MB. pyarrow.parquet.ParquetFile.read and Array.from_buffers do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 pandas==2.3.3
cd "$folder"
venv/bin/python -c 'import pyarrow, pyarrow.parquet; pyarrow.parquet.write_table(pyarrow.table({"n": [1, 2]}), "a.parquet")'
ask() {  # what is done, and whether pandas is there afterwards
    venv/bin/python -c "
import resource, sys
import pyarrow, pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
$1
more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(f'{\"pandas\" in sys.modules!s:5} {more:3.0f} MiB more', '''$1''')
sys.exit(('pandas' in sys.modules) != $2)"
}
ask 'pyarrow.parquet.read_table("a.parquet")' True
ask 'pyarrow.array([1, 2])' True
ask 'pyarrow.schema([("n", pyarrow.int64())]).empty_table()' True
ask 'pyarrow.parquet.ParquetFile("a.parquet").read()' False
ask 'pyarrow.Array.from_buffers(pyarrow.int64(), 2, [None, pyarrow.py_buffer(bytes(16))])' False
