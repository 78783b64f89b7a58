"""Every command on a small machine: under half a core and 2 GB, on one core, and beside two busy processes.

    sudo python suites/small.py --dir /var/tmp/small --minutes 8      # a part; the same command goes on where it was
    sudo python suites/small.py --dir /var/tmp/small --table > results/storm/small.txt

Needs Linux's control groups (v1 or v2) and the right to make one. Printed are the status of each command, its seconds
in each of the three, the most memory that it held in the first, and what it said of a limit that it met.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GROUPS = Path("/sys/fs/cgroup")
NAME = "resbench-small"
MEMORY_BYTES = 2 << 30
PERIOD_US, QUOTA_US = 100_000, 50_000
LIMIT_S = 450.0
PLACES = ("half a core", "one core", "beside two")

COMMANDS = (
    "flops --model resnet50",
    "compare conv5x5_direct conv5x5_reduced",
    "gradflow plain56 resnet56",
    "models",
    "show resnet50",
    "field resnet50",
    "doctor",
    "latency resnet20",
    "latency resnet50 --layers",
    "profile resnet20 --trace trace",
    "degradation plain20 resnet20 --epochs 1",
    "landscape plain20 resnet20 --epochs 1 --points 5",
    "placements --depth 8 --epochs 0.2",
    "claims 1 2",
    "sweep residual -n 100 --dir swept",
    "search residual --minimize macs,params --budget 40 --dir searched",
    "report plain20 resnet20 -o page.html",
    "report vgg16 resnet152 --parts cost,layers -o page.html",
)


@contextmanager
def small() -> Iterator[tuple[Callable[[], None], Callable[[], int]]]:
    """Make a group of half a core and 2 GB; yields how a process enters it, and the most that was held since then."""
    if (GROUPS / "cgroup.controllers").exists():
        groups = [GROUPS / NAME]
        limits = {"cpu.max": f"{QUOTA_US} {PERIOD_US}", "memory.max": MEMORY_BYTES, "memory.swap.max": 0}
        peak = "memory.peak"
    else:
        groups = [GROUPS / "cpu" / NAME, GROUPS / "memory" / NAME]
        limits = {"cpu.cfs_period_us": PERIOD_US, "cpu.cfs_quota_us": QUOTA_US, "memory.limit_in_bytes": MEMORY_BYTES}
        peak = "memory.max_usage_in_bytes"
    for group in groups:
        group.mkdir(exist_ok=True)
        for name, value in limits.items():
            if (group / name).exists():
                (group / name).write_text(str(value))

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def most() -> int:
        path = groups[-1] / peak
        held = int(path.read_text())
        path.write_text("0")
        return held

    try:
        yield enter, most
    finally:
        for group in groups:
            group.rmdir()


def ran(words: str, begin: Callable[[], None], limit_s: float) -> tuple[int | None, float, str]:
    """Run a command in an empty folder: its status, seconds, and what it said on standard error."""
    folder = tempfile.mkdtemp()
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "resbench", *words.split()],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            preexec_fn=begin,
            timeout=limit_s,
        )
        status, said = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        status, said = None, f"resbench did not end within {limit_s:.0f} s"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return status, time.monotonic() - begun, " | ".join(line for line in said.splitlines() if "resbench" in line)


def one_core() -> None:
    """Keep to the first core there is."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


@contextmanager
def busy() -> Iterator[None]:
    """Two processes take what they can, as long as this one is there."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: pass"
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measured(words: str, place: str, limit_s: float) -> dict[str, Any]:
    """Run a command in one of the places."""
    with small() if place == PLACES[0] else nullcontext() as group, busy() if place == PLACES[2] else nullcontext():
        begin = group[0] if group else one_core if place == PLACES[1] else lambda: None
        status, seconds, said = ran(words, begin, limit_s)
        held = group[1]() >> 20 if group else None
    return {"command": words, "place": place, "status": status, "seconds": seconds, "held_mib": held, "said": said}


def part(rows: Path, minutes: float) -> None:
    """Run what is not yet there, until the minutes are up; what they cut off is run again by the next part."""
    until = time.monotonic() + 60 * minutes
    there = {(row["command"], row["place"]) for row in read(rows)}
    left = [(words, place) for words in COMMANDS for place in PLACES if (words, place) not in there]
    for i, (words, place) in enumerate(left):
        limit_s = min(LIMIT_S, until - time.monotonic())
        if limit_s <= 0:
            return
        row = measured(words, place, limit_s)
        if row["status"] is None and i and limit_s < LIMIT_S:
            return
        with rows.open("a") as file:
            file.write(json.dumps(row) + "\n")


def read(rows: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in rows.open()] if rows.exists() else []


def table(rows: Path) -> None:
    """Print a line for each command."""
    found = {(row["command"], row["place"]): row for row in read(rows)}
    print(f"{'command':64}{'status':>12}" + "".join(f"{title:>13}" for title in (PLACES[0], "MiB", *PLACES[1:])))
    for words in COMMANDS:
        some = [found.get((words, place)) for place in PLACES]
        statuses = ",".join(str(row["status"]) if row else "-" for row in some)
        first, *others = (f"{row['seconds']:.1f}" if row else "-" for row in some)
        held = f"{some[0]['held_mib']:,}" if some[0] else "-"
        print(f"{words:64}{statuses:>12}" + "".join(f"{cell:>13}" for cell in (first, held, *others)))
        for row in filter(None, some):
            if row["said"]:
                print(f"    {row['place']}: {row['said'][:300]}")


def main() -> None:
    """Run a part, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8.0, help="of a part")
    parser.add_argument("--table", action="store_true", help="print what there is")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    rows = options.dir / "rows.jsonl"
    if not options.table:
        part(rows, options.minutes)
    table(rows)


if __name__ == "__main__":
    main()
