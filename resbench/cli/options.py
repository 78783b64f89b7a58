"""The options that every command shares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resbench.errors import Failures, OptionError, OutputError
from resbench.results import Result, Stored, find, uncounted

if TYPE_CHECKING:
    from resbench.pages.tensorboard import Board


def complete_model(incomplete: str) -> list[str]:
    """Shell completion of catalog names."""
    from resbench.arch.catalog import entries

    return [name for name in entries() if "{" not in name and name.startswith(incomplete)]


MODEL_HELP = (
    "A model: resnet50, or resnet56,shortcut=B,classes=100; `resbench models` lists them. Or torchvision:resnet50, "
    "timm:resnet50d, hf:ID, package.module:factory, file:path.py:factory (both run that code), pt2:FILE."
)

Models = Annotated[list[str] | None, typer.Argument(metavar="MODEL...", help=MODEL_HELP, autocompletion=complete_model)]
ModelOption = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="The same, as an option.", autocompletion=complete_model)
]
InputOption = Annotated[str | None, typer.Option("--input", help="Input CxHxW instead of the model's own.")]
BatchOption = Annotated[int, typer.Option("--batch", help="Batch size.", min=1, max=2**20)]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", "-f", help="table, markdown, csv, tsv, json, latex or html; else as FILE's name says."),
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE.")]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:INDEX or mps.")]

DtypeOption = Annotated[str, typer.Option("--dtype", help="fp32, tf32, bf16 or fp16; the last two by autocast.")]
LayoutOption = Annotated[str, typer.Option("--memory-format", help="contiguous or channels_last.")]
ModeOption = Annotated[str, typer.Option("--mode", help="inference, or training: forward, backward and a step of SGD.")]

StrictOption = Annotated[
    bool, typer.Option("--strict", help="Exit 1 where operators ran that have no formula, and were not counted.")
]

DataOption = Annotated[
    str,
    typer.Option("--data", help="digits (come with scikit-learn), cifar10, cifar100, mnist, fashion_mnist, folder."),
]
StoredOption = Annotated[
    list[Path] | None,
    typer.Option("--from", metavar="PATH", help="What other commands wrote as JSON, files or folders. Repeatable."),
]
BoardOption = Annotated[
    Path | None,
    typer.Option("--tensorboard", metavar="DIR", help="Scalars, histograms, hyperparameters and graphs."),
]
RootOption = Annotated[Path | None, typer.Option("--data-root", metavar="DIR", help="Where the data lie.")]
PlotOption = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Charts: FILE.svg, .png, .pdf or .html; their data beside it as CSV."),
]


def progress(line: str, share: float = 0.0) -> None:
    """One line on stderr that the next one replaces; nothing where nobody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def board(folder: Path | None, command: str, **hparams: Any) -> Board | None:
    """Where event files go, if they are asked for. Raises OutputError, before anything is measured."""
    if folder is None:
        return None
    from resbench.pages.tensorboard import Board

    return Board(folder, command, hparams)


def say_where(events: Board) -> None:
    """Say on stderr where the event files are, and what is not in them. Raises OutputError where the disk failed."""
    for remark in events.remarks:
        print(f"resbench: {remark}", file=sys.stderr)
    if events.failure:
        raise OutputError(events.failure)
    if events.folder:
        print(f"event files: {events.folder}  (tensorboard --logdir {events.root})", file=sys.stderr)


def chosen(arguments: Iterable[str] | None, options: Iterable[str] | None, least: int = 1) -> list[str]:
    """Arguments and ``--model`` options together. Raises OptionError when too few are named."""
    names = [*(arguments or ()), *(options or ())]
    if len(names) < least:
        wanted = "a model, such as resnet50" if least == 1 else f"{least} models or more, such as plain56 resnet56"
        raise OptionError(f"expected {wanted}; received {len(names) or 'none'}; `resbench models` lists what there is")
    return names


def found_in(places: Iterable[Path]) -> list[Stored]:
    """The results in files and folders; what one of an earlier version does not say is said on stderr."""
    found = find(places)
    for remark in filter(None, (one.remark for one in found)):
        print(f"resbench: {remark}", file=sys.stderr)
    return found


def end(failures: Failures, interrupted: bool = False) -> None:
    """The last word of a command that took several models: a line for each that failed, and exit 2; or 130."""
    for reason in failures.reasons.values():
        print(f"resbench: {' '.join(reason.split())}", file=sys.stderr)
    if interrupted:
        raise typer.Exit(130)
    if failures.reasons:
        raise typer.Exit(2)


def refuse_uncounted(strict: bool, results: Sequence[Result], models: Sequence[str] = ()) -> None:
    """The last word of `--strict`, when all is printed: exit 1 where something ran that nobody could count."""
    unknown = uncounted(results, models) if strict else {}
    if unknown:
        from resbench.units import calls_text

        said = "; ".join(f"{model}: {calls_text(calls)}" for model, calls in unknown.items())
        print(f"resbench: --strict: not counted: {said}", file=sys.stderr)
        raise typer.Exit(1)
