"""The memory of one process over a long run: it is flat after warm-up, or the slope says by how much it grows.

    python suites/long.py --dir /var/tmp/long [RUN...]        # runs that are not there yet, each a few minutes
    python suites/long.py --dir /var/tmp/long --table > results/storm/long.txt

    probe       10,000 steps of a training, each of them observed by ``GradientProbe``
    traced      1,000 networks, each built as a module and traced by ``resbench.flops``
    cells       10,000 cells of a sweep, answered in one process
    planes      1,000 points of the plane of a loss

Each runs in a process of its own, which notes its resident memory a thousand times. The first quarter is warm-up. The
others are cut into ten pieces, whose means lie on a line: its slope has a 95 % interval by Student's t with 8 degrees
of freedom, in KiB for each step, network, cell or point. What a run keeps on purpose (a set of names, rows of a table)
is counted too. Beside it: so many Python objects more there are at the last power of two of the notes than at the one
before; without any, what the memory grows by lies between the pieces that the allocators hand out.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable
from itertools import count, pairwise
from pathlib import Path
from statistics import mean

PIECES = 10
NOTES = 1000
MOST_NOTES = 20_000

Note = Callable[[int], None]
"""It notes how much memory is in use when so many are done."""


def probe(note: Note) -> None:
    """Train a small network, and take what the probe found at each step."""
    import torch

    import resbench

    torch.manual_seed(0)
    model = resbench.build("resnet8,width=4", seed=0).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)
    seen = resbench.GradientProbe(model)
    for step in range(10_000):
        images, labels = torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,))
        loss = torch.nn.functional.cross_entropy(seen(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen.read(optimizer)
        assert seen.take()
        note(step)


def traced(note: Note) -> None:
    """Build networks of one space, one after the other, and trace each."""
    import resbench

    for step in range(1000):
        name = f"resnet{8 + 6 * (step % 4)},width={1 + step % 5}"
        (cost,) = resbench.flops(resbench.build(name), (3, 16, 16)).costs
        assert cost.total.macs
        note(step)


def cells(note: Note) -> None:
    """Sweep networks with two questions each, of five seeds, and note between two cells."""
    import resbench

    done = count()

    def told(line: str, share: float) -> None:
        if line.startswith(("naswot", "synflow")):
            note(next(done))

    with tempfile.TemporaryDirectory() as folder:
        metrics, limits = ["naswot", "synflow"], ["macs=:10M"]
        resbench.sweep("residual", 1_000, metrics=metrics, seeds=5, limits=limits, folder=folder, progress=told)


def planes(note: Note) -> None:
    """Draw planes of losses, of 25 points each, around one small network."""
    import torch

    import resbench

    model = resbench.build("resnet8,width=4", seed=0).eval()
    batches = [(torch.randn(16, 3, 16, 16), torch.randint(0, 10, (16,)))]
    for step in range(0, 1000, 25):
        resbench.landscape(model, batches=batches, points=5)
        note(step)


RUNS: dict[str, tuple[Callable[[Note], None], str]] = {
    "probe": (probe, "step"),
    "traced": (traced, "network"),
    "cells": (cells, "cell"),
    "planes": (planes, "point"),
}


def watched(name: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Run, and return pairs of what was done and of the KiB that the process then had in use; and how many Python
    objects there were after 1, 2, 4, 8... notes."""
    from resbench.workers.resident import resident_bytes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
    found, noted = array("q", [1]) * (2 * MOST_NOTES), 0  # the notes take the same memory from first to last
    objects: list[int] = []

    def note(done: int) -> None:
        nonlocal noted
        trim(0)  # what is free goes back to the system (glibc keeps it): the rest is in use
        held = resident_bytes()
        assert held, "nothing says how much memory a process has"
        found[2 * noted], found[2 * noted + 1], noted = done, held >> 10, noted + 1
        if not noted & (noted - 1):
            gc.collect()
            objects.append(len(gc.get_objects()))

    RUNS[name][0](note)
    return [(found[2 * i], found[2 * i + 1]) for i in range(noted)], objects


def slope(notes: list[tuple[int, int]]) -> tuple[float, float]:
    """Return KiB a step after warm-up, and half of the 95 % interval."""
    from scipy.stats import linregress, t

    calm = [note for note in notes if note[0] >= notes[-1][0] / 4]
    cuts = [round(i * len(calm) / PIECES) for i in range(PIECES + 1)]
    pieces = [calm[a:b] for a, b in pairwise(cuts)]
    found = linregress([mean(x for x, _ in piece) for piece in pieces], [mean(y for _, y in piece) for piece in pieces])
    return float(found.slope), float(found.stderr * t.ppf(0.975, PIECES - 2))


def main() -> None:
    """Run what is missing, each in a fresh process, and print a line for each that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=[*RUNS], metavar="RUN")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        notes, objects = watched(options.one)
        kept = {"notes": notes[:: max(1, len(notes) // NOTES)], "objects": objects}
        (options.dir / f"{options.one}.json").write_text(json.dumps(kept))
        return
    options.dir.mkdir(parents=True, exist_ok=True)
    for name in options.runs:
        if not options.table and not (options.dir / f"{name}.json").exists():
            subprocess.run([sys.executable, __file__, "--dir", options.dir, "--one", name], check=True)
    columns = ("done", "first MiB", "warm MiB", "last MiB", "KiB each", "95 % +-", "flat", "objects")
    print(f"{'run':10}" + "".join(f"{column:>12}" for column in columns))
    for name, (_, unit) in RUNS.items():
        path = options.dir / f"{name}.json"
        if path.exists():
            read = json.loads(path.read_text())
            notes, objects = [(int(x), int(y)) for x, y in read["notes"]], read["objects"]
            each, half = slope(notes)
            warm = next(y for x, y in notes if x >= notes[-1][0] / 4)
            held = "".join(f"{kib / 1024:12.1f}" for kib in (notes[0][1], warm, notes[-1][1]))
            flat = "yes" if abs(each) <= half else "no"
            slopes = f"{each:12.4f}{half:12.4f}{flat:>12}{objects[-1] - objects[-2]:12,}"
            print(f"{name:10}{notes[-1][0]:12,}{held}{slopes}   a {unit}")


if __name__ == "__main__":
    main()
