"""The command without its start: in this process, or in a real one that is forked where torch is imported already."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from types import SimpleNamespace

import pytest
import ready
from filelock import FileLock

BUSY = re.compile("did not settle|the machine was busy")
"""Such lines are said where other programs run, as they may beside any test."""


def called(*arguments):
    """``resbench ...`` in this process, from a fixture of any scope; with returncode, stdout and stderr."""
    from resbench.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["resbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return SimpleNamespace(returncode=ended.value.code or 0, stdout=out.getvalue(), stderr=err.getvalue())


def made_once(factory, name, make):
    """A folder that ``make`` fills once in a run, whichever of its workers comes first; no test changes it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(f"{name}.unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


def started(code, *arguments):
    """A program in a process of its own, with its arguments."""
    command = [ready.python(), "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def forked(code, *arguments):
    """The end of such a process."""
    process = started(code, *arguments)
    out, err = process.communicate(timeout=300)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)


def stopped(at, *arguments, cwd=None, env=None, number=signal.SIGINT, ctrl_c=signal.default_int_handler):
    """The end of a real process that Ctrl-C reaches once its terminal shows ``at``, or another signal; stderr is all
    that was shown. A background job of a shell ignores Ctrl-C."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [ready.python(), "-m", "resbench", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, ctrl_c),
    )
    os.close(theirs)
    shown, seen = bytearray(), threading.Event()

    def read():
        with suppress(OSError):  # the terminal's other end is closed
            while data := os.read(terminal, 4096):
                shown.extend(data)
                if at.encode() in shown:
                    seen.set()
        seen.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert seen.wait(120), shown
    os.killpg(process.pid, number)
    try:
        out, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    reader.join(60)
    os.close(terminal)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=shown.decode())
