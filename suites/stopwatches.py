"""The seconds of a run in ONNX Runtime and OpenVINO, beside a bare loop, torch's Timer and OpenVINO's benchmark_app.

    python suites/stopwatches.py --dir DIR [NETWORK...] > results/cpu/stopwatches.txt

For each network, batch and runtime one process loads the exported file once, and times the same run in turn by the
stopwatch of resbench, by a loop of ``perf_counter`` around the runtime's own call, and by torch's ``Timer``, each first
in a third of the rounds; a round gives the ratios of its medians, and a cell is the median of its rounds. Timer is
asked for single runs, for of several it tells the mean. benchmark_app runs in a process of its own, one thread and one
stream, in turn with runs of ours on one thread. Medians over the cells, with their quartiles, stand at the end.
What is measured lies in DIR, a file for each cell; the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from torch.utils.benchmark import Timer

from resbench.files import write
from resbench.timing.case import Case
from resbench.timing.runtimes.exporting import exported
from resbench.timing.runtimes.runtime import Conditions, runtime
from resbench.timing.runtimes.serving import INPUTS, values, watch
from resbench.workers.workload import Setup

NETWORKS = (
    *("resnet18", "mobilenet_v2", "shufflenet_v2_x1_0", "squeezenet1_0", "resnet20", "plain56"),
    *("googlenet", "efficientnet_b0", "densenet121", "preact_resnet110", "mnasnet1_0", "regnet_y_400mf"),
)
BATCHES = (1, 4)
ROUNDS, EACH_S = 12, 0.15
APP_S = 1


def main() -> None:
    """Measure what is missing, print a line for each cell, and the medians over them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("networks", nargs="*", default=NETWORKS)
    options.add_argument("--dir", type=Path, required=True)
    given = options.parse_args()
    given.dir.mkdir(parents=True, exist_ok=True)
    ratios: dict[str, list[float]] = {"a bare loop": [], "torch.utils.benchmark": [], "benchmark_app": []}
    for name in given.networks:
        for batch in BATCHES:
            for which in ("onnxruntime", "openvino"):
                path = given.dir / f"{name}-{batch}-{which}.json"
                if not path.exists():
                    write(path, json.dumps(measured(name, batch, which)) + "\n")
                found = json.loads(path.read_text())
                print(
                    f"{name:20} {batch:3} {which:12}",
                    *(f"{key} {value:.3f}" for key, value in found.items()),
                    flush=True,
                )
                for key, value in found.items():
                    ratios[key].append(value)
    for key, several in ratios.items():
        low, middle, high = quantiles(several, n=4)
        print(f"resbench / {key}: median {middle:.3f} (quartiles {low:.3f} to {high:.3f}, n {len(several)})")


def measured(name: str, batch: int, which: str) -> dict[str, float]:
    """Export a network, and compare the stopwatches of its runs in one runtime."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "cache").mkdir()
        file = exported(Case(name, None, Setup(batch=batch, runtime=which)), folder).file
        found = cell(which, file, folder)
        return found if which != "openvino" else {**found, "benchmark_app": beside_benchmark_app(file, folder)}


def cell(which: str, file: Path, folder: Path) -> dict[str, float]:
    """Time one file in this process by three stopwatches in turn."""
    engine = runtime(which).load(file, values(folder / INPUTS), Conditions(2, "fp32", folder / "cache"))
    ours = watch(engine.run)
    timer = Timer("run()", globals={"run": engine.run}, num_threads=2)
    ours(20)
    runs = max(5, int(EACH_S / median(seconds for (seconds,) in ours(5))))
    stopwatches: dict[str, Callable[[], float]] = {
        "resbench": lambda: median(seconds for (seconds,) in ours(runs)),
        "a bare loop": lambda: median(loop(engine.run, runs)),
        "torch.utils.benchmark": lambda: median(timer.timeit(1).median for _ in range(max(5, runs // 3))),
    }
    names, ratios = [*stopwatches], {name: list[float]() for name in stopwatches}
    for turn in range(ROUNDS):
        order = names[turn % 3 :] + names[: turn % 3]
        found = {name: stopwatches[name]() for name in order}
        for name in names:
            ratios[name].append(found["resbench"] / found[name])
    return {name: median(ratios[name]) for name in names[1:]}


def loop(run: Any, runs: int) -> list[float]:
    """Time runs as anybody would."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return found


def beside_benchmark_app(file: Path, folder: Path) -> float:
    """Compare medians on one thread, in turn, three times each."""
    app = shutil.which("benchmark_app", path=str(Path(sys.executable).parent)) or "benchmark_app"
    ratios = list[float]()
    command = [app, "-m", file, "-d", "CPU", "-api", "sync", "-nstreams", "1", "-nthreads", "1", "-t", str(APP_S)]
    command += ["-hint", "none", "-infer_precision", "f32"]
    engine = runtime("openvino").load(file, values(folder / INPUTS), Conditions(1, "fp32", folder / "cache"))
    ours = watch(engine.run)
    ours(20)
    for _ in range(3):
        runs = max(5, int(APP_S / median(seconds for (seconds,) in ours(5))))
        mine = median(seconds for (seconds,) in ours(runs))
        said = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout
        found = re.search(r"Median:\s+([\d.]+) (ms|us)", said)
        assert found, said
        ratios.append(mine / (float(found[1]) * {"ms": 1e-3, "us": 1e-6}[found[2]]))
    return median(ratios)


if __name__ == "__main__":
    main()
