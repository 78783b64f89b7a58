"""The reader of standard output and standard error may go away.

``resbench gate | head -1``: what is printed then reaches nobody, and that is no verdict. Here, where it is written,
and nowhere else, a closed pipe is passed over; so what a command found decides its exit status, however much of it
somebody reads.
"""

import io
import os
import sys
from typing import Any, TextIO

from resbench.cli.progress import progress
from resbench.errors import OutputError
from resbench.units import printable

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


class Outlet(io.FileIO):
    """An outlet writes to a descriptor. Once its reader is gone, what is written goes nowhere, also by children.

    Raises OutputError for what else can fail, such as a full disk; of standard error nobody could be told.
    """

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())  # nothing is left to fail when the interpreter ends
            os.close(nowhere)
            if isinstance(error, BrokenPipeError) or self.fileno() == STANDARD_ERROR:
                return len(data)
            raise OutputError(f"cannot write to standard output: {error.strerror}; name a file with -o") from error


def open_outlets() -> None:
    """Let the process print through outlets from here on. A stream that stands there for another one stays."""
    sys.stdout, sys.stderr = _outlet(sys.stdout, STANDARD_OUTPUT), _outlet(sys.stderr, STANDARD_ERROR)


def _outlet(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # it was closed before we began (``>&-``): the next file to be opened would get its number
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)
        return open(number, "w", encoding="utf-8", closefd=False)
    if not isinstance(stream, io.TextIOWrapper) or not _is(stream, number):
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Outlet(number, "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _is(stream: TextIO, number: int) -> bool:
    """Does it write to that descriptor? What captures output often has none."""
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


def tell(*lines: str) -> None:
    """Say each line on stderr."""
    for line in lines:
        progress.clear()
        print(f"resbench: {printable(line)}", file=sys.stderr)
