"""The gate compares two trees, and only reads the user's checkout.

A tree is a revision, the working tree, or a directory.

A process of its own waits for this one to end, however it ends, and takes the worktrees and temporary files away.
"""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resbench.errors import GateError
from resbench.regression.process import Side, outside
from resbench.units import plural

MAIN = ("origin/HEAD", "origin/main", "main", "origin/master", "master")
"""The default base is looked for in these, in this order."""

CLEANER = """
import shutil, subprocess, sys, time
folder, top = sys.argv[1:]
if sys.stdin.read() != "done":  # until the gate says so, or is no more
    time.sleep(1)  # a command of git that it left running
command = ["git", "-C", top, "worktree", "list", "--porcelain"]
listed = subprocess.run(command, capture_output=True, text=True) if top else None
for line in listed.stdout.splitlines() if listed else ():
    if line.startswith("worktree " + folder):
        subprocess.run(["git", "-C", top, "worktree", "remove", "-f", "-f", line[9:]], capture_output=True)
shutil.rmtree(folder, ignore_errors=True)
"""
"""This program takes away the worktrees in the folder, and no others: the user's own may just not be mounted."""


class Workshop:
    """A workshop makes the trees of both sides in a temporary folder; ``top`` is the git repository, or None."""

    def __init__(self, folder: Path, top: Path | None, current: Path) -> None:
        self.folder, self.top, self.current = folder, top, current

    def side(self, name: str, what: str) -> Side:
        """Make a side of ``what``: a revision, or a directory. Raises GateError."""
        commit = self._git("rev-parse", "--verify", "--quiet", f"{what}^{{commit}}") if self.top else ""
        if not commit and (self.current / what).is_dir():
            return Side(name, what, (self.current / what).resolve(), ours=False, exports=self._exports(name))
        if self.top is None:
            raise GateError(f"{self.current} is no git repository: expected two directories, received {what!r}")
        if not commit and self._git("rev-parse", "--is-shallow-repository") == "true":
            raise GateError(f"this clone is shallow and does not hold {what!r}: fetch the history (fetch-depth: 0)")
        if not commit:
            raise GateError(f"expected a git revision or a directory, received {what!r}; `git branch -a` lists some")
        changes = self.changes("--untracked-files=no")
        if name == "head" and commit == self._git("rev-parse", "HEAD") and changes:
            raise GateError(
                f"{what} is checked out with {changes}, which would not be judged: commit them, "
                "or leave HEAD out to judge the working tree"
            )
        root = self._worktree(name, commit)
        lacks = [path for path, pinned in self._submodules(commit) if not self._unpacked(path, pinned, root)]
        return Side(
            name, self._git("rev-parse", "--short", commit), root, lacks=tuple(lacks), exports=self._exports(name)
        )

    def _worktree(self, name: str, commit: str, *options: str) -> Path:
        root = self.folder / name
        quiet = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
        done = _run_git(self.top, *quiet, "worktree", "add", "--detach", "--quiet", *options, str(root), commit)
        if done.returncode:
            raise GateError(f"git cannot check out {commit[:12]}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        return root

    def _submodules(self, commit: str) -> list[tuple[str, str]]:
        """Return path and commit of each submodule of a commit."""
        entries = (line.split("\t", 1) for line in self._git("ls-tree", "-r", "-z", commit).split("\0") if line)
        return [(path, about.split()[2]) for about, path in entries if about.startswith("160000")]

    def _unpacked(self, path: str, commit: str, root: Path) -> bool:
        """Unpack a submodule's commit into a tree, if the user's checkout holds it: nothing is fetched."""
        assert self.top
        if not (self.top / path / ".git").exists():
            return False
        packed = subprocess.run(
            ["git", "-C", str(self.top / path), "archive", commit], capture_output=True, check=False, env=outside()
        )
        if packed.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
                archive.extractall(root / path, filter="data")
        return packed.returncode == 0

    def base(self) -> str:
        """Return the merge base with main. Raises GateError."""
        if self.top is None:
            raise GateError(
                f"{self.current} is no git repository, so there is no base: expected two directories, "
                "such as `resbench gate before after`"
            )
        for branch in MAIN:
            found = self._git("merge-base", "HEAD", branch)
            if found and found == self._git("rev-parse", "HEAD") and not self.changes():
                raise GateError(f"nothing changed since {branch}, the default base; name BASE, such as HEAD~1")
            if found:
                return found
        raise GateError(f"no merge base with {', '.join(MAIN)}; name BASE, or fetch the history (fetch-depth: 0)")

    def working_tree(self) -> Side:
        """Copy what git would take with ``add --all``, as it is now, also of submodules. Raises GateError.

        It is a worktree of the repository, so that what is built may ask git for its version.
        """
        if self.top is None:
            raise GateError(f"{self.current} is no git repository: expected two directories, received one")
        root = self._worktree("head", "HEAD", "--no-checkout")
        _run_git(root, "reset", "--quiet")  # its index is that of HEAD: what differs is what the user has changed
        lacks = _copied(self.top, root)
        commit, changes = self._git("rev-parse", "--short", "HEAD"), self.changes()
        what = f"working tree: {commit} with {changes}" if changes else f"working tree: {commit}"
        return Side("head", what, root, lacks=tuple(lacks), exports=self._exports("head"))

    def _exports(self, name: str) -> Path:
        return self.folder / f"{name}-exports"

    def changes(self, *options: str) -> str:
        """Return ``2 changed files``; the text is empty where none has changed."""
        count = len([line for line in self._git("status", "--porcelain", *options).splitlines() if line])
        return plural(count, "changed file") if count else ""

    def _git(self, *words: str) -> str:
        """Return what git prints; it is empty where git refuses."""
        done = _run_git(self.top, *words)
        return done.stdout.strip("\n") if done.returncode == 0 else ""


def _copied(source: Path, target: Path) -> list[str]:
    """Copy what git would take of a repository and of its submodules; return the submodules that are not there."""
    lacks = []
    listed = _run_git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        path = source / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() or path.is_symlink():  # else deleted, or a submodule
            shutil.copy2(path, target / name, follow_symlinks=False)
        elif (path / ".git").exists():
            lacks += [f"{name}/{inner}" for inner in _copied(path, target / name)]
        elif path.is_dir():
            lacks.append(name)
    return lacks


def _run_git(folder: Path | None, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "--no-optional-locks", "-C", str(folder), *words],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        env=outside(),
    )


def top_of(current: Path) -> Path | None:
    """Return the root of the git repository around a folder; it is None without git or repository.

    Raises GateError where git refuses the folder.
    """
    try:
        done = _run_git(current, "rev-parse", "--show-toplevel")
    except OSError:
        return None
    if "safe.directory" in done.stderr:
        raise GateError(
            f"git refuses {current}: {done.stderr.strip().splitlines()[0]}; see `git help config`, safe.directory"
        )
    return Path(done.stdout.strip()).resolve() if done.returncode == 0 else None


@contextmanager
def workshop(current: Path) -> Iterator[Workshop]:
    """Open a workshop whose folder and worktrees are gone afterwards, also after ``kill -9``."""
    top = top_of(current)
    with temporary(top) as folder:
        yield Workshop(folder, top, current)


@contextmanager
def temporary(top: Path | None = None) -> Iterator[Path]:
    """Make a folder that is gone afterwards, also after ``kill -9``, with the worktrees of ``top`` in it."""
    folder = Path(tempfile.mkdtemp(prefix="resbench-gate-")).resolve()
    cleaner = subprocess.Popen(
        [sys.executable, "-c", CLEANER, str(folder), str(top or "")],
        stdin=subprocess.PIPE,
        env=outside(),
        start_new_session=True,  # not interrupted with the gate
        text=True,
    )
    try:
        yield folder
    finally:
        cleaner.communicate("done")
