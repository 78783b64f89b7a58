"""`resbench gate` asks whether this change made it worse."""

import gzip
import signal
from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import choose, emit, written
from resbench.cli.progress import progress
from resbench.errors import GateError, OutputError, first_line, foreign
from resbench.files import is_folder, write
from resbench.interrupts import heed


def command(
    base: Annotated[
        str | None, typer.Argument(metavar="BASE", help="A git revision or a directory; the merge base with main.")
    ] = None,
    head: Annotated[
        str | None, typer.Argument(metavar="HEAD", help="A git revision or a directory; the working tree.")
    ] = None,
    suite: Annotated[
        Path, typer.Option("--suite", metavar="FILE", help="What is run, with margins and limits.")
    ] = Path("suites/ci.toml"),
    counters: Annotated[
        bool, typer.Option("--counters", help="Only the working tree's counters, against the committed expectations.")
    ] = False,
    update: Annotated[bool, typer.Option("--update", help="Write these expectations anew.")] = False,
    time_budget: Annotated[
        str, typer.Option("--time-budget", metavar="TIME", help="Of the whole run: 90s, 7m, 1h.")
    ] = "7m",
    raw: Annotated[
        Path | None,
        typer.Option("--raw", metavar="FILE", help="Write every sample as JSON; FILE.json.gz is compressed."),
    ] = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """Judge a change: first what it computes, counter by counter, then its wall time as a duel with its base.

    Exit 0 nothing against it, 1 regressed, 2 invalid, inconclusive, or a side that does not run.
    """
    choose(format, output)
    for path in (output, raw):
        if path and not is_folder(path.parent):
            raise OutputError(f"cannot write {path}: there is no folder {path.parent}; name one that can be written")
    budget_s = options.seconds(time_budget)
    options.refuse(
        (counters or update) and (base or head),
        "--counters and --update look at the working tree: expected no BASE, received one",
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # a background job of a shell would ignore the first
        heed(number)
    from resbench.regression.gating import measure

    try:
        with foreign(GateError, _internal):
            if update:
                updated = measure.update(suite, progress)
            else:
                found = measure.gate(base, head, suite=suite, counters=counters, budget_s=budget_s, progress=progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted before anything was judged; nothing is left behind") from None
    progress.clear()
    if update:
        print(updated)
        return
    if raw:
        text = found.to_json()
        write(raw, gzip.compress(text.encode(), mtime=0) if raw.suffix == ".gz" else text)
    emit(found, format, output)
    if found.interrupted:
        gone = "the worktrees are gone, the same command begins anew"
        tell(f"interrupted after {found.interrupted}; {gone}{written(raw, output)}")
    raise typer.Exit(found.status)


def _internal(error: BaseException) -> str:
    """Say that the gate itself failed: exit status 1 would say that the change regressed."""
    return f"the gate itself failed: {type(error).__name__}: {first_line(error)}; --debug shows where; please report it"
