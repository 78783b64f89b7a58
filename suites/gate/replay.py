"""How often was the gate wrong on real machines? Recorded runs once more, as they were and resampled.

    python suites/gate/replay.py --same RUN.json.gz ... --slower RUN.json.gz ...
    python suites/gate/replay.py --same RUN.json.gz ... --plant 0.05

``--same``: both sides were the same code, so REGRESSED is a false alarm, with the head against the base and with the
base's second process against its first. ``--slower``: the head was made slower, so REGRESSED is a catch. ``--plant``
makes the head of each benchmark in turn slower by a share, in runs of the same code.

A resample draws whole blocks of one run with replacement, the same for all benchmarks, up to the rounds of the last
look. Of the same code it also puts the three arms of a block in random order: else each resample has the difference
that the run happened to show, as if it were an effect. ``--keep-arms`` leaves them: is one side always slower?
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy
from simulate import rate
from tabulate import tabulate

from resbench import results
from resbench.regression.duel import ARMS, Times, paired
from resbench.regression.gating.result import Gate
from resbench.regression.verdict import GateRules, Judgement, replay
from resbench.regression.walsh import BLOCK

RULES = GateRules()

Run = list[Times]
"""Round by round."""
Question = Callable[[Run], list[bool]]


def read(path: Path) -> Run:
    """A recorded run, plain or gzipped."""
    gate = results.read(path).result
    if not isinstance(gate, Gate) or not gate.duel:
        raise SystemExit(f"expected a run of resbench gate that timed; {path} is not")
    if gate.duel.rules != RULES:
        raise SystemExit(f"expected a run under {RULES}; {path} is under others")
    return gate.duel.rounds


def judged(run: Run) -> Judgement:
    """What the gate says of it."""
    return replay(paired(run), RULES)


def relabelled(run: Run, arms: Mapping[str, str]) -> Run:
    """Each arm with the times of another."""
    return [{name: {arm: by[arms[arm]] for arm in ARMS} for name, by in times.items()} for times in run]


def slower(run: Run, name: str, share: float) -> Run:
    """The head of one benchmark slower."""
    return [times | {name: times[name] | {"head": [t * (1 + share) for t in times[name]["head"]]}} for times in run]


def resampled(run: Run, draw: numpy.random.Generator, shuffle: bool, count: int) -> Iterator[Run]:
    """Runs of blocks drawn anew, up to the rounds of the last look; shuffled: the arms of each in random order."""
    blocks = [run[start : start + BLOCK] for start in range(0, len(run) - BLOCK + 1, BLOCK)]
    for _ in range(count):
        drawn = [blocks[i] for i in draw.integers(0, len(blocks), RULES.looks[-1] // BLOCK)]
        if shuffle:
            drawn = [relabelled(block, dict(zip(ARMS, draw.permutation(ARMS), strict=True))) for block in drawn]
        yield [times for block in drawn for times in block]


def caught(run: Run) -> list[bool]:
    """Is it REGRESSED? Of the same code: a false alarm."""
    return [judged(run).verdict == "REGRESSED"]


def caught_again(run: Run) -> list[bool]:
    """The same of the base's second process, the head in its place."""
    return caught(relabelled(run, {"base": "base", "again": "head", "head": "again"}))


def invalid(run: Run) -> list[bool]:
    """Does the base differ from itself?"""
    return [judged(run).verdict == "INVALID"]


def inconclusive(run: Run) -> list[bool]:
    """Is nothing rejected, and too little known to pass?"""
    return [judged(run).verdict == "INCONCLUSIVE"]


def each_caught(share: float) -> Question:
    """Is it REGRESSED, and for that benchmark, were it slower by this share? One answer for each benchmark."""

    def ask(run: Run) -> list[bool]:
        found = {name: judged(slower(run, name, share)) for name in run[0]}
        return [one.verdict == one.benchmarks[name].verdict == "REGRESSED" for name, one in found.items()]

    return ask


def table(title: str, runs: Mapping[Path, Run], ask: Question, again: Callable[[Run], Iterable[Run]]) -> str:
    """One line a run; all of them as recorded with exact 95 % bounds, and resampled with the spread over the runs."""
    rows: list[list[str]] = []
    recorded: list[bool] = []
    shares: list[float] = []
    for path, run in runs.items():
        answers = ask(run)
        recorded += answers
        shares.append(float(numpy.mean([ask(drawn) for drawn in again(run)])))
        rows.append([path.name, str(len(run)), f"{sum(answers)} of {len(answers)}", f"{100 * shares[-1]:.1f}"])
    mean, low, high = (100 * f(shares) for f in (numpy.mean, min, max))
    everything = f"{rate(sum(recorded), len(recorded))} % of {len(recorded)}"
    rows.append(["all", "", everything, f"{mean:.1f} ({low:.1f}-{high:.1f})"])
    return tabulate(rows, [title, "rounds", "as recorded", "resampled (%)"], disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--same", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--slower", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--plant", type=float, action="append", default=[], metavar="SHARE", help="0.05 is +5 %%")
    parser.add_argument("--resamples", type=int, default=100, help="of each run, for each question")
    parser.add_argument("--keep-arms", action="store_true", help="do not put the arms of a block in random order")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.same and not options.slower:
        parser.error("expected recorded runs after --same or --slower")

    same, slow = ({path: read(path) for path in paths} for paths in (options.same, options.slower))
    questions: list[tuple[str, Mapping[Path, Run], Question]] = [
        ("same code, REGRESSED", same, caught),
        ("same code, again as head, REGRESSED", same, caught_again),
        ("same code, INVALID", same, invalid),
        ("same code, INCONCLUSIVE", same, inconclusive),
        *((f"same code, {share:+.1%} planted, caught", same, each_caught(share)) for share in options.plant),
        ("slower head, REGRESSED", slow, caught),
        ("slower head, INVALID", slow, invalid),
        ("slower head, INCONCLUSIVE", slow, inconclusive),
    ]
    for title, runs, ask in questions:
        if runs:
            draw = numpy.random.default_rng(options.seed)
            shuffle = runs is same and not options.keep_arms
            again = partial(resampled, draw=draw, shuffle=shuffle, count=options.resamples)
            print(table(title, runs, ask, again), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
