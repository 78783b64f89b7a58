"""`resbench doctor` shows the machine, the packages, and what would be skipped here."""

from resbench.cli import options
from resbench.cli.output import checked, emit


def command(format: options.Format = None, output: options.Output = None) -> None:
    """Report the machine, the installed packages, and what is missing for what."""
    from resbench.workers.doctor import diagnosis

    checked(format, output)
    emit(diagnosis(), format, output)
