"""Every command on a small machine: under half a core and 2 GB, on one core, and beside two busy processes.

    sudo python suites/small.py > results/cpu/small.txt

Needs Linux's control groups (v1 or v2) and the right to make one. Printed are the status of each command, its seconds
in each of the three, the most memory that it held in the first, and what it said of a limit that it met.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
GROUPS = Path("/sys/fs/cgroup")
NAME = "resbench-small"
MEMORY_BYTES = 2 << 30
PERIOD_US, QUOTA_US = 100_000, 50_000
LIMIT_S = 900.0

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
    "report vgg16 resnet152 --parts cost,memory -o page.html",
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


def ran(words: str, begin: Callable[[], None]) -> tuple[int | None, float, str]:
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
            timeout=LIMIT_S,
        )
        status, said = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        status, said = None, f"did not end within {LIMIT_S:g} s"
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


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="commands that begin so")
    options = parser.parse_args()
    titles = ("half a core", "MiB", "one core", "beside two")
    print(f"{'command':60}{'status':>12}" + "".join(f"{title:>13}" for title in titles))
    for words in (words for words in COMMANDS if words.startswith(options.only)):
        with small() as (enter, most):
            first = ran(words, enter)
            held = most() >> 20
        second = ran(words, one_core)
        with busy():
            third = ran(words, lambda: None)
        statuses = ",".join(str(status) for status, *_ in (first, second, third))
        print(f"{words:60}{statuses:>12}{first[1]:13.1f}{held:13,}{second[1]:13.1f}{third[1]:13.1f}", flush=True)
        for place, (_, _, said) in zip(("half a core", "one core", "beside two"), (first, second, third), strict=True):
            if said:
                print(f"    {place}: {said[:300]}", flush=True)


if __name__ == "__main__":
    main()
