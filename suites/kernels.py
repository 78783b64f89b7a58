"""How well kernels are mapped back to modules: networks in ONNX Runtime, OpenVINO and compiled, one after the other.

    python suites/kernels.py --dir results/cpu/kernels [--minutes M] > results/cpu/kernels.txt

Each line has the kernels of a network, whether every MAC is in exactly one row, which shares of the instrumented run
the added and unmapped rows have and what passes between kernels, what the rows sum to, and what instrumenting costs.
What is measured lies in DIR; the same command goes on where it was, and begins no further one when the time is up.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import cast

import resbench
from resbench.errors import ResbenchError
from resbench.timing.layers.result import BETWEEN, NOWHERE, Layers
from resbench.workers.medians import tenths

NETWORKS = (
    *("resnet18", "resnet50", "preact_resnet50", "googlenet", "inception_v3", "densenet121", "mobilenet_v2"),
    *("efficientnet_b0", "shufflenet_v2_x1_0", "convnext_tiny"),
)
RUNTIMES = ("onnxruntime", "openvino", "compile")


def main() -> None:
    """Measure what is missing, and print a line for each that is there."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dir", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=1e9)
    given = options.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * given.minutes
    for runtime in RUNTIMES:
        for name in NETWORKS:
            path = given.dir / f"{name}-{runtime}.json.gz"
            if not path.exists() and time.monotonic() < end:
                try:
                    found = resbench.layers(name, runtime=runtime)
                    if found.interrupted:
                        sys.exit("interrupted; the same command goes on from here")
                    found.save(path)
                except ResbenchError as error:
                    print(error, file=sys.stderr)
    print(
        f"{'network':20} {'runtime':12} kernels  MACs in one row each   added  unmapped  between  sum     instrumented"
    )
    machines: dict[str, None] = {}
    for runtime in RUNTIMES:
        for name in NETWORKS:
            path = given.dir / f"{name}-{runtime}.json.gz"
            if path.exists():
                found = cast(Layers, resbench.load(path))
                print(f"{name:20} {runtime:12} {line(found)}")
                machines[f"{found.environment.note} {found.environment.volatile.get('resbench')}"] = None
    print("", *machines, sep="\n")


def line(found: Layers) -> str:
    """Say how well one network is mapped."""
    times = found.times
    shares = {
        word: sum(row.forward_s for row in times.rows if row.type.endswith(word)) / times.total_s
        for word in ("added", "unmapped")
    }
    between = next(row.forward_s for row in times.rows if row.name == BETWEEN) / times.total_s
    mapped = sum(row.macs for row in times.rows if row.type != NOWHERE)
    macs = resbench.flops(found.model).costs[0].macs
    low, high = tenths(times.overheads)
    return (
        f"{len(times.rows) - 1:7}  {mapped:14,} {'all' if mapped == macs else f'of {macs:,}':7} "
        f"{shares['added']:6.2%}  {shares['unmapped']:8.2%}  {between:7.2%}  {1 - times.residual:.2%} "
        f"{times.overhead:+7.2%} ({low:+.1%} to {high:+.1%}, n {len(times.overheads)})"
    )


if __name__ == "__main__":
    main()
