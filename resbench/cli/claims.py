"""`resbench claims`: what is said of residual learning, tried."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from resbench.cli.options import DeviceOption, FormatOption, OutputOption, RootOption, checked
from resbench.cli.training import FOLDER, FolderOption, PrecisionOption, SeedsOption, bar, running
from resbench.errors import OptionError
from resbench.tables.output import choose, emit


def claims(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which claims; all of them.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Train on CIFAR-10 for 64,000 iterations.")] = False,
    data_root: RootOption = None,
    seeds: SeedsOption = 1,
    dtype: PrecisionOption = None,
    folder: FolderOption = FOLDER,
    device: DeviceOption = "cpu",
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """Run each claim about residual learning as an experiment, on digits; exit 1 where one comes out unexpectedly.

    Verdicts: holds, holds with a condition, wrong as stated. Trainings are kept in --dir and shared by the claims.
    """
    checked(format, output, None)
    if full and data_root is None:
        raise OptionError("--full needs --data-root DIR, the folder that holds CIFAR-10")
    from resbench.lessons.lab import OBSERVED, Lab
    from resbench.lessons.measure import Finding, chosen, findings
    from resbench.lessons.table import claim_document, claim_table
    from resbench.training.degradation import Plan
    from resbench.training.precision import precision
    from resbench.workers.environment import environment

    asked = chosen(ids or ())
    data = "cifar10" if full else "digits"
    options = running(device, False, OBSERVED[data], folder)
    plan = Plan(data, data_root, seeds, dtype=dtype or precision(options.device))
    found: list[Finding] = []
    interrupted = False
    with bar(options) as progress:
        try:
            found.extend(findings(asked, Lab(plan, options, progress)))
        except KeyboardInterrupt:  # what came before it is in the list
            interrupted = True
    if found and not options.ranks.rank:
        here = environment(options.device)
        whole = choose(format, output) in ("csv", "tsv")
        emit(claim_table(found, here, whole), claim_document(found, here), format, output)
    if interrupted:
        line = f"interrupted after {len(found)} of {len(asked)} claims; the same command goes on with the trainings"
        print(f"resbench: {line}", file=sys.stderr)
        raise typer.Exit(130)
    if not all(finding.as_expected for finding in found):
        raise typer.Exit(1)
