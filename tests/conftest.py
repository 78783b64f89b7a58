"""The command in this process, and packages that may be missing."""

import gc
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import ready
from browser import chromium
from documents import documents
from projects import counts, expected, project
from zoos import import_torchvision

__all__ = ["chromium", "counts", "documents", "expected", "project"]


gc.set_threshold(20_000)  # what a test leaves is no garbage, mostly: it is looked through less often


@pytest.fixture(scope="module", autouse=True)
def settled():
    """What is there when a file's tests begin stays there: the collector, which measurements call, passes over it."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish():
    ready.stop()


@pytest.fixture
def cli(capsys, monkeypatch):
    """``resbench ...`` in this process, which imports torch once; with returncode, stdout and stderr."""
    from resbench.cli.main import main

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["resbench", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return SimpleNamespace(returncode=ended.value.code or 0, stdout=out, stderr=err)

    return command


@pytest.fixture
def enough(quick):
    """As many runs as the rules of a user's measurement ask for at least, in the processes that are started."""
    from quickly import ENOUGH

    from resbench.timing.roofline import roof

    roof()  # they find it in the cache
    Path(os.environ["PYTHONPATH"].partition(os.pathsep)[0], "sitecustomize.py").write_text(ENOUGH)


@pytest.fixture(scope="session")
def torchvision():
    try:
        return import_torchvision()
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
