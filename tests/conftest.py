"""The command in this process, and packages that may be missing."""

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch
from documents import documents
from projects import counts, expected, project

__all__ = ["counts", "documents", "expected", "import_torchvision", "project"]


def import_torchvision():
    """torchvision; beside a CPU build of torch it imports once the operators of its missing extension are declared."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
        return importlib.import_module("torchvision")


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


@pytest.fixture(scope="session")
def torchvision():
    try:
        return import_torchvision()
    except ModuleNotFoundError:
        pytest.skip("torchvision is not installed")
