"""How should the duel's turns be cut? The same code against itself, beside a hog, under some cuts of the same time.

    python suites/gate/turns.py --rounds 12 --raw FILE.json.gz

A cut is samples x milliseconds, each sample by its fastest piece or as a whole. What is printed is the deviation of a
round's log ratio of two processes of the same code, in %, by benchmark: the less, the smaller the effect that a gate
would see. Cuts take turns round by round, so that what the machine does meanwhile happens to all of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
from dataclasses import replace
from itertools import combinations
from math import log
from pathlib import Path
from statistics import median

import numpy
from live import benchmarks, copied, hog
from tabulate import tabulate

from resbench.codec import encoded
from resbench.files import write
from resbench.regression import duel
from resbench.regression.duel import ARMS, Times, one_round, orders
from resbench.regression.process import Side
from resbench.regression.suite import read
from resbench.workers.environment import environment

SHIPPED = "SAMPLES, SAMPLE_S = 25, 0.01\n", "PIECE_S = 0.0005\n"

CUTS = {
    "5 x 50 ms, whole": (5, 0.05, 0.05),
    "5 x 50 ms, fastest": (5, 0.05, 0.0005),
    "25 x 10 ms, whole": (25, 0.01, 0.01),
    "25 x 10 ms, fastest": (25, 0.01, 0.0005),
}


def cut(folder: Path, samples: int, sample_s: float, piece_s: float) -> None:
    """A copy of the commit whose turns are cut so."""
    copied(folder)
    code = folder / "resbench/regression/samples.py"
    text = code.read_text()
    for shipped, new in zip(
        SHIPPED, (f"SAMPLES, SAMPLE_S = {samples}, {sample_s}\n", f"PIECE_S = {piece_s}\n"), strict=True
    ):
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, new)
    code.write_text(text)


def deviation(rounds: list[Times], name: str) -> float:
    """Of a round's figure, in %, over the three pairs of its processes."""
    pairs = list(combinations(ARMS, 2))
    found = [median(log(a / b) for a, b in zip(t[name][p], t[name][q], strict=True)) for t in rounds for p, q in pairs]
    return 100 * float(numpy.std(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--raw", type=Path, metavar="FILE.json.gz")
    parser.add_argument("--quiet", action="store_true", help="no hog")
    options = parser.parse_args()
    names = benchmarks()
    rounds: dict[str, list[Times]] = {what: [] for what in CUTS}
    with tempfile.TemporaryDirectory() as temporary, hog(options.quiet):
        for what, how in CUTS.items():
            cut(Path(temporary) / what, *how)
        drawn = orders(names, random.Random(0))
        for number in range(options.rounds):
            order = next(drawn)
            for what, done in rounds.items():
                root = Path(temporary) / what
                side = Side("base", what, root)
                suite = read(root, Path("suites/ci.toml"))
                duel.SAMPLES = CUTS[what][0]  # this side of the line counts the turns too
                done.append(one_round({arm: replace(side, name=arm) for arm in ARMS}, suite, order))
                print(f"round {number + 1} of {options.rounds}, {what}", file=sys.stderr)
    rows = [[name, *(f"{deviation(done, name):.2f}" for done in rounds.values())] for name in names]
    print(tabulate(rows, ["deviation of a round (%)", *CUTS], disable_numparse=True))
    here = environment()
    print(f"\n{options.rounds} rounds of each cut, {'quiet' if options.quiet else 'beside a hog'}. {here.note}")
    if options.raw:
        document = {"schema": 1, "hog": not options.quiet, "environment": encoded(here), "rounds": rounds}
        write(options.raw, gzip.compress(json.dumps(document).encode(), mtime=0))


if __name__ == "__main__":
    main()
