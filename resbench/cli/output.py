"""Results go to a terminal, a pipe, or a file that is written whole."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import typer

from resbench.cli.outlets import tell
from resbench.cli.progress import STARTING, progress
from resbench.drawing.charts import SUFFIXES as CHARTS
from resbench.drawing.charts import Picture, check_suffix, data_beside, save, table_of
from resbench.errors import Failures, OptionError, OutputError
from resbench.files import check_writable, packed, suffix_of, write
from resbench.result import Result
from resbench.tables.render import SUFFIXES, Format, to_terminal
from resbench.tables.table import Table
from resbench.units import calls_text, legible

if TYPE_CHECKING:
    from resbench.pages.tensorboard import Board
    from resbench.results import Stored


def choose(format: str | None, path: Path | None) -> Format:
    """Return the format that is asked for, else that of the file's name, else a table. Raises OptionError."""
    suffix = suffix_of(path) if path else ""
    if suffix in CHARTS and suffix not in SUFFIXES:
        raise OptionError(f"--output takes tables and JSON, received {path}; a chart goes to --plot FILE")
    if format is None and suffix not in ("", *SUFFIXES):
        known = ", ".join(("nothing", *SUFFIXES))
        raise OptionError(f"--output takes a file that ends in {known}, or --format beside it; received {path}")
    if format is None:
        return SUFFIXES.get(suffix, "table")
    if format not in get_args(Format):
        raise OptionError(f"--format takes {', '.join(get_args(Format))}; received {format!r}")
    return format  # type: ignore[return-value]


def checked(format: str | None, output: Path | None, plot: Path | None = None) -> Format:
    """Return the format, once all is refused that can be before anything is measured."""
    chosen = choose(format, output)
    for path in filter(None, (output, plot)):
        check_writable(path)
    if plot:
        check_suffix(plot)
        if output and output.resolve() in (plot.resolve(), data_beside(plot).resolve()):
            raise OptionError(f"--output and --plot would write one file, {output}: expected two")
    progress(STARTING)
    return chosen


def emit(
    result: Result,
    format: str | None = None,
    path: Path | None = None,
    tables: Sequence[Table] | None = None,
    plot: Path | None = None,
) -> None:
    """Write a result: its tables, or others of it, or the whole as JSON; with ``plot``, its charts too."""
    progress.clear()
    chosen, width = choose(format, path), shutil.get_terminal_size().columns
    if chosen in ("csv", "tsv"):
        tables = tables or [result.flat()]
        tell(*tables[0].warnings)
    if path:
        write(path, packed(path, result.text(chosen, command_line(), tables) + "\n"))
    elif chosen == "table" and sys.stdout.isatty():
        if lines := result.worded(width):
            print(legible(lines))
        else:
            _to_terminal(result.tables() if tables is None else tables, width)
    elif text := result.text(chosen, command_line(), tables):
        print(text)
    if chosen == "table" and not path:
        print(result.sketch(width, sys.stdout.isatty()), end="")
    if plot:
        draw(result, plot)


def draw(result: Result, plot: Path, pictures: Sequence[Picture] | None = None) -> None:
    """Write its charts, or others of them, as the file's name says, and their data beside it.

    HTML is a page, as `report` makes it, of this result alone.
    """
    drawn = result.drawn() if pictures is None else pictures
    if plot.suffix.lower() != ".html":
        save(drawn, plot)
        return
    from resbench.pages.page import page

    first, *others = result.sections()
    first = replace(first, key=first.key or "found", title=first.title or "Found", pictures=drawn)
    write(plot, page(result.headline, [first, *others], (), command_line()))
    write(data_beside(plot), table_of(drawn))


def _to_terminal(tables: Sequence[Table], width: int) -> None:
    for i, table in enumerate(tables):
        if i and tables[i - 1].remarks:
            print()
        to_terminal(table, width)


def command_line() -> str | None:
    """Return the command that this process is, for a shell; it is None where resbench is used from Python."""
    program = Path(sys.argv[0])
    named = program.stem == "resbench" or (program.name == "__main__.py" and program.parent.name == "resbench")
    return shlex.join(["resbench", *sys.argv[1:]]) if named else None


def board(folder: Path | None, command: str, **hparams: Any) -> "Board | None":
    """Prepare event files there, if they are asked for. Raises OutputError, before anything is measured."""
    if folder is None:
        return None
    from resbench.pages.tensorboard import Board

    return Board(folder, command, hparams)


def say_where(events: "Board") -> None:
    """Say on stderr where the event files are, and what is not in them. Raises OutputError where the disk failed."""
    tell(*events.remarks)
    if events.failure:
        raise OutputError(events.failure)
    if events.folder:
        print(f"event files: {events.folder}  (tensorboard --logdir {events.root})", file=sys.stderr)


def tell_remarks(found: "Sequence[Stored]") -> None:
    """Say on stderr what results of an earlier version do not say."""
    tell(*filter(None, (one.remark for one in found)))


def end_early(line: str, files: Sequence[Path | None]) -> NoReturn:
    """End a command that Ctrl-C stopped, with a line that names the files that hold what was done by then."""
    tell(f"{line}{written(*files)}")
    raise typer.Exit(130)


def written(*files: Path | None) -> str:
    """Say at the end of a line which files were written; it is empty where none was."""
    names = ", ".join(str(path) for path in files if path)
    return f"; written: {names}" if names else ""


def end(
    failures: Failures,
    strict: bool = False,
    results: Sequence[Result] = (),
    models: Sequence[str] = (),
    interrupted: str = "",
    files: Sequence[Path | None] = (),
) -> None:
    """End a command that took several models: a line for each that failed, and exit 2; or 130 where it was interrupted.

    ``interrupted`` says what was finished by then, where the results do not know that it was; ``files`` hold it.
    With ``--strict`` the status is 1 where something ran for these results that nobody could count.
    """
    tell(*(" ".join(reason.split()) for reason in failures.reasons.values()))
    if any(getattr(one, "interrupted", False) for one in results):
        from resbench.results import finished

        interrupted = interrupted or finished(results)
    if interrupted:
        end_early(f"interrupted after {interrupted}", files)
    if failures.reasons:
        raise typer.Exit(2)
    if not strict:
        return
    from resbench.results import uncounted

    if unknown := uncounted(results, models):
        listed = "; ".join(f"{model}: {calls_text(calls)}" for model, calls in unknown.items())
        tell(f"--strict: not counted: {listed}")
        raise typer.Exit(1)
