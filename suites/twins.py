"""Count the twins of the catalog's networks: those of the same name in torchvision, or where it has none, in timm.

    python suites/twins.py > tests/golden/twins.csv

Printed are parameters and MACs as the tracer counts them on the meta device, and a checksum of what each layer that
has MACs holds and takes: parameters and MACs, in ascending order. With names, only these are counted.
"""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import torch

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from zoos import AS, twin

from resbench.arch.catalog import architecture, entries
from resbench.arch.rows import Row
from resbench.costs.trace import trace

FIELDS = ("network", "twin", "params", "macs", "layers")


def checksum(rows: Iterable[Row]) -> str:
    """What layers hold and take, whatever they are called."""
    return f"{crc32(repr(sorted((row.params, row.macs) for row in rows if row.macs)).encode()):08x}"


def main() -> None:
    torch.set_num_threads(1)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(FIELDS)
    for name in sys.argv[1:] or entries():
        found = None if "{" in name else twin(name)
        if found:
            source, make = found
            report = trace(make(), (1, *architecture(name).input))
            table.writerow((AS.get(name, name), source, report.params, report.macs, checksum(report.layers)))


if __name__ == "__main__":
    main()
