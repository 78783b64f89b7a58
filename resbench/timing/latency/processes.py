"""The fresh processes of one call: a case is asked of one at a time, in the runtime that its setup names.

Torch's own two run in a process that makes the model. For every other one the model is written into a file once, by a
process of its own, and each process that is timed loads that file.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from resbench.codec import decoded, encoded
from resbench.errors import OptionError
from resbench.files import check_writable, write
from resbench.networks.inputs import Input
from resbench.networks.modules import Lent
from resbench.timing.case import Case
from resbench.timing.latency.result import Deployed, Reading
from resbench.timing.ran import Ran
from resbench.timing.runtimes.exporting import exported_here
from resbench.timing.runtimes.runtime import TORCH, runtime
from resbench.workers.asking import Answer, ask
from resbench.workers.cores import chosen_cores
from resbench.workers.workload import Setup


class Processes:
    """The processes of a call share a folder, in which each exported file and each runtime's compiled code is kept."""

    def __init__(self, folder: Path, turns: int, pinned: bool) -> None:
        self.folder, self.turns, self.pinned = folder, turns, pinned
        self.exports: dict[tuple[Any, ...], Answer] = {}
        self.folders: dict[tuple[Any, ...], Path] = {}

    def answer(self, case: Case, turn: int) -> Answer:
        """Ask one process for a reading of a case: the answer holds it, or an error."""
        if case.setup.runtime in TORCH:
            asked = {"processes": self.turns, "inspected": turn == 0}
            request = {"case": _plain(case), "cores": self._cores(case), **asked}
            more = {"TORCHINDUCTOR_CACHE_DIR": str(self._folder("cache", case))} if case.setup.compile else {}
            return ask("resbench.timing.latency.worker", request, str(case), self.folder, more)
        export = self._exported(case)
        if "error" in export:
            return export
        asked = {"flushed": case.setup.cache == "cold", "processes": self.turns, "inspected": turn == 0}
        found = ask(
            "resbench.timing.runtimes.serving", {**self._request(case, export), **asked}, str(case), self.folder
        )
        if "error" in found:
            return found
        reading = _reading(found, export, _threads(case))
        known = {name: export[name] for name in ("model", "input", "batched")}
        return {**known, "reading": encoded(reading), "pace_s": found["pace_s"]}

    def watched(self, case: Case, pairs: int, least_s: float) -> Answer:
        """Ask one process for the times of the kernels, in so many runs at least and for so long."""
        if case.setup.compile:
            request = {"case": _plain(case), "cores": self._cores(case), "pairs": pairs, "least_s": least_s}
            return ask("resbench.timing.layers.compiled", request, str(case), self.folder)
        export = self._exported(case)
        if "error" in export:
            return export
        request = {**self._request(case, export), "pairs": pairs, "least_s": least_s}
        found = ask("resbench.timing.runtimes.watching", request, str(case), self.folder)
        return {**found, "file": export["file"], "threads": _threads(case)}

    def keep(self, path: Path) -> None:
        """Copy the file that was exported, and that in integers as ``FILE.int8.onnx``; weights that lie beside it keep
        the name by which it knows them. Raises OutputError."""
        for (*_, integers, _), export in self.exports.items():
            if "error" not in export:
                file = Path(export["file"])
                write(path.with_suffix(f".int8{path.suffix}") if integers else path, file.read_bytes())
                beside = file.with_name(f"{file.name}.data")
                if beside.exists():
                    write(path.with_name(beside.name), beside.read_bytes())

    def _request(self, case: Case, export: Answer) -> dict[str, Any]:
        """Say what is loaded, and how."""
        return {
            **{name: export[name] for name in ("folder", "file", "bytes")},
            **{"runtime": case.setup.runtime, "threads": _threads(case), "dtype": case.setup.dtype},
            **{"cache": str(self._folder("cache", case)), "cores": self._cores(case), "what": str(case)},
            "data": case.data and case.data.name,
        }

    def _cores(self, case: Case) -> Sequence[int]:
        """Choose the processors of a case, where its processes are kept to some."""
        return chosen_cores(_threads(case)) if self.pinned and case.setup.kind == "cpu" else ()

    def _exported(self, case: Case) -> Answer:
        """Write the file of a case, once for all runtimes that read such a file."""
        key = _key(case)
        if key not in self.exports:
            folder = self._folder("exported", *key)
            request = {"case": _plain(case), "folder": str(folder)}
            found = ask("resbench.timing.runtimes.exporting", request, str(case), self.folder)
            self.exports[key] = {**found, "folder": str(folder)}
        return self.exports[key]

    def lend(self, case: Case, model: Lent, input: Input) -> None:
        """Write the file of a module of the caller's in this process. Raises MeasureError where that does not work."""
        key = _key(case)
        if key not in self.exports:
            folder = self._folder("exported", *key)
            self.exports[key] = {**encoded(exported_here(case, model, input, folder)), "folder": str(folder)}

    def _folder(self, *key: Any) -> Path:
        """Return the folder of one thing, which is made when it is first asked for."""
        folder = self.folders.setdefault(key, self.folder / str(len(self.folders)))
        folder.mkdir(exist_ok=True)
        return folder


def setups(
    device: str, batches: Sequence[int], runtimes: Sequence[str], quantize: str | None, **how: Any
) -> list[Setup]:
    """Make the setups of a call; with ``quantize`` each runtime that can runs in integers too.

    Raises OptionError or MeasureError for what a runtime cannot do.
    """
    if quantize not in (None, "int8"):
        raise OptionError(f"--quantize takes int8; received {quantize!r}")
    able = {name for name in runtimes if quantize and name not in TORCH and quantize in runtime(name).DTYPES}
    if quantize and not able:
        raise OptionError(
            "--quantize is for runtimes that multiply integers: expected onnxruntime or openvino in --runtime; "
            f"received {','.join(runtimes)}"
        )
    if quantize:
        runtime("onnxruntime")  # which has to be there, for it quantises
    made = list[Setup]()
    for batch in batches:
        for name in runtimes:
            one = Setup(device, batch, runtime=name, **how)
            check_runtime(one)
            made += [one, replace(one, dtype="int8")] if name in able else [one]
    return made


def check_runtime(setup: Setup) -> None:
    """Raise OptionError or MeasureError for a runtime that there is not, or that cannot do what is asked for."""
    if setup.runtime in TORCH:
        return
    found = runtime(setup.runtime)
    asked = {
        "mode": (setup.mode, ("inference",)),
        "device": (setup.device, ("cpu",)),
        "dtype": (setup.dtype, tuple(one for one in found.DTYPES if one != "int8")),
        "memory-format": (setup.memory_format, ("contiguous",)),
    }
    for option, (given, known) in asked.items():
        if given not in known:
            raise OptionError(f"{setup.runtime} is measured with --{option} {' or '.join(known)}; received {given}")


def check_export(path: Path, models: Sequence[str], setups: Sequence[Setup]) -> None:
    """Raise OptionError unless one file comes of these, or OutputError where it cannot be written."""
    suffixes = {runtime(one.runtime).SUFFIX for one in setups if one.runtime not in TORCH}
    files = len(models) * len({one.batch for one in setups}) * len(suffixes)
    if files != 1:
        raise OptionError(
            f"--export keeps the one file that is timed: expected one model and batch, in runtimes that share a file, "
            f"such as onnxruntime,openvino; received {files}"
        )
    [suffix] = suffixes
    if path.suffix != suffix:
        raise OptionError(f"--export: expected a file that ends in {suffix}, received {path.name}")
    check_writable(path)


def _key(case: Case) -> tuple[Any, ...]:
    """Return what sets exported files apart."""
    return case.model, case.input, case.setup.batch, case.setup.dtype == "int8", runtime(case.setup.runtime).SUFFIX


def _threads(case: Case) -> int:
    return case.setup.threads or torch.get_num_threads()


def _plain(case: Case) -> dict[str, Any]:
    return {**case._asdict(), "setup": asdict(case.setup), "data": case.data and case.data._asdict()}


def _reading(found: Answer, export: Answer, threads: int) -> Reading:
    """Make the reading of what a process has answered."""
    products = sorted(found["executed"].items(), key=lambda one: -one[1])
    return Reading(
        phases=("forward",),
        runs_s=tuple(tuple(run) for run in found["runs_s"]),
        verdict=found["verdict"],
        warm=found["warm"],
        rejected=0,
        macs=export["macs"],
        peak_bytes=None,
        ran=Ran(tuple(products), "cpu", (threads,), threads, "", False),
        others=found["others"],
        uncounted=export["uncounted"],
        deployed=decoded(Deployed, found["deployed"]),
    )
