"""Two builds of resbench side by side: how long short commands take, and from a name to its totals.

    git worktree add /tmp/before e460e53
    python suites/start.py /tmp/before . -n 9

They take turns, task by task, first one and then the other in front. Printed are medians, and the median of the ratios
of one turn each with its range. Seconds of the CPU: of whole processes for commands; for names, of the work behind the
imports, in a fresh process with empty caches.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

COMMANDS = ("flops --model resnet50", "--help", "flops --help")
ORDERS = ("original", "bn-after-add", "relu-before-add", "relu-only-preact", "full-preact")
SHORTCUTS = ("none", "A", "B", "C", "scaling", "exclusive-gate", "shortcut-gate", "conv1x1", "dropout")
VARIANTS = 10_000


def variants() -> list[str]:
    """Distinct names of residual networks for CIFAR: depths 8 to 110, and all that their family can be told."""
    draw, names = random.Random(7), set()
    while len(names) < VARIANTS:
        given = [
            f"cifar_resnet{6 * draw.randint(1, 18) + 2}",
            f"order={draw.choice(ORDERS)}",
            f"shortcut={draw.choice(SHORTCUTS)}",
            f"width={draw.randint(1, 8)}",
            f"classes={draw.choice((10, 100, 200))}",
            f"se={draw.choice((0, 0, 0, 4, 8, 16))}",
            f"aux={draw.choice(('no', 'no', 'yes'))}",
        ]
        names.add(",".join(word for word in given if word not in ("se=0", "aux=no")))
    return sorted(names)


def named(names: list[str]) -> None:
    """In a process of one build: print how long it took to read the names and to sum what they cost."""
    begun = time.process_time()
    checksum = sum(total.macs + total.params + total.elementwise for total in totals(names))
    print(time.process_time() - begun, checksum)


def totals(names: list[str]) -> Iterator[object]:
    """What a build offers: ``totals`` of an architecture, or in an early one the total of its rows."""
    from resbench.arch.catalog import architecture

    for name in names:
        arch = architecture(name)
        yield arch.totals() if hasattr(arch, "totals") else arch.cost().total


def seconds(folder: Path, arguments: list[str]) -> tuple[float, str]:
    """CPU seconds of a process of Python in a build, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(folder.resolve())}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def command(words: str) -> Callable[[Path], float]:
    return lambda folder: seconds(folder, ["-m", "resbench", *words.split()])[0]


def names(which: str) -> Callable[[Path], float]:
    checksums = set()

    def run(folder: Path) -> float:
        took, checksum = seconds(folder, [str(Path(__file__).resolve()), "--named", which])[1].split()
        checksums.add(checksum)
        assert len(checksums) == 1, f"the builds count differently: {checksums}"
        return float(took)

    return run


def main() -> None:
    """Print a line a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("-n", type=int, default=9, help="turns of each task")
    options = parser.parse_args()
    tasks = {f"resbench {words}": command(words) for words in COMMANDS}
    tasks |= {"resnet1202 to its totals": names("resnet1202"), f"{VARIANTS:,} names to totals": names("variants")}
    print(f"{'task':34} {'before (s)':>10} {'after (s)':>10} {'after / before':>15} {'least':>6} {'most':>6} {'n':>3}")
    for task, run in tasks.items():
        for folder in (options.before, options.after):
            run(folder)
        pairs = []
        for turn in range(options.n):
            order = (options.before, options.after) if turn % 2 else (options.after, options.before)
            took = {folder: run(folder) for folder in order}
            pairs.append((took[options.before], took[options.after]))
        ratios = sorted(b / a for a, b in pairs)
        a, b = (median(side) for side in zip(*pairs, strict=True))
        print(
            f"{task:34} {a:10.4f} {b:10.4f} {median(ratios):15.3f} {ratios[0]:6.3f} {ratios[-1]:6.3f} {options.n:3}",
            flush=True,
        )


if __name__ == "__main__":
    if "--named" in sys.argv:
        if sys.argv[-1] == "variants":
            named(variants())
        else:
            for _ in totals(["resnet20", "conv5x5_direct"]):
                pass  # what is read once for a whole process
            named([sys.argv[-1]])
    else:
        main()
