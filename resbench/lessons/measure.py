"""What is said of residual learning is tried, each statement as an experiment that is run here and now.

    Claim --experiment(Lab)--> Answer, held against the verdict that is expected

A claim that comes out otherwise than expected is news: exit status 1.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from resbench.errors import MeasureError, OptionError
from resbench.given import public
from resbench.lessons import on_blocks, on_counting, on_trainings
from resbench.lessons.lab import CONDITION, HOLDS, OBSERVED, UNANSWERED, WRONG, Answer, Lab
from resbench.lessons.result import Claims
from resbench.lessons.table import Finding
from resbench.progress import Progress, Step, silent
from resbench.training.degradation import Plan
from resbench.training.train import options, precision
from resbench.units import plural
from resbench.workers.environment import environment


class Claim(NamedTuple):
    """A claim has its ``statement`` as it is made and as is ``correct``, and the verdict that is ``expected``."""

    id: int
    statement: str
    correct: str
    experiment: Callable[[Lab], Answer]
    expected: str
    trains: bool = False
    """Its full scale is CIFAR-10."""
    at_full: str = ""
    """Another verdict is expected there, if one stands here."""

    @property
    def rerun(self) -> str:
        """Return the command that asks again, at full scale."""
        return f"resbench claims {self.id}" + (" --full --data-root DIR" if self.trains else "")


CLAIMS = (
    Claim(
        1,
        "plain-56 has a higher training and test error than plain-20",
        "It has, and not because the gradient vanishes: at the first step it explodes (He et al. 2015, figure 1).",
        on_trainings.degradation,
        HOLDS,
        True,
    ),
    Claim(
        2,
        "A residual block with W = 0 and b = 0 is the identity",
        "A pre-activation block is, exactly; the original one for x >= 0 only, and where the last BN's beta is 0 too.",
        on_blocks.identity,
        CONDITION,
    ),
    Claim(
        3,
        "dE/dx_l = dE/dx_L (1 + d/dx_l of the sum of F)",
        "Only where the shortcuts and what follows the sums are identities (He et al. 2016, eq. 5).",
        on_blocks.gradient_of_the_sum,
        CONDITION,
    ),
    Claim(
        4,
        "The gradient does not vanish, for the residual term is not always -1",
        "The two paths are nearly orthogonal at the start: a cancellation would need a cosine of -1 and equal norms.",
        on_trainings.no_cancellation,
        HOLDS,
    ),
    Claim(
        5,
        "Shortcuts do not keep the gradient from exploding",
        "Without BN they do not; BN is what tames it.",
        on_trainings.explosion,
        CONDITION,
    ),
    Claim(
        6,
        "Residuals shrink towards 0 as training goes on",
        "They become smaller beside the shortcut, the more so the deeper the network, but not 0 (He et al. 2015, "
        "figure 7, shows the responses of trained networks).",
        on_trainings.shrinking_residuals,
        CONDITION,
        True,
    ),
    Claim(
        7,
        "Identity shortcuts cost no parameters and no MACs",
        "They cost neither, but each sum reads two maps and writes one, and takes time. Option B adds 2,752 parameters "
        "to ResNet-56, so plain against B is not matched.",
        on_counting.free_shortcuts,
        HOLDS,
    ),
    Claim(
        8,
        "Where shapes change, option A pads with zeros, B projects, and C projects everywhere",
        "So it is: only A has the plain network's parameters (He et al. 2015, sec. 3.3).",
        on_counting.options,
        HOLDS,
    ),
    Claim(
        9,
        "A bottleneck has 896 weights where two 3x3 have 1,152",
        "Two 3x3 of 64 channels have 73,728, a bottleneck 256-64-64-256 has 69,632: the popular figures leave out the "
        "input channels.",
        on_counting.bottleneck,
        WRONG,
    ),
    Claim(
        10,
        "A 1x1 convolution in front of a 5x5 brings 120M operations down to 12.4M",
        "Exactly 120,422,400 to 12,443,648 multiply-accumulates (Szegedy et al. 2014).",
        on_counting.reduction,
        HOLDS,
    ),
    Claim(
        11,
        "A 1x1 convolution is 9 times faster than a 3x3",
        "It has 9 times fewer multiply-accumulates; how much faster it is, is a measurement.",
        on_counting.nine_times,
        CONDITION,
    ),
    Claim(
        12,
        "Twice the filters where the map halves keeps the cost of a layer",
        "In every layer but the one that halves the map: it costs half.",
        on_counting.constant_cost,
        CONDITION,
    ),
    Claim(
        13,
        "Addition as the last step of a block is the best placement",
        "Of the five orders only full pre-activation wins; ReLU before the addition lets the signal only grow "
        "(He et al. 2016, Table 2).",
        on_trainings.addition_last,
        WRONG,
        True,
    ),
    Claim(
        14,
        "Pre-activation gives a better gradient flow and is easier to optimise",
        "Easier to optimise, yes: it needs no warm-up. R at the first step is no better at 56 layers.",
        on_trainings.preactivation,
        CONDITION,
        True,
    ),
    Claim(
        15,
        "Depths 13 and 34 use basic blocks",
        "18 and 34 do; there is no ResNet-13 (He et al. 2015, Table 1).",
        on_counting.depths,
        WRONG,
    ),
    Claim(
        16,
        "A projection keeps more expressiveness than zero padding",
        "Half of the channels behind a padded shortcut get nothing from it; what that is worth is small (Table 3: "
        "25.03, 24.52 and 24.19 % on ImageNet).",
        on_trainings.projection,
        CONDITION,
        True,
    ),
    Claim(
        17,
        "Auxiliary classifiers are not enough for 50 layers and more",
        "They are not: plain-56 with two of them stays behind ResNet-56.",
        on_trainings.auxiliary,
        HOLDS,
        True,
    ),
    Claim(
        18,
        "With shortcuts the training error keeps falling with depth",
        "It does not rise; that it falls can be seen only where there is an error left, as on CIFAR-10.",
        on_trainings.deeper,
        CONDITION,
        True,
        HOLDS,
    ),
)


def chosen(numbers: Sequence[str]) -> list[Claim]:
    """Return the claims of those numbers; all of them where none is given. Raises OptionError."""
    known = {str(claim.id): claim for claim in CLAIMS}
    for number in numbers:
        if number not in known:
            raise OptionError(f"expected numbers of claims from 1 to {len(CLAIMS)}; received {number[:80]}")
    return [known[number] for number in dict.fromkeys(numbers)] or list(CLAIMS)


@public
def claims(
    ids: Sequence[str | int] = (),
    *,
    full: bool = False,
    root: Path | None = None,
    seeds: int = 1,
    dtype: str | None = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress = silent,
) -> Claims:
    """Run claims as experiments, all of them by default, on digits or in ``full`` on CIFAR-10, which lies in ``root``.

    ``folder`` keeps the trainings, which the claims share. Ctrl-C gives what is done. Raises as ``train`` does.
    """
    if full and root is None:
        raise OptionError("--full needs --data-root DIR, the folder that holds CIFAR-10")
    asked, data = chosen([str(number) for number in ids]), "cifar10" if full else "digits"
    run = options(device, every=OBSERVED[data], folder=folder)
    plan = Plan(data, root, seeds, dtype=dtype or precision(run.device))
    found: list[Finding] = []
    try:
        found.extend(findings(asked, Lab(plan, run, progress)))
    except KeyboardInterrupt:  # what came before it is in the list
        if not found:
            raise
    return Claims(tuple(found), environment(run.device), len(found) < len(asked))


def findings(claims: Sequence[Claim], lab: Lab) -> Iterator[Finding]:
    """Ask each claim in turn, and yield what came of it."""
    for i, claim in enumerate(claims):
        begun = time.perf_counter()
        name = f"claim {claim.id}"
        part, earlier = f"claim {i + 1} of {len(claims)}", plural(i, "claim") if i else ""
        lab.progress(Step(name, earlier, part), 0.0)
        try:
            answer = claim.experiment(lab.part(name, part, earlier))
        except MeasureError as error:
            answer = Answer(UNANSWERED, str(error))
        expected = claim.at_full if claim.at_full and lab.plan.data != "digits" else claim.expected
        seconds = time.perf_counter() - begun
        yield Finding(claim.id, claim.statement, claim.correct, claim.rerun, *answer, expected, seconds)
