"""These claims are about networks that are trained, and their gradient at the first step."""

from itertools import pairwise
from statistics import fmean

import torch

from resbench.arch.published import TEST_ERRORS
from resbench.lessons.lab import CONDITION, HOLDS, WRONG, Answer, Lab, percent
from resbench.lessons.on_blocks import with_branches
from resbench.networks.load import load
from resbench.training.degradation import MARGIN, MODELS, gaps
from resbench.training.placements import ORDERS, variants
from resbench.training.result import Trainings

DEPTH = 20
"""The networks whose variants are compared have this depth."""


def degradation(lab: Lab) -> Answer:
    """Claim 1: train plain-20 and plain-56, and take R at the first step."""
    outcome = lab.train(*MODELS)
    gap = next(gap for gap in gaps(outcome.trainings) if gap.family.startswith("plain"))
    r = lab.flow("plain56").record(0)["first_to_last"]
    right = gap.degrades and gap.test > 0
    return Answer(HOLDS if right else WRONG, f"{_errors(outcome)}; R of plain-56 at the first step {r:.3g}")


def _errors(outcome: Trainings) -> str:
    ends = [f"{end['model']} {percent(end['train_error'])} and {percent(end['test_error'])}" for end in outcome.ends]
    return f"training and test error: {', '.join(ends)}"


def no_cancellation(lab: Lab) -> Answer:
    """Claim 4: take the cosine of the gradients along shortcut and branch, at every sum of ResNet-56."""
    flow = lab.flow("resnet56")
    cosines = [abs(row.value) for row in flow.rows if row.statistic == "cosine"]
    ratios = [row.value for row in flow.rows if row.statistic == "ratio"]
    return Answer(
        HOLDS if max(cosines) < 0.5 else WRONG,
        f"largest |cosine| {max(cosines):.3f} over {len(cosines)} sums; branch / shortcut from {min(ratios):.2f} to "
        f"{max(ratios):.2f}",
    )


def explosion(lab: Lab) -> Answer:
    """Claim 5: compare R of ResNet-56 with and without BN."""
    tamed, bare = (lab.flow("resnet56", norm).record(0)["first_to_last"] for norm in ("bn", "none"))
    return Answer(
        WRONG if bare < 1e3 else HOLDS if tamed > 1e3 else CONDITION,
        f"R of ResNet-56 at the first step: {tamed:.3g}, without BN {bare:.3g}",
    )


def shrinking_residuals(lab: Lab) -> Answer:
    """Claim 6: take ||F(x)|| / ||h(x)||, mean over the sums, five times in a training."""
    outcome = lab.train(*MODELS)
    paths = {name: _trajectory(outcome, name, "strength") for name in ("resnet20", "resnet56")}
    left = [path[-1] / path[0] for path in paths.values()]
    figures = "; ".join(f"{name} {' '.join(f'{value:.2f}' for value in path)}" for name, path in paths.items())
    return Answer(
        HOLDS if max(left) < 0.1 else CONDITION if left[1] < left[0] < 1 else WRONG,
        f"mean ||F|| / ||h|| at the beginning of each fifth of the training: {figures}",
    )


def _trajectory(outcome: Trainings, name: str, statistic: str) -> list[float]:
    rows = [
        row
        for result in outcome.trainings
        if result.cell.model == name
        for row in result.rows
        if row.statistic == statistic
    ]
    steps = sorted({row.step for row in rows})
    return [fmean(row.value for row in rows if row.step == step) for step in steps]


def addition_last(lab: Lab) -> Answer:
    """Claim 13: train the five orders, and compare what is published of them, and the signal that can only grow."""
    names = [order.format(DEPTH) for order in ORDERS]
    outcome = lab.train(*names)
    test = {end["model"]: end["test_error"] for end in outcome.ends}
    printed = [error.percent for error in variants(110, "orders").values() if error]
    last = f"resnet{DEPTH},order=relu-before-add"
    best = min(test.values())
    right = printed[-1] == min(printed) and test[last] > best and test[f"preact_resnet{DEPTH}"] < best + MARGIN
    figures = ", ".join(f"{name} {percent(error)}" for name, error in test.items())
    return Answer(
        WRONG if right else CONDITION,
        f"test error: {figures}; published at 110 layers: {', '.join(printed)} %; with ReLU before the addition "
        f"{percent(falling_share(last))} of what a branch adds is negative (original "
        f"{percent(falling_share(names[0]))})",
    )


@torch.no_grad()
def falling_share(name: str) -> float:
    """Return the negative share of what the branches add to the signal, which is 0 where they end in ReLU."""
    x = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    _, branches = with_branches(load(name).module.train(), x)
    return torch.cat([(branch < 0).flatten() for branch in branches]).double().mean().item()


def preactivation(lab: Lab) -> Answer:
    """Claim 14: compare ResNet-56 with its pre-activation form: R at the first step, and training at the full rate."""
    short = {"epochs": 8.0} if lab.plan.data == "digits" else {}
    outcome = lab.train("resnet56", "preact_resnet56", warmup=0, **short)
    names = ("resnet56", "preact_resnet56")
    original, pre = (fmean(point["error"] for point in outcome.curve(name, "train_error")) for name in outcome.by_model)
    ratios = [lab.flow(name).record(0)["first_to_last"] for name in names]
    easier = pre < 0.9 * original
    return Answer(
        WRONG if not easier else HOLDS if ratios[1] < ratios[0] else CONDITION,
        f"without warm-up, {outcome.ends[0]['iterations']:,} iterations: {_errors(outcome)}, mean training error on "
        f"the way {percent(original)} and {percent(pre)}; R at the first step {ratios[0]:.3g} and {ratios[1]:.3g}",
    )


def projection(lab: Lab) -> Answer:
    """Claim 16: train options A, B and C."""
    outcome = lab.train(*(f"resnet{DEPTH}{option}" for option in ("", ",shortcut=B", ",shortcut=C")))
    shares = [_silent_channels(load(f"resnet{DEPTH}{option}").module) for option in ("", ",shortcut=B")]
    a_error, *others = (end["test_error"] for end in outcome.ends)
    return Answer(
        WRONG if shares != [0.5, 0.0] else HOLDS if max(others) < a_error - MARGIN else CONDITION,
        f"{_errors(outcome)}; channels behind the second stage's shortcut that get nothing from it: A "
        f"{percent(shares[0])}, B {percent(shares[1])}",
    )


@torch.no_grad()
def _silent_channels(net: torch.nn.Module) -> float:
    shortcut = net.get_submodule("layer2.0.downsample").eval()
    maps = shortcut(torch.randn(4, 16, 32, 32, generator=torch.Generator().manual_seed(0)))
    return float((maps.abs().amax((0, 2, 3)) == 0).float().mean())


def auxiliary(lab: Lab) -> Answer:
    """Claim 17: train plain-56 with two auxiliary classifiers and without them, and ResNet-56."""
    outcome = lab.train("plain56", "plain56,aux=yes", "resnet56")
    _, helped, residual = (end["train_error"] for end in outcome.ends)
    return Answer(HOLDS if helped > residual + MARGIN else WRONG, _errors(outcome))


def deeper(lab: Lab) -> Answer:
    """Claim 18: train ResNet-20, 32, 44 and 56, and tell whether the training error falls with each, or rises."""
    names = [f"resnet{depth}" for depth in (20, 32, 44, 56)]
    outcome = lab.train(*names)
    errors = [end["train_error"] for end in outcome.ends]
    falls = all(deep < shallow for shallow, deep in pairwise(errors))
    rises = any(deep > shallow + MARGIN for shallow, deep in pairwise(errors))
    return Answer(
        HOLDS if falls else WRONG if rises else CONDITION,
        f"{_errors(outcome)}; published test errors: {', '.join(TEST_ERRORS[name].percent for name in names)} %",
    )
