"""When sampling begins and ends, on a clock of its own: runs whose seconds are known."""

import random
from itertools import count

import pytest
from scipy import stats

from resbench.workers.medians import blocks, half_width, middle_half, tenths
from resbench.workers.sampling import Rules, sample, warm_up


class Machine:
    """Runs take the seconds that ``next_run`` says; its clock moves by them."""

    def __init__(self, next_run):
        self.now, self.next_run, self.runs = 0.0, next_run, 0

    def __call__(self, times):
        seconds = [self.next_run(self.runs + i) for i in range(times)]
        self.runs += times
        self.now += sum(seconds)
        return [(s,) for s in seconds]

    def clock(self):
        return self.now


def noise(spread, seed=0):
    draw = random.Random(seed)
    return lambda i: 0.01 * (1 + draw.uniform(-spread, spread))


def test_a_quiet_machine_settles_after_the_least_of_runs_and_time():
    machine = Machine(noise(0.001))
    samples = sample(machine, clock=machine.clock)
    assert (samples.verdict, samples.warm, samples.rejected) == ("settled", True, 0)
    assert 1.0 <= samples.warmup_s < 1.2
    assert 0.5 <= sum(samples.totals) < 0.7


def test_fast_runs_are_sampled_for_the_least_time_and_slow_ones_the_least_number():
    fast = Machine(lambda i: 0.0001)
    assert len(sample(fast, clock=fast.clock).runs) >= 5000
    slow = Machine(lambda i: 0.1)
    assert len(sample(slow, clock=slow.clock).runs) >= 30


def test_noise_that_more_samples_do_not_take_away_ends_as_noisy():
    drift = Machine(lambda i: 0.01 * random.Random(i // 60).uniform(1, 1.3))  # another level every 0.6 seconds
    samples = sample(drift, clock=drift.clock)
    assert samples.verdict == "noisy"
    assert drift.now < 15


def test_the_cap_ends_it_as_unstable():
    machine = Machine(lambda i: 2.0)
    samples = sample(machine, clock=machine.clock)
    assert samples.verdict == "unstable"
    assert len(samples.runs) <= 6


def test_slow_runs_are_not_begun_when_the_time_is_up():
    """On a busy machine a run may take seconds: none is begun behind the 10 s to warm up and the 10 s to sample."""
    machine = Machine(lambda i: 4.0)
    samples = sample(machine, clock=machine.clock)
    assert (samples.verdict, samples.warm) == ("unstable", False)
    assert (samples.warmup_s, machine.now) == (12.0, 24.0)


def test_warm_up_lasts_until_two_medians_of_five_agree():
    falling = Machine(lambda i: 0.05 + 0.05 / (1 + i / 10))
    assert warm_up(falling, Rules(), falling.clock)
    assert falling.now > 2
    never = Machine(lambda i: 0.01 * 1.1 ** (i // 5 % 2))
    assert not warm_up(never, Rules(), never.clock)
    assert 10 <= never.now < 10.2


def test_what_ran_while_throttled_is_thrown_away_and_too_much_of_it_is_invalid():
    turns = count()
    machine = Machine(noise(0.001))
    samples = sample(machine, clock=machine.clock, throttled=lambda: next(turns) == 2)
    assert samples.verdict == "settled"
    assert samples.rejected > 0
    machine = Machine(noise(0.001))
    samples = sample(machine, clock=machine.clock, throttled=lambda: True)
    assert samples.verdict == "invalid"
    assert samples.runs  # never an empty row


def test_the_interval_is_students():
    groups = [[random.Random(i).gauss(10, 1)] for i in range(5)]
    medians = [group[0] for group in groups]
    low, high = stats.t.interval(0.95, 4, loc=0, scale=stats.sem(medians))
    assert half_width(groups) == pytest.approx((high - low) / 2)


def test_the_interval_covers_the_mean_of_normal_processes_as_often_as_it_says():
    draw, held = random.Random(1), 0
    for _ in range(2000):
        groups = [[draw.gauss(10, 1)] for _ in range(5)]
        held += abs(sum(g[0] for g in groups) / 5 - 10) <= half_width(groups)
    assert 0.935 <= held / 2000 <= 0.965


def test_blocks_are_consecutive_and_complete():
    parts = blocks(list(range(100)), 8)
    assert [x for part in parts for x in part] == list(range(100))
    assert {len(part) for part in parts} <= {12, 13}


def test_the_middle_half_leaves_out_what_was_disturbed():
    assert sorted(middle_half([5, 1, 2, 9, 3, 4, 8, 100])) == [0, 4, 5, 6]
    assert middle_half([7.0]) == [0]
    assert tenths([3.0]) == (3.0, 3.0)
    assert tenths(list(range(11))) == (1.0, 9.0)
