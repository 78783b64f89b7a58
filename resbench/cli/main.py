"""`resbench` has its commands here, and the one place where errors become a line and an exit status.

Exit status: 0 done, 1 a verdict against, 2 bad usage or input, 130 interrupted.
"""

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from resbench.cli.commands import HELP, Commands
from resbench.cli.outlets import open_outlets, tell
from resbench.cli.progress import progress
from resbench.errors import AllFailed, ResbenchError, first_line

app = typer.Typer(
    name="resbench",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=HELP,
    help="What a convolutional network costs, layer by layer and side by side.",
)
ClickException: Any = typer.BadParameter.__mro__[2]
"""Wrong usage raises this, under whichever name typer carries click."""


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"resbench {version('resbench')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere.")] = False,
) -> None:
    """Take the options of every command."""


def main() -> None:
    """Run a command; turn what goes wrong into one line on stderr. Only what it found or refused sets the status."""
    open_outlets()
    progress.begin()
    debug = "--debug" in sys.argv
    try:
        try:
            status = app(
                [word for word in sys.argv[1:] if word != "--debug"], prog_name="resbench", standalone_mode=False
            )
        finally:
            progress.clear()
            sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort) as stopped:
        tell(*filter(None, [str(stopped)]))  # what a training that is kept has to say
        status = 130
    except SystemExit as ended:  # somebody else's; 1 would be a verdict
        status = _refuse(ended.code if isinstance(ended.code, str) else "") if ended.code else 0
    except BaseException as error:  # a model may raise what is no Exception
        if debug:
            traceback.print_exc()
        status = 2 if debug else _refuse(*_lines(error))
    sys.exit(status if isinstance(status, int) else 0)


def _lines(error: BaseException) -> list[str]:
    """Return a line for each model that failed, and otherwise one; it is empty where the help was shown instead."""
    if isinstance(error, AllFailed):
        return str(error).splitlines()
    if isinstance(error, ResbenchError):
        return [str(error)]
    if isinstance(error, ClickException):
        return [str(error.format_message())]
    if isinstance(error, FileNotFoundError) and not _stands():
        return ["the folder that this was called in is gone; call it again from one that stays"]
    if isinstance(error, MemoryError):
        return ["the memory of this machine, or what is left of it, is too small for that: expected a smaller input"]
    kind = type(error).__name__
    return [f"resbench itself failed: {kind}: {first_line(error)}; --debug shows where; please report it"]


def _stands() -> bool:
    """Tell whether the folder in which this runs is still there."""
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _refuse(*messages: str) -> int:
    """Say what was refused, a line each; status 1 would be a verdict."""
    tell(*filter(None, (" ".join(message.split()) for message in messages)))
    return 2
