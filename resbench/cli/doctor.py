"""`resbench doctor`: the machine, the packages, and what would be skipped here."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from resbench.cli.options import FormatOption, OutputOption
from resbench.tables import Column, Table, emit
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
    "nvidia-ml-py": "clocks, power and throttling of NVIDIA GPUs",
    "triton": "the second timer of the suites on GPUs",
}


def doctor(format: FormatOption = None, output: OutputOption = None) -> None:
    """Report the machine, the installed packages, and what is missing for what."""
    rows = [
        ("python", platform.python_version(), platform.platform()),
        ("cpu", f"{os.cpu_count()} logical, {usable_cores()} usable", platform.machine()),
        *(_package(name, purpose) for name, purpose in PACKAGES.items()),
        *_devices(),
    ]
    table = Table(COLUMNS, rows)
    emit(table, {"schema": 1, "command": "doctor", "items": table.records()}, format, output)


def _package(name: str, purpose: str) -> tuple[str, str, str]:
    try:
        return name, version(name), purpose
    except PackageNotFoundError:
        return name, "missing", f"skipped: {purpose}; pip install {name}"


def _devices() -> list[tuple[str, str, str]]:
    try:
        import torch
    except (ImportError, OSError) as error:
        return [("devices", "unknown", f"torch does not import: {error}")]
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        cuda = ("cuda", ", ".join(names), f"CUDA {torch.version.cuda}")
    else:
        built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
        cuda = ("cuda", "missing", f"skipped: everything measured on a GPU; {built}")
    from resbench.workers.environment import environment

    here = environment("cuda" if torch.cuda.is_available() else "cpu")
    apple = ("yes", "Apple GPU") if torch.backends.mps.is_available() else ("missing", "skipped: Apple GPUs")
    return [("environment", here.id, here.line), cuda, ("mps", *apple)]
