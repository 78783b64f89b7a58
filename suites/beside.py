"""Commands beside a busy program, alone, and alone in an earlier build: seconds on the clock and of the CPU.

    git worktree add /tmp/before e460e53
    python suites/beside.py /tmp/before . -n 5 --runs runs/beside.jsonl

All of it runs on two cores; the busy program turns on both as the system lets it. In each turn every task is run in
every condition. Each run ends as a line of the file of runs, and a later call goes on behind them: so it can be stopped
at any time, and told with ``--most 60`` to begin no run after a minute. Printed are medians, and the median of the
ratios of one turn each with its range; exit 1 where one is above its limit.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

TASKS = {
    "degradation": "degradation plain20 resnet20 --epochs 3 --dtype fp32",
    "gradflow": "gradflow plain56 resnet56",
    "latency": "latency resnet20 --processes 2",
}
CONDITIONS = ("before", "alone", "beside")
LIMITS = (
    ("beside", "alone", "wall_s", {"degradation": 2.0, "gradflow": 2.0}),
    ("beside", "alone", "cpu_s", {"degradation": 1.3, "gradflow": 1.3}),
    ("alone", "before", "wall_s", {"degradation": 1.05, "gradflow": 1.05}),
)
"""So much may one condition take of the other; what is timed has no limit, and ends."""

BUSY = "while True: pass"


@contextmanager
def busy() -> Iterator[None]:
    """One program that computes without end."""
    running = subprocess.Popen([sys.executable, "-S", "-c", BUSY])
    try:
        yield
    finally:
        running.kill()
        running.wait()


def run(build: Path, words: str) -> dict[str, float]:
    """Run a command of a build, with nothing that it could go on from."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "MKL_"))}
    with tempfile.TemporaryDirectory() as folder:
        kept = ["--dir", folder] if words.startswith("degradation") else []
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "resbench", *words.split(), *kept],
            cwd=build,
            env={**variables, "PYTHONPATH": str(build.resolve())},
            capture_output=True,
            check=True,
        )
        wall_s, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}


def commit(build: Path) -> str:
    said = subprocess.check_output(["git", "-C", build, "describe", "--always", "--dirty", "--exclude=*"], text=True)
    return said.strip()


def measure(given: argparse.Namespace, builds: dict[str, Path], names: dict[str, str]) -> None:
    """Make the runs that the file does not have yet, until they are all there or the time is up."""
    end = time.monotonic() + given.most
    for turn in range(given.n):
        for task in given.task or TASKS:
            for condition in CONDITIONS if turn % 2 == 0 else CONDITIONS[::-1]:
                which = {"task": task, "condition": condition, "build": names[condition], "turn": turn}
                if any(which.items() <= one.items() for one in read(given.runs)):
                    continue
                if time.monotonic() > end:
                    return
                load = os.getloadavg()[0]
                if condition == "beside":
                    with busy():
                        took = run(builds[condition], TASKS[task])
                else:
                    took = run(builds[condition], TASKS[task])
                with given.runs.open("a") as file:
                    print(json.dumps({**which, **took, "load_before": round(load, 2)}), file=file)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(runs: list[dict[str, Any]], tasks: list[str]) -> int:
    """Print a line for each task and ratio; return 1 where a median is above its limit."""
    above = 0
    heads = ("median (s)", "of (s)", "ratio", "least", "most", "n", "limit")
    print(f"{'task':12} {'seconds':7} {'of':16}", *(f"{head:>10}" for head in heads))
    for task in tasks:
        for one, other, what, limits in LIMITS:
            by_turn = {
                condition: {r["turn"]: r[what] for r in runs if (r["task"], r["condition"]) == (task, condition)}
                for condition in (one, other)
            }
            turns = sorted(by_turn[one].keys() & by_turn[other].keys())
            if not turns:
                continue
            ratios = [by_turn[one][turn] / by_turn[other][turn] for turn in turns]
            limit = limits.get(task)
            above |= limit is not None and median(ratios) > limit
            a, b = (median(by_turn[side][turn] for turn in turns) for side in (one, other))
            numbers = (a, b, median(ratios), min(ratios), max(ratios))
            words = f"{task:12} {what.removesuffix('_s'):7} {one + ' / ' + other:16}"
            print(words, *(f"{x:10.2f}" for x in numbers), f"{len(turns):10}", f"{limit or '':>10}")
    return above


def main() -> int:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("before", type=Path)
    told.add_argument("after", type=Path)
    told.add_argument("-n", type=int, default=5, help="turns")
    told.add_argument("--task", action="append", choices=TASKS, help="instead of all")
    told.add_argument("--runs", type=Path, default=Path("runs/beside.jsonl"))
    told.add_argument("--most", type=float, default=float("inf"), metavar="S", help="begin no run after so long")
    given = told.parse_args()
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    builds = {condition: given.before if condition == "before" else given.after for condition in CONDITIONS}
    names = {condition: commit(build) for condition, build in builds.items()}
    measure(given, builds, names)
    runs = [one for one in read(given.runs) if one["build"] == names[one["condition"]]]
    return table(runs, given.task or [*TASKS])


if __name__ == "__main__":
    sys.exit(main())
