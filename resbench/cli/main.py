"""`resbench`: the commands, and the one place where errors become a line and an exit status.

Exit status: 0 done, 1 a verdict against, 2 bad usage or input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from resbench.cli import (
    claims,
    compare,
    compare_runs,
    degradation,
    doctor,
    flops,
    gate,
    gradflow,
    history,
    latency,
    models,
    placements,
    profile,
    report,
    show,
)
from resbench.errors import ResbenchError

app = typer.Typer(
    name="resbench",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="What a convolutional network costs, layer by layer and side by side.",
)
app.command("models")(models.models)
app.command("show")(show.show)
app.command("flops")(flops.flops)
app.command("compare")(compare.compare)
app.command("latency")(latency.latency)
app.command("profile")(profile.profile)
app.command("gradflow")(gradflow.gradflow)
app.command("degradation")(degradation.degradation)
app.command("placements")(placements.placements)
app.command("claims")(claims.claims)
app.command("gate")(gate.gate)
app.command("compare-runs")(compare_runs.compare_runs)
app.command("history")(history.history)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)

ClickException: Any = typer.BadParameter.__mro__[2]
"""What wrong usage raises, under whichever name typer carries click."""


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
    """The options of every command."""


def main() -> None:
    """Run a command; turn what goes wrong into one line on stderr."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    try:
        status = app(arguments, prog_name="resbench", standalone_mode=False)
        sys.stdout.flush()
    except ResbenchError as error:
        if debug:
            raise
        status = _refuse(str(error))
    except BrokenPipeError:
        # the reader of our pipe has enough (| head -1): stop without a word, also at interpreter exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except ClickException as error:
        if debug:
            raise
        status = _refuse(error.format_message()) if error.format_message() else 2  # empty: the help was shown
    sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str) -> int:
    line = " ".join(message.split())
    print(f"resbench: {line}", file=sys.stderr)
    return 2
