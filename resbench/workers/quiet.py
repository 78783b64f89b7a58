"""What libraries print on their own, past Python, is kept from the terminal."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """What libkineto prints on its own is kept from the terminal; shown after all if the run fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not line.startswith(b"USDT:")))  # that it starts and stops
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
