"""Two networks side by side in several runtimes, a pair and batch at a time, and where their order turns round.

    python suites/runtimes.py --dir results/cpu/runtimes [--minutes M] > results/cpu/runtimes.txt

What is measured lies in DIR as JSON, a file a pair and batch; the same command goes on where it was, and begins no
further one when the minutes are up. Prints the table of what is there. The two networks of a pair take turns in all
runtimes, so what is said of their order is free of what the machine's speed did from turn to turn.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import cast

import resbench
from resbench.errors import Failures
from resbench.tables.render import render
from resbench.timing.latency.orders import SAME, panels, turned
from resbench.timing.latency.result import Latencies, Latency
from resbench.timing.latency.table import latency_table

PAIRS = (
    *(("resnet18", "googlenet"), ("resnet50", "densenet121"), ("mobilenet_v2", "shufflenet_v2_x1_0")),
    *(("preact_resnet50", "inception_v3"), ("efficientnet_b0", "regnet_y_400mf"), ("convnext_tiny", "vgg11")),
)
RUNTIMES = ("eager", "compile", "aot", "onnxruntime", "openvino")
BATCHES = (1, 16)
PROCESSES = 3


def main() -> None:
    """Measure what is missing, and print what is there."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dir", type=Path, required=True)
    options.add_argument("--minutes", type=float, default=1e9)
    options.add_argument("--runtimes", default=",".join(RUNTIMES))
    given = options.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + 60 * given.minutes
    for batch in BATCHES:
        for pair in PAIRS:
            path = given.dir / f"{'-'.join(pair)}-{batch}.json.gz"
            if not path.exists() and time.monotonic() < end:
                failures = Failures([*pair])
                found = resbench.latency(
                    [*pair], batch=batch, runtime=given.runtimes.split(","), processes=PROCESSES, failures=failures
                )
                if found.interrupted:
                    sys.exit("interrupted; the same command goes on from here")
                found.save(path)
                print(f"{' '.join(pair)}, batch {batch}: {failures.reasons or 'done'}", file=sys.stderr)
    results = [cast(Latencies, resbench.load(path)) for path in sorted(given.dir.glob("*.json.gz"))]
    if not results:
        sys.exit("nothing is measured yet")
    order = {name: i for i, name in enumerate(name for pair in PAIRS for name in pair)}
    results.sort(key=lambda one: (one.latencies[0].setup.batch, order[one.latencies[0].model]))
    latencies = [one for result in results for one in result.latencies]
    runtimes = dict.fromkeys(one.setup.runtime for one in latencies)
    print(f"{' '.join(runtimes)}; {PROCESSES} processes a row; {platform.machine()}\n")
    print(summary(latencies), end="\n\n")
    for result in results:
        batch = result.latencies[0].setup.batch
        for line in (line for times in panels(result.figures()).values() for line in turned(times)):
            print(f"Batch {batch}: {line}")
    whole = Latencies(tuple(latencies), results[0].roofs, results[0].environment)
    of_pairs = (SAME, " is faster than ")  # networks of several calls took no turns
    print("\n" + "\n".join(note for note in latency_table(whole).notes if not any(one in note for one in of_pairs)))
    print("\n" + render(whole.tables()[1], "table"))


def summary(latencies: list[Latency]) -> str:
    """Return a line for each network and batch: the medians with half of their 95 % intervals, in milliseconds."""
    runtimes = list(dict.fromkeys(one.setup.runtime for one in latencies))
    lines = [f"{'network':20} {'batch':>5}" + "".join(f"{name:>18}" for name in runtimes)]
    for key in dict.fromkeys((one.model, one.setup.batch) for one in latencies):
        cells = {one.setup.runtime: one for one in latencies if (one.model, one.setup.batch) == key}
        lines.append(f"{key[0]:20} {key[1]:>5}" + "".join(f"{_cell(cells.get(name)):>18}" for name in runtimes))
    return "\n".join(lines)


def _cell(one: Latency | None) -> str:
    if one is None:
        return "failed"
    half = f" +- {1e3 * one.half_width_s:.1f}" if one.half_width_s is not None else ""
    return f"{1e3 * one.median_s:.1f}{half}"


if __name__ == "__main__":
    main()
