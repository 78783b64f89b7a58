"""Two builds of resbench in turn: CPU seconds of ``make test``, or of another target.

    git clone . /tmp/before && git -C /tmp/before checkout e460e53
    git clone . /tmp/after
    python suites/testing.py /tmp/before /tmp/after -n 2 --runs runs/testing.jsonl

Each run ends as a line of the file of runs, and a later call goes on behind them. The environments are made first and
their time does not count; neither do caches, which the first run of a build fills (mypy's are emptied each time).
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(build: Path, target: str) -> dict[str, object]:
    """Run one target in one build: CPU seconds, seconds on the clock, and what pytest said last."""
    shutil.rmtree(build / ".mypy_cache", ignore_errors=True)
    begun, used = time.monotonic(), cpu()
    done = subprocess.run(["make", target], cwd=build, capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if " passed" in line or " failed" in line]
    return {
        "build": commit(build),
        "target": target,
        "cpu_s": round(cpu() - used, 1),
        "wall_s": round(time.monotonic() - begun, 1),
        "load": os.getloadavg()[0],
        "ended": done.returncode,
        "said": said[-1] if said else done.stderr[-200:],
    }


def commit(build: Path) -> str:
    return subprocess.check_output(["git", "-C", build, "rev-parse", "--short", "HEAD"], text=True).strip()


def main() -> None:
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("before", type=Path)
    told.add_argument("after", type=Path)
    told.add_argument("-n", type=int, default=2, help="runs of each build")
    told.add_argument("--target", default="test")
    told.add_argument("--runs", type=Path, default=Path("runs/testing.jsonl"))
    given = told.parse_args()
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    given.runs.touch()
    for build in (given.before, given.after):
        subprocess.run(["make", "-s", ".venv/dev"], cwd=build, check=True)
    for turn in range(given.n):
        for build in (given.before, given.after) if turn % 2 == 0 else (given.after, given.before):
            known = [json.loads(line) for line in given.runs.read_text().splitlines()]
            mine = [one for one in known if (one["build"], one["target"]) == (commit(build), given.target)]
            if len(mine) <= turn:
                with given.runs.open("a") as file:
                    print(json.dumps(run(build, given.target)), file=file)
    used: dict[str, list[float]] = {}
    for one in map(json.loads, given.runs.read_text().splitlines()):
        if one["target"] == given.target:
            used.setdefault(one["build"], []).append(one["cpu_s"])
    for name, seconds in used.items():
        print(f"{name}  median {median(seconds):.0f} s of CPU, {min(seconds)} to {max(seconds)}, n {len(seconds)}")
    print(f"ratio of the medians {median(used[commit(given.after)]) / median(used[commit(given.before)]):.3f}")


if __name__ == "__main__":
    main()
