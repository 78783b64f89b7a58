"""This module holds what `doctor` finds: the machine, the packages, and what would be skipped here."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, NamedTuple

from resbench.result import Result
from resbench.tables.table import Column, Table
from resbench.workers.cores import usable_cores

COLUMNS = (Column("item", "item"), Column("found", "found"), Column("meaning", "meaning"))

PACKAGES = {
    "torch": "building, tracing and timing networks",
    "fvcore": "the second counter of flops --verify",
    "scipy": "intervals",
    "pandas": "tables as DataFrames",
    "torch-tb-profiler": "the tables of resbench profile",
    "scikit-learn": "the digits of gradflow",
    "altair": "charts",
    "vl-convert-python": "charts as SVG, PNG and PDF",
    "plotext": "plots in the terminal",
    "pytest-benchmark": "the suites",
    "torchvision": "models as torchvision:NAME",
    "timm": "models as timm:NAME",
    "transformers": "models as hf:NAME",
    "onnx": "graphs as onnx:FILE",
    "nvidia-ml-py": "clocks, power and throttling of NVIDIA GPUs",
    "triton": "the second timer of the suites on GPUs",
}


class Item(NamedTuple):
    """An item is one thing that is there or missing, and what for."""

    item: str
    found: str
    meaning: str


@dataclass(frozen=True, repr=False)
class Diagnosis(Result):
    """A diagnosis says what is there, item by item."""

    items: tuple[Item, ...]

    kind: ClassVar = "doctor"

    @classmethod
    def migrated(cls, document: Mapping[str, Any]) -> Mapping[str, Any]:
        return document

    def tables(self) -> list[Table]:
        return [Table(COLUMNS, self.items)]


def diagnosis() -> Diagnosis:
    """Look at the machine and the installed packages, and say what is missing for what."""
    return Diagnosis(
        (
            Item("python", platform.python_version(), platform.platform()),
            Item("cpu", f"{os.cpu_count()} logical, {usable_cores()} usable", platform.machine()),
            *(_package(name, purpose) for name, purpose in PACKAGES.items()),
            *_devices(),
        )
    )


def _package(name: str, purpose: str) -> Item:
    try:
        return Item(name, version(name), purpose)
    except PackageNotFoundError:
        return Item(name, "missing", f"skipped: {purpose}; pip install {name}")


def _devices() -> list[Item]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Item("devices", "unknown", f"torch does not import: {error}")]
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        cuda = Item("cuda", ", ".join(names), f"CUDA {torch.version.cuda}")
    else:
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        cuda = Item("cuda", "missing", f"skipped: everything measured on a GPU; {built}")
    from resbench.workers.environment import environment

    machine = environment("cuda" if torch.cuda.is_available() else "cpu")
    apple = ("yes", "Apple GPU") if torch.backends.mps.is_available() else ("missing", "skipped: Apple GPUs")
    return [Item("environment", machine.id, machine.line), cuda, Item("mps", *apple)]
