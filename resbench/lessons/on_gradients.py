"""These claims are about the gradient at the first step."""

from __future__ import annotations

from resbench.lessons.lab import CONDITION, HOLDS, WRONG, Answer, Lab


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
    verdict = WRONG if bare < 1e3 else HOLDS if tamed > 1e3 else CONDITION
    return Answer(verdict, f"R of ResNet-56 at the first step: {tamed:.3g}, without BN {bare:.3g}")
