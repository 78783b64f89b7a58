"""Networks of a space drawn, costed and kept: CPU against `import torch`, memory, and two processes against one.

    python suites/sweeps.py --space residual -n 100000 --turns 3 > results/cpu/sweeps.txt

Each turn runs fresh processes, the one in front changing with each: `import torch`; a sweep of n networks in one
process and in two, and of a tenth of n in one. Printed are medians with their ranges: seconds of the CPU, of the clock,
the most memory that a process held, and the ratios of one turn each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Took(NamedTuple):
    """A command and what it started took this."""

    cpu_s: float
    clock_s: float
    memory_mib: float


def took(command: Sequence[str]) -> Took:
    """Run a command to its end."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: status {status}: {said.decode()[-500:]}")
    return Took(used.ru_utime + used.ru_stime, time.monotonic() - begun, used.ru_maxrss / 1024)


def main() -> None:
    """Print a line for each command, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="residual")
    parser.add_argument("-n", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    found: dict[str, list[Took]] = {}
    for turn in range(given.turns):
        with tempfile.TemporaryDirectory() as place:
            sweep = [sys.executable, "-m", "resbench", "sweep", given.space]
            commands = {
                "import torch": [sys.executable, "-c", "import torch"],
                f"{given.n // 10:,} networks": [*sweep, "-n", str(given.n // 10), "--dir", f"{place}/tenth"],
                f"{given.n:,} networks": [*sweep, "-n", str(given.n), "--dir", f"{place}/one"],
                f"{given.n:,}, two processes": [
                    *sweep,
                    *("-n", str(given.n), "--dir", f"{place}/two", "--processes", "2"),
                ],
            }
            names = [*commands]
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                found.setdefault(name, []).append(took(commands[name]))
            disk = sum(part.stat().st_size for part in Path(place, "one").glob("*.parquet"))
    print(f"{'':24} {'CPU (s)':>22} {'clock (s)':>22} {'memory (MiB)':>14} {'n':>3}")
    for name, each in ((name, found[name]) for name in names):
        cpu, clock, memory = zip(*each, strict=True)
        print(f"{name:24} {_range(cpu):>22} {_range(clock):>22} {max(memory):14.0f} {len(each):3}")
    torch, _, one, two = (found[name] for name in names)
    print(f"CPU of {names[2]} / import torch: {_range([b.cpu_s / a.cpu_s for a, b in zip(torch, one, strict=True)])}")
    print(f"clock of one process / of two: {_range([a.clock_s / b.clock_s for a, b in zip(one, two, strict=True)])}")
    print(f"each network: {1e3 * median(each.cpu_s for each in one) / given.n:.3f} ms, {disk / given.n:.0f} bytes")


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
