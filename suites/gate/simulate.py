"""How often is the gate wrong? Whole runs of invented machines, through the very looks and verdicts of the gate.

    python suites/gate/simulate.py                        all machines, all effects: half an hour on one core
    python suites/gate/simulate.py --machine hog --runs 100 --json FILE

Eight benchmarks, 32 rounds, three arms (base, base again, head) that take turns at 25 samples, in the order of a
duel: 19,200 measurements of some 10 ms in a row. The logarithm of each is the sum of

    drift       AR(1) from measurement to measurement, stationary: correlation rho, deviation sigma
    process     constant in one process at one benchmark, half of its variance common to all benchmarks
    white       a deviation of its own
    spikes      at a rate, exponential with a mean
    hog         log 1.6 while another program runs: on and off, each for a geometric time with a mean

On the same runs, for comparison: a Mann-Whitney test of the times of base and head, one-sided at 1 % for each
benchmark, after every fourth round until it rejects; and medians 10 % apart, of all base times and all head times.
Neither knows the margin. Rates are in % with exact 95 % bounds (Clopper & Pearson).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from math import log, log1p
from pathlib import Path

import numpy
from scipy.signal import lfilter
from scipy.stats import binomtest, mannwhitneyu
from tabulate import tabulate

from resbench.regression.verdict import GateRules, Judgement, Pairs, replay
from resbench.regression.walsh import BLOCK, Floats

BENCHMARKS, ROUNDS, ARMS, SAMPLES = 8, 32, 3, 25
BASE, AGAIN, HEAD = range(ARMS)
RULES = GateRules()
NOMINAL = 0.01
"""Of the sequential Mann-Whitney test."""
THRESHOLD = 0.10
"""Of the comparison of medians: pytest-benchmark's --benchmark-compare-fail=median:10%."""


@dataclass(frozen=True)
class Machine:
    """Deviations are of logarithms: 0.01 is 1 %. Durations are in measurements."""

    rho: float = 0.0
    drift: float = 0.0
    process: float = 0.005
    white: float = 0.005
    spikes: float = 0.0
    size: float = 0.0
    hog: float = 0.0

    def times(self, draw: numpy.random.Generator, runs: int) -> Floats:
        """Logarithms, by (runs, benchmarks, rounds, samples, arms)."""
        shape = runs, ROUNDS, BENCHMARKS, SAMPLES, ARMS
        logs = self.white * draw.standard_normal(shape) + self.drifting(draw, runs).reshape(shape)
        if self.spikes:
            logs += (draw.random(shape) < self.spikes) * draw.exponential(self.size, shape)
        if self.hog:
            changes = (draw.random((runs, logs[0].size)) < 1 / self.hog).cumsum(axis=1)
            logs += log(1.6) * ((changes + draw.integers(0, 2, (runs, 1))) % 2).reshape(shape)
        logs = numpy.take_along_axis(logs, orders(draw, runs), axis=-1)
        common, own = draw.standard_normal((runs, ROUNDS, 1, 1, ARMS)), draw.standard_normal((*shape[:3], 1, ARMS))
        return numpy.moveaxis(logs + self.process * (common + own) / 2**0.5, 2, 1)

    def drifting(self, draw: numpy.random.Generator, runs: int) -> Floats:
        """AR(1), begun in its stationary state."""
        steps = draw.standard_normal((runs, ROUNDS * BENCHMARKS * SAMPLES * ARMS))
        steps[:, 1:] *= (1 - self.rho**2) ** 0.5
        return self.drift * lfilter([1], [1, -self.rho], steps, axis=1)


def orders(draw: numpy.random.Generator, runs: int) -> numpy.ndarray:
    """When each arm has its turn: drawn for each block and benchmark, reversed in the second round and from sample to
    sample. By (runs, rounds, benchmarks, samples, arms).
    """
    drawn = draw.random((runs, ROUNDS // BLOCK, BENCHMARKS, ARMS)).argsort(axis=-1).repeat(BLOCK, axis=1)
    turns = numpy.arange(ROUNDS)[:, None] % BLOCK + numpy.arange(SAMPLES)
    reverse = (turns % 2 == 1)[:, None, :, None]
    return numpy.where(reverse, ARMS - 1 - drawn[..., None, :], drawn[..., None, :])


MACHINES = {
    "quiet": Machine(),
    "processes": Machine(process=0.03),
    "drift-slow": Machine(rho=0.9998, drift=0.10),
    "drift": Machine(rho=0.996, drift=0.05),
    "drift-fast": Machine(rho=0.98, drift=0.05),
    "spikes": Machine(spikes=0.05, size=0.5),
    "spikes-many": Machine(spikes=0.2, size=0.5),
    "hog": Machine(hog=1500),
    "hog-fast": Machine(hog=100),
}
EFFECTS = {
    "none": numpy.zeros(BENCHMARKS),
    "+1 % in one": numpy.eye(BENCHMARKS)[0] * log1p(RULES.margin),
    "+1 % in all": numpy.full(BENCHMARKS, log1p(RULES.margin)),
    "+3 % in one": numpy.eye(BENCHMARKS)[0] * log1p(0.03),
    "+5 % in one": numpy.eye(BENCHMARKS)[0] * log1p(0.05),
    "+5 % in all": numpy.full(BENCHMARKS, log1p(0.05)),
}


def gate(logs: Floats) -> Judgement:
    """One run, from (benchmarks, rounds, samples, arms), with a round's figures as in ``resbench.regression.duel``."""

    def ratio(arm: int, other: int) -> Floats:
        return numpy.asarray(numpy.median(logs[..., arm] - logs[..., other], axis=2))

    heads, agains = (ratio(HEAD, BASE) + ratio(HEAD, AGAIN)) / 2, ratio(AGAIN, BASE)
    pairs = {
        str(i): Pairs(head.tolist(), again.tolist()) for i, (head, again) in enumerate(zip(heads, agains, strict=True))
    }
    return replay(pairs, RULES)


def mann_whitney(times: Floats) -> numpy.ndarray:
    """(runs, benchmarks): has any of the looks after 4, 8, 12 ... rounds rejected?"""
    looks = range(4, ROUNDS + 1, 4)
    tests = (mannwhitneyu(times[..., :n, HEAD], times[..., :n, BASE], alternative="greater", axis=-1) for n in looks)
    return numpy.any([test.pvalue <= NOMINAL for test in tests], axis=0)


def medians(times: Floats) -> numpy.ndarray:
    """(runs, benchmarks): is the median of the head's times above that of the base by more than the threshold?"""
    middle = numpy.median(times, axis=2)
    return middle[..., HEAD] - middle[..., BASE] > log1p(THRESHOLD)


def outcomes(judgements: list[Judgement], logs: Floats, effect: Floats) -> dict[str, Floats]:
    """What is counted, run by run. A false alarm is one where the effect is not above the margin."""
    times = numpy.median(logs, axis=3)
    benchmarks = [judgement.benchmarks.values() for judgement in judgements]
    verdicts = numpy.array([[one.verdict for one in run] for run in benchmarks])
    whole = numpy.array([judgement.verdict for judgement in judgements])
    rounds = numpy.array([[one.n for one in run] for run in benchmarks])
    slower = effect > log1p(RULES.margin)
    found = {verdict: whole == verdict for verdict in ("INVALID", "INCONCLUSIVE", "IMPROVED", "PASS")}
    found["ended at look 1"] = rounds[:, 0] == RULES.looks[0]
    alarms = {"": verdicts == "REGRESSED", "Mann-Whitney: ": mann_whitney(times), "medians: ": medians(times)}
    for name, alarm in alarms.items():
        if not slower.all():
            found[f"{name}false alarm"] = alarm[:, ~slower].any(axis=1)
        if slower.any():
            found[f"{name}caught"] = alarm[:, slower].any(axis=1)
    if slower.any():
        found["passed though slower"] = found["PASS"] | found["IMPROVED"]
    return found


ROWS = (
    *("false alarm", "caught", "passed though slower"),
    *("INVALID", "INCONCLUSIVE", "IMPROVED", "PASS", "ended at look 1"),
    *("Mann-Whitney: false alarm", "Mann-Whitney: caught", "medians: false alarm", "medians: caught"),
)


def rate(hits: int, n: int) -> str:
    """In % with its exact 95 % bounds.

    >>> rate(3, 1000)
    '0.3 (0.1-0.9)'
    """
    low, high = binomtest(hits, n).proportion_ci(method="exact")
    return f"{100 * hits / n:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def simulate(machine: Machine, effect: Floats, runs: int, seed: int) -> dict[str, list[float]]:
    """Runs of one machine under one effect; the same noise for each effect."""
    logs = machine.times(numpy.random.default_rng(seed), runs)
    logs[..., HEAD] += effect[:, None, None]
    judgements = [gate(run) for run in logs]
    detectable = [[one.detectable for one in judgement.benchmarks.values()] for judgement in judgements]
    found = outcomes(judgements, logs, effect) | {"detectable": numpy.mean(detectable, axis=1)}
    return {name: values.tolist() for name, values in found.items()}


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """One machine: a column for each effect."""
    rows = [[row, *(rate(sum(r[row]), len(r[row])) if row in r else "" for r in results.values())] for row in ROWS]
    rows.append(["mean detectable effect", *(f"{100 * numpy.mean(r['detectable']):.2f}" for r in results.values())])
    rows.append(["n", *(str(len(r["detectable"])) for r in results.values())])
    return tabulate(rows, ["%", *results], tablefmt="simple", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", action="append", choices=MACHINES, help="all by default")
    parser.add_argument("--effect", action="append", choices=EFFECTS, help="all by default")
    parser.add_argument("--runs", type=int, default=1000, help="of each machine under each effect")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="every outcome of every run")
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name in options.machine or MACHINES:
        effects = {what: EFFECTS[what] for what in options.effect or EFFECTS}
        results[name] = {what: simulate(MACHINES[name], e, options.runs, options.seed) for what, e in effects.items()}
        print(f"{name}: {MACHINES[name]}\n\n{table(results[name])}\n", flush=True)
    if options.json:
        document = {"schema": 1, "rules": asdict(RULES), "seed": options.seed, "machines": results}
        options.json.write_text(json.dumps(document) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
