"""The whole catalog folded in one process, against `import torch`: seconds of the CPU of whole fresh processes.

    python suites/catalog.py -n 9

Each turn runs a process that builds every network, lesson and block of the catalog (of a pattern of names the depth
56), and counts its rows and its totals, one after the other, looking for no garbage meanwhile, as a sweep does; and a
process that imports torch. The one in front changes with each turn. Printed are the medians, and the median of the
ratios of one turn each with its range; then, of one more process, where the time goes.
"""

import sys
import time
from itertools import pairwise

TORCH = ["-c", "import torch"]
FOLD = [__file__, "--fold"]


def fold() -> None:
    """In a fresh process: build every network, count its rows and its totals, and say how long each step took."""
    clock = [0.0, time.process_time()]
    from resbench.arch.acyclic import resting
    from resbench.arch.catalog import architecture, entries

    names = [name.replace("{6n+2}", "56") for name in entries()]
    clock.append(time.process_time())
    spent = [end - begin for begin, end in pairwise(clock)] + [0.0, 0.0, 0.0]
    rows = 0
    with resting():
        for name in names:
            clock = [time.process_time()]
            net = architecture(name)
            clock.append(time.process_time())
            rows += len(net.cost().layers)
            clock.append(time.process_time())
            net.totals()
            clock.append(time.process_time())
            spent[2:] = [so_far + end - begin for so_far, (begin, end) in zip(spent[2:], pairwise(clock), strict=True)]
    assert "torch" not in sys.modules
    steps = zip(("Python", "imports", "networks", "rows", "totals"), spent, strict=True)
    took = ", ".join(f"{step} {1000 * seconds:.0f}" for step, seconds in steps)
    print(f"{len(names)} networks of {rows:,} rows in one process, ms: {took}")


def main() -> None:
    """Print the two medians, their ratio, and the steps of a fold."""
    import argparse
    from pathlib import Path
    from statistics import median

    from start import seconds

    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=9, help="turns")
    options = parser.parse_args()
    steps = [seconds(root, command)[1] for command in (TORCH, FOLD)][1]
    turns = []
    for turn in range(options.n):
        order = (TORCH, FOLD) if turn % 2 else (FOLD, TORCH)
        took = {id(command): seconds(root, command)[0] for command in order}
        turns.append((took[id(FOLD)], took[id(TORCH)]))
    ratios = sorted(folded / imported for folded, imported in turns)
    folded, imported = (median(side) for side in zip(*turns, strict=True))
    print(f"{'catalog (s)':>11} {'torch (s)':>10} {'catalog / torch':>16} {'least':>6} {'most':>6} {'n':>3}")
    figures = f"{folded:11.4f} {imported:10.4f} {median(ratios):16.3f}"
    print(f"{figures} {ratios[0]:6.3f} {ratios[-1]:6.3f} {options.n:3}")
    print(steps, end="")


if __name__ == "__main__":
    fold() if "--fold" in sys.argv else main()
