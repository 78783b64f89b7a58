"""`resbench doctor`: the machine, the packages, and what would be skipped here."""

from __future__ import annotations

from resbench.cli.options import FormatOption, OutputOption
from resbench.cli.output import checked, emit


def command(format: FormatOption = None, output: OutputOption = None) -> None:
    """Report the machine, the installed packages, and what is missing for what."""
    from resbench.workers.doctor import diagnosis

    checked(format, output)
    emit(diagnosis(), format, output)
