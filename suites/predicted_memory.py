"""How far predicted memory is from measured, on networks that are not ours, and whether the batch that is said to fit
does and the next does not.

    python suites/predicted_memory.py [--fits] [MODEL...]

Saved and peak bytes are judged apart, in training and inference; exit 1 where one is off by more than 2 %, or where a
batch of at most 32 that is predicted as the largest measures above its budget, or the next one within it.
"""

from __future__ import annotations

import argparse
import sys

from verify_zoo import declare_torchvision

from resbench.networks.load import load
from resbench.timing.memory.fits import fits
from resbench.timing.memory.measure import memory, peak_bytes
from resbench.workers.workload import Mode, Setup, Workload

INPUT, BATCH, TOLERANCE = "3x96x96", 8, 0.02

NETWORKS = """
torchvision:resnet18 torchvision:convnext_tiny torchvision:efficientnet_b0 torchvision:mobilenet_v3_large
torchvision:regnet_y_400mf torchvision:densenet121 torchvision:googlenet torchvision:shufflenet_v2_x1_0
timm:efficientnet_b0 timm:mobilenetv3_large_100 timm:regnety_004 timm:cspresnet50
""".split()

ALTERNATELY = {"inference": (31, 12, 20), "training": (9, 16, 5)}
"""The budgets of `--fits` are what these batches measure, and half of what one image more adds."""

MODES: tuple[Mode, ...] = ("inference", "training")


def peak(name: str, batch: int, mode: Mode) -> int:
    """Measure the most that one run holds."""
    model, setup = load(name, INPUT), Setup(batch=batch, mode=mode)
    work = Workload(model.module, model.arguments(batch), setup)
    with work.ready():
        work.run()
        return peak_bytes(work) or 0


def accuracy(name: str) -> bool:
    """Print measured beside predicted, and tell whether they are near enough."""
    near = True
    for mode in MODES:
        (one,) = memory(name, INPUT, batch=BATCH, mode=mode).reports
        for what in ("saved", "peak"):
            said, found = getattr(one.predicted, what), getattr(one.measured, what)
            ratio = said / found if found else 1.0
            near &= abs(ratio - 1) <= TOLERANCE or bool(one.predicted.unknown)
            print(
                f"{name:32} {mode:10} {what:6} {said:>13,} {found:>13,} {ratio:8.4f} {', '.join(one.predicted.unknown)}"
            )
    return near


def largest(name: str, turn: int) -> bool:
    """Print the largest batch of a budget with what is measured at it and above it, and tell whether it holds."""
    holds = True
    for mode in MODES:
        batch = ALTERNATELY[mode][turn % 3]
        one, more = peak(name, batch, mode), peak(name, batch + 1, mode)
        budget = (one + more) // 2
        (found,) = fits(name, budget, INPUT, Setup(mode=mode)).reports
        within = one if found.batch == batch else peak(name, found.batch, mode)
        above = more if found.batch == batch else peak(name, found.batch + 1, mode)
        holds &= within <= budget < above
        print(f"{name:32} {mode:10} budget {budget:>13,} batch {found.batch:3} {within:>13,} next {above:>13,}")
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=NETWORKS)
    parser.add_argument("--fits", action="store_true", help="the largest batches instead")
    options = parser.parse_args()
    declare_torchvision()
    wrong = [
        name
        for turn, name in enumerate(options.models)
        if not (largest(name, turn) if options.fits else accuracy(name))
    ]
    print("\n".join(f"wrong: {name}" for name in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
