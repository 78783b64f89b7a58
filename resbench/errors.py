"""Everything that can go wrong for a user, as one tree.

    ResbenchError                 exit status 2, one line, no traceback
    ├── ArchitectureError         a layer, block or combinator that cannot exist (negative width)
    ├── ShapeError                parts that exist but do not fit each other or the input
    ├── UnknownModelError         a name that neither the catalog nor a source knows
    ├── OptionError               an option that the family lacks, or a value that it does not take
    ├── SourceError               a model that could not be loaded from where it was said to be
    ├── TraceError                a model that could not be run for counting
    ├── MeasureError              a measurement that this machine cannot make: device, dtype, memory
    ├── GateError                 two sides that cannot be compared: a revision, a suite, a run that was stopped
    ├── StoredError               a result of an earlier command that cannot be read
    └── OutputError               a result that could not be written

Every message says what was expected, what came, and what to do next.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from typing import TypeVar

Made = TypeVar("Made")
Given = TypeVar("Given")


class ResbenchError(Exception):
    """A user's mistake or a limit of the machine: shown as one line, exit status 2."""


class ArchitectureError(ResbenchError):
    """A value refused where it was made, for example ``Conv2d(0, 64, 3)``."""


class ShapeError(ResbenchError):
    """A shape that does not fit. ``path`` names the node once the reader knows where it was."""

    def __init__(self, reason: str, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class UnknownModelError(ResbenchError):
    """A model name that nothing answers to."""


class OptionError(ResbenchError):
    """An option of a model, or a value of it, that does not exist."""


class SourceError(ResbenchError):
    """A model that its source could not give."""


class TraceError(ResbenchError):
    """A model whose forward could not be followed."""


class MeasureError(ResbenchError):
    """A measurement that this machine cannot make."""


class GateError(ResbenchError):
    """Two sides that cannot be compared, or one that does not run."""


class StoredError(ResbenchError):
    """A result of an earlier command that cannot be read."""


class OutputError(ResbenchError):
    """A result that could not be written."""


class AllFailed(ResbenchError):
    """None of several models could be asked: a line for each says why."""


class Failures:
    """Which of several models failed, and why: what could be made of the others is kept. Of one alone, or of none,
    the error is raised."""

    def __init__(self, models: Sequence[str] = ()) -> None:
        self.several = len(models) > 1
        self.reasons: dict[str, str] = {}
        """By model, in order: the line that says so."""
        self.stopped = False
        """By Ctrl-C: what is left is not begun."""

    @contextmanager
    def of(self, model: str) -> Iterator[None]:
        """What goes wrong with this model ends here, as its line."""
        try:
            yield
        except ResbenchError as error:
            if not self.several or isinstance(error, OutputError):
                raise  # a disk that is full concerns them all
            self.add(model, str(error))

    def each(self, models: Iterable[Given], make: Callable[[Given], Made]) -> list[Made]:
        """What is made of every model that does not fail."""
        made: list[Made] = []
        for model in models:
            if not self.stopped:
                with self.of(str(model)):
                    made.append(make(model))
        return made

    def add(self, model: str, reason: str) -> None:
        """The line names the model, by itself or by what is put before it."""
        self.reasons.setdefault(model, reason if model in reason else f"{model}: {reason}")

    def left(self, made: list[Made]) -> list[Made]:
        """What was made, if anything was. Raises AllFailed where every model has failed."""
        if not made and self.reasons:
            raise AllFailed("\n".join(" ".join(reason.split()) for reason in self.reasons.values()))
        return made

    def without(self, models: Iterable[str]) -> list[str]:
        """Those that have not failed."""
        return [model for model in models if model not in self.reasons]


def message(error: BaseException | None) -> str:
    """All that an exception says; nothing where someone else's fails to say even that."""
    try:
        return str(error)
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """What an exception says, in one line; its name where it says nothing."""
    return next((line.strip() for line in message(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def foreign(kind: type[ResbenchError], say: Callable[[BaseException], str]) -> Iterator[None]:
    """Somebody else's code runs: what it prints goes to stderr, and what it raises becomes one line of this kind."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except ResbenchError:
        raise
    except (Exception, SystemExit) as error:
        raise kind(say(error)) from error


def cannot_run(what: str, where: str = "") -> AbstractContextManager[None]:
    """What torch or a model cannot do as a MeasureError: memory that is not there, a type that it refuses."""

    def say(error: BaseException) -> str:
        reason = first_line(error)
        if isinstance(error, MemoryError) or "out of memory" in reason or "allocate" in reason:
            return f"{what}: out of memory ({reason}); take a smaller --batch"
        return f"{what}{where}: {type(error).__name__}: {reason}"

    return foreign(MeasureError, say)
