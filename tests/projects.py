"""A small project with a suite, in a git repository of its own."""

import os
import random
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import ready
from commands import called, made_once

BLOCK = """
from torch import nn

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.conv(x)) + x
"""

BENCH = """
from block import Block

def test_block(resbench):
    resbench(Block(), (2, 8, 16, 16))

def test_something_else():
    raise AssertionError("the gate runs what uses the fixture, and nothing else")
"""

SUITE = """
files = ["bench_block.py"]
pythonpath = [".."]
"""


@contextmanager
def one_core():
    """What is started within runs on one of our cores, where the system lets us choose."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {random.choice([*ours])})
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


class Project:
    """Files, git, and the command."""

    def __init__(self, root: Path):
        self.root, self.tmp = root, root.parent / "tmp"
        self.tmp.mkdir(exist_ok=True)

    def write(self, **files):
        for name, text in files.items():
            path = self.root / {"block": "block.py", "bench": "suites/bench_block.py", "suite": "suites/ci.toml"}[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def git(self, *words):
        done = subprocess.run(["git", *words], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message="a commit"):
        self.git("add", "--all")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def start(self, *words, **options):
        env = {**os.environ, "TMPDIR": str(self.tmp)}
        command = [ready.python(), "-m", "resbench", "gate", *words]
        return subprocess.Popen(
            command, cwd=self.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )

    def gate(self, *words):
        """The command in this process, on one core: it counts in a process on each."""
        with pytest.MonkeyPatch.context() as patch, one_core():
            patch.chdir(self.root)
            patch.setenv("TMPDIR", str(self.tmp))
            patch.setattr(tempfile, "tempdir", str(self.tmp))
            patch.setattr(sys, "executable", ready.python())
            return called("gate", *words)

    def left(self):
        """What a run left behind: temporary files, worktrees, changes of the checkout. Caches of torch are torch's."""
        files = [path.name for path in self.tmp.iterdir() if not path.name.startswith("torch")]
        trees = self.git("worktree", "list", "--porcelain").count("worktree ") - 1
        return files, trees, self.git("status", "--porcelain", "--ignored")


def made(root):
    """Its first commit."""
    project = Project(root)
    root.mkdir()
    project.git("init", "-q", "-b", "main")
    project.write(block=BLOCK, bench=BENCH, suite=SUITE)
    project.commit()
    return project


@pytest.fixture
def project(tmp_path):
    """Committed, without expectations."""
    return made(tmp_path / "project")


@pytest.fixture(scope="session")
def counts(tmp_path_factory):
    """The expectations of the small project, counted once."""

    def make(folder):
        project = made(folder / "project")
        assert project.gate("--update").returncode == 0

    return (made_once(tmp_path_factory, "counts", make) / "project/suites/expectations/ci.json").read_text()


@pytest.fixture
def expected(project, counts):
    """Committed, with its expectations."""
    path = project.root / "suites/expectations/ci.json"
    path.parent.mkdir()
    path.write_text(counts)
    project.commit("expectations")
    return project
