"""A recipe trains a network as in He et al. 2015, section 4.2, for any number of steps.

>>> TrainingRecipe(64_000).rate(31_999), TrainingRecipe(64_000).rate(32_000), TrainingRecipe(64_000).rate(63_999)
(0.1, 0.01, 0.001)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from resbench.errors import OptionError

DTYPES = ("fp32", "bf16")


@dataclass(frozen=True)
class TrainingRecipe:
    """SGD on the cross entropy divides lr by 10 at one half and at three quarters of the way (32k and 48k of 64k).

    The weight decay is on every parameter, as in the paper. The first ``warmup`` iterations run at lr / 10: the
    paper's ResNet-110 has some 400 of them. ``augment``: pad by 4, crop, flip. bf16 is by autocast. Raises OptionError.
    """

    iterations: int
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: int = 0
    augment: bool = False
    dtype: str = "fp32"

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.batch < 2 or self.warmup < 0 or not (isfinite(self.lr) and self.lr > 0):
            raise OptionError(
                "expected one iteration or more, --batch of at least 2 and a positive --lr; "
                f"received {self.iterations}, {self.batch} and {self.lr:g}"
            )
        if self.dtype not in DTYPES:
            raise OptionError(f"--dtype takes {', '.join(DTYPES)}; received {self.dtype!r}")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.lr / 10
        divided = (2 * step >= self.iterations) + (4 * step >= 3 * self.iterations)
        return self.lr / (1, 10, 100)[divided]
