"""Every error that a user can cause or meet stands in one tree, and prints as one line.

    ResbenchError                 exit status 2, one line, no traceback
    ├── ArchitectureError         a layer, block or combinator that cannot exist (negative width)
    ├── ShapeError                parts that exist but do not fit each other or the input
    ├── UnknownModelError         a name that neither the catalog nor a source knows
    ├── OptionError               an option that the family lacks, or a value that it does not take
    ├── SourceError               a model, or data, that could not be loaded from its source
    ├── TraceError                a model that could not be run for counting
    ├── MeasureError              a measurement that this machine cannot make: device, dtype, memory
    ├── GateError                 two sides that cannot be compared: a revision, a suite, a run that was stopped
    ├── StoredError               a result of an earlier command that cannot be read
    └── OutputError               a result that could not be written

Every message says what was expected, what came, and what to do next.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from difflib import get_close_matches
from signal import SIG_DFL, SIG_IGN, SIGINT, SIGTERM, getsignal
from traceback import walk_tb
from typing import TypeVar

Made = TypeVar("Made")
Given = TypeVar("Given")


class ResbenchError(Exception):
    """A user made a mistake, or the machine has a limit; the command shows one line and ends with status 2."""


class ArchitectureError(ResbenchError):
    """A layer, block or combinator cannot exist, for example ``Conv2d(0, 64, 3)``; it is refused where it is made."""


class ShapeError(ResbenchError):
    """A shape does not fit. ``path`` names the node once the reader knows where it was."""

    def __init__(self, reason: str, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class UnknownModelError(ResbenchError):
    """Neither the catalog nor a source knows the name of the model."""


class OptionError(ResbenchError):
    """An option does not exist, or does not take the value that was given."""


class SourceError(ResbenchError):
    """A source could not give the model, or the data, that was asked of it."""


class TraceError(ResbenchError):
    """The forward pass of a model could not be followed."""


class MeasureError(ResbenchError):
    """This machine cannot make the measurement."""


class GateError(ResbenchError):
    """Two sides cannot be compared, or one of them does not run."""


class StoredError(ResbenchError):
    """The result of an earlier command cannot be read."""


class OutputError(ResbenchError):
    """A result could not be written."""


class AllFailed(ResbenchError):
    """None of several models could be asked: a line for each says why."""


class Failures:
    """This records which of several models failed and why, so that the others go on.

    Where one model alone was asked for, or none, its error is raised. Ctrl-C sets ``stopped``: then no further model is
    begun.
    """

    def __init__(self, models: Sequence[str] = ()) -> None:
        self.several = len(models) > 1
        self.reasons: dict[str, str] = {}
        self.stopped = False

    @contextmanager
    def of(self, model: str) -> Iterator[None]:
        """Turn an error of this model into its line, and go on behind the ``with``."""
        try:
            yield
        except ResbenchError as error:
            if not self.several or isinstance(error, OutputError):
                raise  # a disk that is full concerns them all
            self.add(model, str(error))

    def each(self, models: Iterable[Given], make: Callable[[Given], Made]) -> list[Made]:
        """Return what is made of every model that does not fail."""
        made: list[Made] = []
        for model in models:
            if not self.stopped:
                with self.of(str(model)):
                    made.append(make(model))
        return made

    def add(self, model: str, reason: str) -> None:
        """Record a model's first failure; the model's name is put before a reason that does not hold it."""
        self.reasons.setdefault(model, reason if model in reason else f"{model}: {reason}")

    def left(self, made: list[Made]) -> list[Made]:
        """Return what was made, if anything was. Raises AllFailed where every model has failed."""
        if not made and self.reasons:
            raise AllFailed("\n".join(" ".join(reason.split()) for reason in self.reasons.values()))
        return made

    def without(self, models: Iterable[str]) -> list[str]:
        """Return the models that have not failed."""
        return [model for model in models if model not in self.reasons]


def message(error: BaseException | None) -> str:
    """Return the text of an exception; it is empty where an exception of other people's code cannot be printed."""
    try:
        return str(error)
    except Exception:
        return ""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text that is not empty, or else the name of its class."""
    return next((line.strip() for line in message(error).splitlines() if line.strip()), type(error).__name__)


SOURCES = re.compile(
    r"\S+\.(?:cc|cpp|cu|h|hpp):\d+:?\s*(?:[\w:<>&*~, ]+::~?\w+\((?:[^()]|\([^()]*\))*\)(?: const)?\s*)?"
)
"""A line of C++ and the signature of its function: they say where an error was raised, which tells a user nothing."""

LONGEST = 300
"""A reason has so many characters at most."""


def telling_line(error: BaseException) -> str:
    """Return the first line of an exception's text that does not only lead to others by a colon, without what it says
    of sources in C++.

    >>> telling_line(RuntimeError("Exception from src/core.cpp:132:\\nCheck 'x' failed at src/a.cpp:5:\\nno Dropout"))
    'no Dropout'
    >>> telling_line(RuntimeError("fail: /src/state.cc:294 a::Status a::b::Save(const a::Env&, c&) it was false."))
    'fail: it was false.'
    """
    lines = [" ".join(line.split()) for line in message(error).splitlines() if line.strip()]
    line = next((line for line in lines if not line.endswith(":")), (lines or [type(error).__name__])[-1])
    line = SOURCES.sub("", line).strip() or line
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint, behind a semicolon, at the known word that is nearest to an unknown one.

    ``otherwise`` is the hint where none is near; without it there is none.

    >>> did_you_mean("widht", ["width", "depth"]), did_you_mean("x", ["width"], "expected width")
    ('; did you mean width?', '; expected width')
    """
    near = get_close_matches(word, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else otherwise
    return f"; {hint}" if hint else ""


@contextmanager
def foreign(kind: type[ResbenchError], say: Callable[[BaseException], str]) -> Iterator[None]:
    """Run other people's code: what it prints goes to stderr, and what it raises becomes an error of this kind.

    A KeyboardInterrupt is the user's, unless the process heeds no signal that asks it to end, as one of several that
    share work: then that code raised it itself.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (ResbenchError, GeneratorExit):
        raise
    except BaseException as error:
        heeds = (getsignal(SIGINT), getsignal(SIGTERM)) != (SIG_IGN, SIG_DFL)
        if isinstance(error, KeyboardInterrupt) and heeds:
            raise
        raise kind(say(error)) from error


def cannot_run(what: str, where: str = "", hint: str = "") -> AbstractContextManager[None]:
    """Turn what torch or a model cannot do into a MeasureError, such as too little memory or a type it refuses.

    ``hint`` ends the message where it is not for want of memory.
    """

    def say(error: BaseException) -> str:
        reason = first_line(error)
        if isinstance(error, MemoryError) or "out of memory" in reason or "allocate" in reason:
            return f"{what}: out of memory ({reason}); take a smaller --batch"
        return f"{what}{where}: {_raised_in(error)}{type(error).__name__}: {reason}{hint}"

    return foreign(MeasureError, say)


def _raised_in(error: BaseException) -> str:
    """Say ``layer1.0.conv1 (Conv2d): `` of the module that raised it, by its name within the outermost that ran; say
    nothing where that one raised it itself."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code.co_name == "_call_impl"]
    modules = [frame.f_locals.get("self") for frame in frames]
    named = getattr(modules[0], "named_modules", None) if modules else None
    name = next((name for name, module in named() if module is modules[-1]), "") if named else ""
    return f"{name} ({type(modules[-1]).__name__}): " if name else ""
