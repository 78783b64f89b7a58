"""An environment describes the machine of a result: what changes its speed, and its state.

>>> machine = environment()
>>> machine.id == environment().id, "time_utc" in machine.stable
(True, False)
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import torch

from resbench.files import own_version
from resbench.workers import nvml
from resbench.workers.cores import usable_cores
from resbench.workers.waiting import waiting, waiting_lines

Value = str | int | float | bool | None
"""A field has such a value; it is None where the machine does not say."""

VARIABLES = ("KMP_AFFINITY", "ONEDNN_MAX_CPU_ISA")
"""The libraries below torch read these variables."""

CHOSEN = ("threads", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""These fields say on how many threads the process ran, which is a choice and no part of the machine."""

ROOT = Path("/")
UNLIMITED = 2**60
"""A limit above this is none: control groups of version 1 write "no limit" as a number near 2**63."""


@dataclass(frozen=True)
class Environment:
    """The ``stable`` fields have to be equal for two results to be compared; the ``volatile`` are of one moment."""

    stable: Mapping[str, Value]
    volatile: Mapping[str, Value]

    derived: ClassVar = ("id",)

    @property
    def id(self) -> str:
        """Return 12 hex digits of the stable fields, in which there is no name of a person or machine."""
        text = json.dumps(dict(self.stable), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def line(self) -> str:
        """Describe the machine in one line, for a person to read under a table."""
        fields, power, threads = self.stable, self.stable.get("gpu_power_limit_w"), self.timed.stable.get("threads")
        parts = [
            fields.get("gpu"),
            f"driver {fields['gpu_driver']}" if fields.get("gpu_driver") else None,
            f"{power:.0f} W" if isinstance(power, int | float) else None,
            fields.get("cpu") or "unknown CPU",
            f"{fields['usable_cores'] or fields['logical_cores']} of {fields['logical_cores']} cores"
            if fields.get("logical_cores")
            else "",
            f"a quota of {fields['cpu_quota']:g} cores" if fields.get("cpu_quota") else None,
            f"{threads} thread{'s' if threads != 1 else ''}" if threads else None,
            f"torch {fields['torch']}",
            fields.get("system"),
        ]
        return ", ".join(str(part) for part in parts if part)

    @property
    def note(self) -> str:
        """Return the line with the id, as it stands under a table."""
        return f"Environment {self.id}: {self.line}."

    @property
    def waited(self) -> list[str]:
        """Say in a line where threads spun that need not have; what is timed takes torch as it is."""
        return waiting_lines(self.volatile.get("waiting"), self.volatile.get("threads"))

    @property
    def timed(self) -> Environment:
        """Return what a time depends on: the machine, with the number of threads among its stable fields.

        An earlier version had it there always.
        """
        chosen = {name: self.volatile[name] for name in CHOSEN if name in self.volatile}
        return Environment({**self.stable, **chosen}, self.volatile)

    def on(self, threads: int | None) -> Environment:
        """Return the same machine, on which as many threads were chosen; None: as many as there were."""
        if threads is None:
            return self
        if "threads" in self.stable:  # an earlier version's
            return Environment({**self.stable, "threads": threads}, self.volatile)
        return Environment(self.stable, {**self.volatile, "threads": threads})


def environment(device: str = "cpu") -> Environment:
    """Describe the environment of this process as it is now, and the GPU that ``device`` names (``cuda:1``)."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return Environment(
        stable={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
            "cpu": _cpu(),
            "isa": torch.backends.cpu.get_cpu_capability(),
            "logical_cores": os.cpu_count(),
            "usable_cores": usable_cores(),
            "cpu_quota": cpu_quota(),
            "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
            "allocator": _allocator(),
            **{name: os.environ.get(name) for name in VARIABLES},
            "system": platform.system(),
            "kernel": platform.release(),
            **(_gpu(device) if device.startswith("cuda") and torch.cuda.is_available() else {}),
        },
        volatile={
            "threads": torch.get_num_threads(),
            **{name: os.environ.get(name) for name in CHOSEN[1:]},
            "waiting": waiting(),
            "resbench": own_version(),
            "commit": commit or None,
            "dirty": None if changes is None else bool(changes),
            "load_1min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "available_bytes": available_bytes(),
            "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def available_bytes(root: Path = ROOT) -> int | None:
    """Return the memory that this process may still take; None where the system does not say (macOS, Windows).

    The least of what the kernel has and what every control group around the process leaves. File cache that a group
    gives back under pressure is not counted as used.
    """
    found = re.search(r"^MemAvailable:\s*(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    left = [int(found[1]) * 1024] if found else []
    for group in _groups("memory", root):
        for limit, usage, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            most, used = _number(group / limit), _number(group / usage)
            if most is not None and used is not None and most < UNLIMITED:
                given_back = re.search(rf"^{cache} (\d+)", _text(group / "memory.stat"), re.MULTILINE)
                left.append(max(0, most - used + (int(given_back[1]) if given_back else 0)))
    return min(left, default=None)


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return the cores that the control groups grant, in time per time; None without a limit."""
    quotas = []
    for group in _groups("cpu", root):
        # version 2 writes "150000 100000", or "max 100000"; in version 1 a quota of -1 is no limit
        numbers = _text(group / "cpu.max").split() or [
            _text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
        if len(numbers) == 2 and all(number.isdigit() and int(number) for number in numbers):
            quotas.append(int(numbers[0]) / int(numbers[1]))
    return min(quotas, default=None)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and of all groups around it, of version 1 and 2.

    In a container the group's path may be the host's, of which the container sees only the top: all are tried.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "" or controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / (controller if controllers else "")
            own = top / path.strip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _cpu() -> str | None:
    """Return the system's name for the processor."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(ROOT / "proc/cpuinfo"), re.MULTILINE)
    if found:
        return found[1].strip()
    named = _output("sysctl", "-n", "machdep.cpu.brand_string") if platform.system() == "Darwin" else None
    return named or platform.processor() or platform.machine() or None


def _allocator() -> str | None:
    """Name the allocator of the CPU's memory where another than the C library's is loaded."""
    loaded = " ".join(os.environ.get(name, "") for name in ("LD_PRELOAD", "DYLD_INSERT_LIBRARIES"))
    return next((name for name in ("jemalloc", "tcmalloc", "mimalloc") if name in loaded), None)


def _gpu(device: str) -> dict[str, Value]:
    index = torch.device(device).index
    index = torch.cuda.current_device() if index is None else index
    if index >= torch.cuda.device_count():
        return {}
    properties = torch.cuda.get_device_properties(index)
    return {
        "gpu": properties.name,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_driver": nvml.driver(),
        "gpu_power_limit_w": nvml.power_limit_w(index),
        "gpu_allocator": os.environ.get("PYTORCH_ALLOC_CONF") or os.environ.get("PYTORCH_CUDA_ALLOC_CONF"),
    }


def _git(*words: str) -> str | None:
    """Ask git about the working directory, without taking its locks; None where there is no git or repository."""
    return _output("git", "--no-optional-locks", *words)


def _output(*command: str) -> str | None:
    """Return what a command prints; None where it is missing, fails or does not end."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=5, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _text(path: Path) -> str:
    """Return the text of a file that the kernel writes; it is empty where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None
