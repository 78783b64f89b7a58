"""This module keeps from the terminal what libraries print on their own, past Python."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what libkineto prints on its own from the terminal, and show it after all if the run fails."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            yield
        except BaseException:
            printed.seek(0)
            lines = [line for line in printed if not line.startswith(b"USDT:")]  # that it starts and stops
            os.write(terminal, b"".join(lines))
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
