"""What runs a line of a storm, in a folder of its own, and looks at what it leaves."""

import argparse
import atexit
import ctypes
import getpass
import hashlib
import os
import re
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import storm_world
from storm_lines import Line

ROOT = Path(__file__).parents[1]
LIMIT_S = 12.0
"""A line that still runs is interrupted then, and has to end as one that is."""
GRACE_S = 30.0
"""An interrupt has so long to take effect, then comes a second one: the step of a training may be its compilation."""
MEMORY_BYTES = 8 << 30
"""Of what may be written: addresses alone are reserved freely, as V8 does."""
STATUSES = (0, 1, 2)
TARGETS = {
    *("-o", "--output", "--plot", "--svg", "--raw", "--export", "--tensorboard", "--trace", "--vtk", "--dir"),
}
DEFAULTS = {"report.html", "sweep", "search", "results", "runs"}
"""A command may write these where no name is given."""
WORDS = ("Traceback", "resbench itself failed", "Exception ignored", "Fatal Python error", "core dumped")


CACHES = {"ray", f"torchinductor_{getpass.getuser()}"}
"""Ray keeps its logs in the temporary folder, and torch's compiler what it may need again, wherever its cache is."""
OF_GCC = re.compile(r"cc\w{6}\.[a-z]+")
"""Python kills a compiler that does not end within 0.25 s of an interrupt, and so its file is left."""


class Ended(NamedTuple):
    """So a line ended."""

    status: int | None
    """None: it had to be killed."""
    said: str
    """Its standard error."""
    seconds: float
    complaints: list[str]
    held_bytes: int
    """This is the most that it held in memory, with what the process had that it was forked from."""


def state() -> str:
    """Hash the package's files."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "resbench").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Host:
    """It runs lines, one after the other, in a folder of its own."""

    def __init__(self, folder: Path, world: Path, memory_bytes: int = MEMORY_BYTES) -> None:
        self.memory_bytes = memory_bytes
        self.box, self.temporary, self.cache = folder / "box", folder / "tmp", folder / "cache"
        self.out, self.err = folder / "out", folder / "err"
        self.world, self.before = world, _seen(world)
        folder.mkdir(parents=True, exist_ok=True)
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: what a line leaves behind becomes ours

    def run(self, drawn: Line, fresh: bool, change: Callable[[Path], None] | None = None) -> Ended:
        """Run a line, in a folder that was changed so, and look at what it leaves."""
        for folder in (self.box, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.world, self.box, symlinks=True)
        self.temporary.mkdir()
        self.cache.mkdir(exist_ok=True)
        if change:
            change(self.box)
            self.before = _seen(self.box)
        begun = time.monotonic()
        pid = self._begin(drawn, fresh)
        status, held_kib = self._wait(pid, drawn)
        if fresh and status == -signal.SIGINT:  # it came while Python itself was ending; a shell tells this number
            status = 128 + signal.SIGINT
        seconds = time.monotonic() - begun
        said = self.err.read_bytes().decode(errors="replace")
        left = _children()
        complaints = [*_words(status, said, drawn, fresh)]
        if drawn.taken_away_s is None:
            complaints += self._files(drawn, status)
        there = {path.name for path in self.temporary.iterdir()} - CACHES
        if left_there := sorted(name for name in there if not (status == 130 and OF_GCC.fullmatch(name))):
            complaints.append(f"left in TMPDIR: {left_there[:3]}")
        if left:
            complaints.append(f"left a process: {left}")
        return Ended(status, said, seconds, complaints, held_kib << 10)

    def _begin(self, drawn: Line, fresh: bool) -> int:
        """Start the line in a session of its own, as a terminal does."""
        pid = os.fork()
        if pid:
            return pid
        status = 70
        try:
            os.setsid()
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs this in the background ignores it
            os.chdir(self.box)
            self._redirect(drawn.output)
            os.environ.update(TMPDIR=str(self.temporary), XDG_CACHE_HOME=str(self.cache), PYTHONPATH=str(ROOT))
            os.environ.update(OMP_NUM_THREADS="1", TORCHINDUCTOR_CACHE_DIR=str(self.cache / "inductor"))
            resource.setrlimit(resource.RLIMIT_DATA, (self.memory_bytes, self.memory_bytes))
            if fresh:
                os.execv(sys.executable, [sys.executable, "-m", "resbench", *drawn.words])
            status = _called(drawn.words)
        finally:
            os._exit(status)

    def _redirect(self, output: str) -> None:
        writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        if output == "closed":
            reads, out = os.pipe()
            os.close(reads)
        else:
            out = os.open("/dev/full" if output == "full" else self.out, writing)
        for number, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, out), (2, os.open(self.err, writing))):
            os.dup2(file, number)

    def _wait(self, pid: int, drawn: Line) -> tuple[int | None, int]:
        """Wait for its end, and do to it meanwhile what the line says; its status, and the KiB that it held."""
        begun = time.monotonic()
        interrupt_s, taken_s = drawn.interrupted_s or LIMIT_S, drawn.taken_away_s
        interrupts = [interrupt_s, interrupt_s + GRACE_S]
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status), usage.ru_maxrss
            spent = time.monotonic() - begun
            if taken_s is not None and spent > taken_s:
                shutil.rmtree(self.box, ignore_errors=True)
                taken_s = None
            if interrupts and spent > interrupts[0]:
                interrupts.pop(0)
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGINT)
            if spent > interrupt_s + 2 * GRACE_S:
                os.killpg(pid, signal.SIGKILL)
                return None, os.wait4(pid, 0)[2].ru_maxrss
            time.sleep(0.01)

    def _files(self, drawn: Line, status: int | None) -> list[str]:
        """Compare the folder with what it was: only what a line names may have changed."""
        after = _seen(self.box)
        named = {word for option, word in zip(drawn.words, drawn.words[1:], strict=False) if option in TARGETS}
        links = [self.box / name for name in named & self.before.keys() if (self.box / name).is_symlink()]
        named |= {os.path.relpath(link.resolve(), self.box.resolve()) for link in links}
        tops = {part for name in named if not name.startswith("/") for part in Path(name).parts[:1]} | DEFAULTS
        stems = {Path(name).stem for name in named} | {f".{top}" for top in tops}
        anywhere = "." in map(os.path.normpath, filter(None, named))
        complaints = []
        for path, content in self.before.items():
            own = path in {os.path.normpath(name) for name in named} or path.split("/")[0] in tops
            if after.get(path) != content and not (own and path in after):
                complaints.append(f"{'changed' if path in after else 'lost'} {path}")
        for path in after.keys() - self.before.keys():
            top = path.split("/")[0]
            temporary = ".tmp" in path or path.endswith("~") or ("/." in f"/{path}" and not path.endswith("/.lock"))
            name = path.split("/")[-1]
            if top in tops | {name} and name.startswith(".") and name.endswith(".search"):  # beside a search's folder
                continue
            if temporary or not (anywhere or top in tops or Path(path).name.split(".")[0] in stems):
                complaints.append(f"left {path}")
            elif path.endswith("/.lock") and not any(p.startswith(path[:-5]) and p != path for p in after):
                complaints.append(f"refused, and left {path}")
        if (self.box / ".git" / "worktrees").exists() and any((self.box / ".git" / "worktrees").iterdir()):
            complaints.append("left a worktree")
        return sorted(complaints)[:4]


def _called(words: tuple[str, ...]) -> int:
    """Call the command in this process, which was forked, and end as Python would."""
    import tempfile

    from resbench.__main__ import main

    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["resbench", *words]
    sys.stdin, sys.stdout, sys.stderr = (open(n, "rw"[n > 0], closefd=False) for n in range(3))  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    try:
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    return status


def ready(folder: Path) -> Path:
    """Make the folder in which lines run, unless it is there, and import everything. Returns it."""
    if not (folder / "world").exists():
        shutil.rmtree(folder / "making", ignore_errors=True)
        storm_world.make(folder / "making")
        (folder / "making").rename(folder / "world")
    os.environ["OMP_NUM_THREADS"] = "1"
    everything()
    return folder / "world"


def _words(status: int | None, said: str, drawn: Line, fresh: bool) -> list[str]:
    """Look at a status and at what was said."""
    if status is None:
        return ["hung: it did not end when it was interrupted"]
    asked = "--debug" in drawn.words  # for the traceback of what it refuses
    complaints = [f"says {word}" for word in WORDS if word in said and not (asked and word == "Traceback")]
    interrupted = status == 130 and "Traceback" not in said
    starting = fresh and drawn.interrupted_s is not None and drawn.interrupted_s < 0.5  # Python itself was
    if starting:
        return []
    if status not in STATUSES and not interrupted:
        complaints.append(f"status {status}")
    lines = [text for text in said.splitlines() if text.strip()]
    if drawn.taken_away_s is not None:  # libraries have words of their own for that
        return complaints
    if status == 2 and not any(text.startswith("resbench") for text in lines):
        complaints.append("refused without a line")
    if status == 2 and len(lines) > len(drawn.words) and not asked:
        complaints.append(f"refused in {len(lines)} lines")
    return complaints


def _seen(folder: Path) -> dict[str, str]:
    """Read a folder: each path with what it holds."""
    seen = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__", "ro", "full")]
        for name in files:
            path = Path(root, name)
            content = str(path.readlink()) if path.is_symlink() else hashlib.md5(path.read_bytes()).hexdigest()
            seen[str(path.relative_to(folder))] = content
    return seen


def _children() -> list[str]:
    """Name the processes that a line left and that still run after three seconds; end them."""
    until = time.monotonic() + 3
    while True:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not pids:
            return []
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    names = []
    for pid in pids:
        with suppress(OSError):
            names.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
        with suppress(OSError):
            os.kill(int(pid), signal.SIGKILL)
    return names or pids


def everything() -> None:
    """Import what commands import, so that a line that is forked begins at once."""
    import altair
    import pandas
    import scipy.stats
    import sklearn.datasets
    import torch
    import vl_convert

    import resbench
    from resbench.cli.commands import COMMANDS, Later

    del altair, pandas, scipy, sklearn, torch, vl_convert, resbench
    for name in COMMANDS:
        _ = Later(name).loaded.params


def parser(doc: str | None, what: str, count: int) -> argparse.ArgumentParser:
    """Make what reads the options of a storm, of so many lines or files."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--dir", type=Path, required=True, help="rows are kept here")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument(f"--{what}", type=int, default=count)
    made.add_argument("--minutes", type=float, default=8.0, help="of a part")
    made.add_argument("--table", action="store_true", help="print what there is")
    return made
