"""A long piece of work says what is at hand, which share is done, and what Ctrl-C would keep of it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeVar

Model = TypeVar("Model")

Progress = Callable[[str, float], object]
"""This is told what is at hand, and the share of all the work that is done."""

Moment = tuple[float, float]
"""At this time, in seconds, so much was done."""


def silent(line: str, share: float) -> None:
    """Take progress that nobody watches, and show nothing."""


class Step(str):
    """A step is what is at hand, in words; to whoever wants no more it is these words alone."""

    keeps: str
    """This is what Ctrl-C would keep now, such as ``2 rows``; it is empty for nothing."""
    part: str
    """The share is that of this part of the work, such as ``part 2 of 4``; it is empty where it is that of all."""

    def __new__(cls, words: str, keeps: str = "", part: str = "") -> Self:
        step = super().__new__(cls, words)
        step.keeps, step.part = keeps, part
        return step


def of_part(progress: Progress, part: str, earlier: str = "") -> Progress:
    """Return the progress of one part of the work; what is kept of ``earlier`` ones stands before what it keeps."""

    def told(line: str, share: float) -> None:
        own = line.keeps if isinstance(line, Step) else ""
        progress(Step(line, " and ".join(filter(None, (earlier, own))), part), share)

    return told


def in_turn(models: Sequence[Model], what: str, progress: Progress) -> Iterator[Model]:
    """Yield models one after the other, and tell what is done with each before it is done."""
    for i, model in enumerate(models):
        name = model if isinstance(model, str) else type(model).__name__
        progress(Step(f"{name}: {what}"), i / len(models))
        yield model


def remaining(history: Sequence[Moment], total: float = 1.0) -> float | None:
    """t_left = (t_n - t_1) / (d_n - d_1) * (total - d_n): the seconds until all is done, at the pace so far.

    ``history`` holds when how much was done, from the first moment at which work began; what is at hand counts as not
    done. It is None where nothing has been done since then, or all is done already: then nothing is known.

    >>> remaining([(100.0, 0.0), (110.0, 0.25)])
    30.0
    >>> remaining([(100.0, 0.0)]) is remaining([(100.0, 0.0), (110.0, 1.0)]) is None
    True
    """
    if not history:
        return None
    (begun, first), (now, done) = history[0], history[-1]
    if not first < done < total:
        return None
    return (now - begun) / (done - first) * (total - done)
