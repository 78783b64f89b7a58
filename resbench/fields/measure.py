"""The question `field`: what of its input a network's layers see, by their windows, and use, by their gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from resbench.costs.measure import Given, cost
from resbench.errors import Failures
from resbench.fields.reading import layer_fields
from resbench.fields.result import Field, Fields
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.progress import Progress, in_turn, silent

if TYPE_CHECKING:
    from resbench.fields.result import Effective


@public
def field(
    models: Given | Sequence[Given],
    input: Input = None,
    *,
    measure: bool = False,
    seeds: int = 3,
    images: int = 8,
    device: str = "cpu",
    failures: Failures | None = None,
    progress: Progress = silent,
) -> Fields:
    """Read the receptive field, effective stride and padding of every layer of models; nothing runs for it.

    ``measure``: how the gradient at the centre of the last map spreads over random ``images``, for some ``seeds``.
    Raises as ``flops`` does, and MeasureError for a gradient that cannot be taken.

    >>> [max(one.size) for one in field(["plain56", "resnet56", "resnet50", "resnet50,stride=1x1"]).fields]
    [249, 249, 427, 483]
    """
    several: Sequence[Given] = models if isinstance(models, list | tuple) else [models]  # type: ignore[list-item]
    failures = failures or Failures()

    def found(model: Given) -> Field:
        counted = cost(model, input)
        read = Field(counted.model or type(model).__name__, counted.input, layer_fields(counted))
        return replace(read, effective=_effective(model, input, read, seeds, images, device)) if measure else read

    what = "following the gradient to the input" if measure else "reading its windows"
    return Fields(tuple(failures.left(failures.each(in_turn(several, what, progress), found))))


def _effective(model: Given, input: Input, read: Field, seeds: int, images: int, device: str) -> Effective:
    from resbench.fields.effective import effective

    return effective(model, input, read, seeds, images, device)
