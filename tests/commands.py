"""The command without its start: in this process, or in a real one that is forked where torch is imported already."""

import io
import multiprocessing
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import ready
from filelock import FileLock

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "resbench.cli.main"])


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


class Forked:
    """A program in a process of its own, which Python's server forks: with its arguments, folder and environment."""

    def __init__(self, code, *arguments):
        self.said = tempfile.TemporaryDirectory(prefix="forked")
        where = (Path.cwd(), dict(os.environ), self.said.name)
        self.process = FORKS.Process(target=run, args=(code, ["program", *map(str, arguments)], *where))
        self.process.start()

    def send_signal(self, number):
        os.kill(self.process.pid, number)

    def poll(self):
        return self.process.exitcode

    @property
    def returncode(self):
        return self.process.exitcode

    def communicate(self, timeout=300):
        """What it printed on its standard output and error until it ended."""
        self.process.join(timeout)
        assert self.process.exitcode is not None, f"it did not end within {timeout} s"
        out, err = (Path(self.said.name, name).read_text() for name in ("out", "err"))
        self.said.cleanup()
        return out, err


def forked(code, *arguments):
    """The end of such a process."""
    started = Forked(code, *arguments)
    out, err = started.communicate()
    return SimpleNamespace(returncode=started.returncode, stdout=out, stderr=err)


def run(code, arguments, folder, environment, said):
    """In the new process."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(said, name), os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    warnings.resetwarnings()
    exec(compile(code, "program", "exec"), {"__name__": "__main__"})


def stopped(at, *arguments, cwd=None, env=None):
    """The end of a real process that Ctrl-C reaches once its terminal shows ``at``; stderr is all that was shown."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [ready.python(), "-m", "resbench", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
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
    for _ in range(3):  # Python drops an interrupt that falls into a destructor
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            out, _ = process.communicate(timeout=60)
            break
    else:
        process.kill()
        out, _ = process.communicate()
    reader.join(60)
    os.close(terminal)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=shown.decode())
