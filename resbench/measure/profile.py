"""A trace of some runs by torch.profiler, and the tables that TensorBoard's profiler plugin makes of it.

The trace lies where ``tensorboard --logdir`` finds it, and opens in Perfetto. The plugin's web page needs the internet;
its parser (``torch_tb_profiler``) does not, and gives the same tables here. Seconds and bytes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, schedule, tensorboard_trace_handler

from resbench.errors import MeasureError, OutputError, first_line
from resbench.measure.boundaries import LEAVE, Modules
from resbench.measure.workload import Workload

Rows = list[dict[str, Any]]

RUNTIMES = ("cuda_runtime", "cuda_driver")
"""What torch's profiler calls a call of the CUDA runtime."""

VIEWS = ("overview", "operators", "kernels", "modules", "memory", "advice")


@dataclass(frozen=True)
class Profile:
    """The trace, and what the plugin reads in it: the rows of each view that it has."""

    trace: Path
    views: dict[str, Rows]


def profile(work: Workload, folder: Path, name: str, steps: int = 3) -> Profile:
    """Run ``steps`` times under the profiler, and read what it saw; the trace lies in ``folder``/``name``."""
    with work.ready():
        order = module_order(work)
        work.run()
        trace = record(work, folder, name, steps)
    return read(trace, order)


def record(work: Workload, folder: Path, name: str, steps: int = 3) -> Path:
    """Run under the profiler; give the trace file. One run was warm-up, ``steps`` are in it.

    Shapes, stacks and memory are recorded too. Raises OutputError where the folder cannot be written.
    """
    target = folder / re.sub(r"[^\w.=-]+", "_", name)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}; name a folder with --trace") from error
    before = set(target.iterdir())
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (work.setup.kind == "cuda")
    with warnings.catch_warnings(), _quiet_stderr():
        warnings.simplefilter("ignore")
        with torch.profiler.profile(
            activities=activities,
            schedule=schedule(wait=0, warmup=1, active=steps),
            on_trace_ready=tensorboard_trace_handler(str(target), worker_name="resbench"),
            record_shapes=True,
            profile_memory=True,
            with_stack=True,
        ) as profiler:
            for _ in range(1 + steps):
                work.run()
                profiler.step()
    made = sorted(set(target.iterdir()) - before)
    if not made:
        raise MeasureError(f"torch.profiler wrote no trace into {target}; try fewer --steps")
    return made[-1]


def module_order(work: Workload) -> dict[str, list[str]]:
    """The names of the modules of each class, in the order in which they first run: the profiler numbers them so.

    Classes of one name cannot be told apart in a trace; their modules are left out.
    """
    modules, order = Modules(work.model), dict[str, list[str]]()
    order[type(work.model).__name__] = [type(work.model).__name__]

    def note(number: int) -> None:
        if number != LEAVE:
            names = order.setdefault(type(modules.modules[number]).__name__, [])
            if modules.names[number] not in names:
                names.append(modules.names[number])

    with modules.watched(note):
        work.phases[0][1]()
    classes = Counter(kind.__name__ for kind in {type(module) for module in modules.modules})
    return {name: names for name, names in order.items() if classes[name] == 1}


def adapted(events: Rows) -> Rows:
    """The events of a trace as the plugin's parser knows them.

    It knows calls of the CUDA runtime under an older name alone, and would take the copy of a step's mark among the
    GPU's events for another step.
    """
    known = [event for event in events if event.get("cat") != "gpu_user_annotation"]
    return [event | {"cat": "runtime"} if event.get("cat") in RUNTIMES else event for event in known]


def read(trace: Path, order: dict[str, list[str]]) -> Profile:
    """The plugin's views of a trace. Raises MeasureError where its parser cannot read it; the trace stays."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch_tb_profiler.profiler.data import RunProfileData
            from torch_tb_profiler.profiler.run_generator import RunGenerator

            logging.getLogger("pytorch_profiler").setLevel(logging.CRITICAL)
            events = json.loads(trace.read_bytes())
            data = RunProfileData.from_json("resbench", None, events | {"traceEvents": adapted(events["traceEvents"])})
            run = RunGenerator("resbench", None, data).generate_run_profile()
            views = {
                "overview": _overview(data),
                "operators": [_operator(row) for row in run.operation_table_by_name["data"]],
                "kernels": _kernels(run.kernel_table) if run.kernel_table else [],
                "modules": list(_modules((run.get_module_view() or {}).get("data", []), order, set())),
                "memory": _memory(run) if run.memory_snapshot else [],
                "advice": [{"advice": re.sub(r"<[^>]+>", "", text)} for text in data.recommendations],
            }
    except Exception as error:
        raise MeasureError(
            f"torch-tb-profiler cannot read {trace} ({type(error).__name__}: {first_line(error)}); "
            "the trace is there: open it in https://ui.perfetto.dev"
        ) from error
    return Profile(trace, {name: rows for name, rows in views.items() if rows})


def _overview(data: Any) -> Rows:
    """Where the time of an average step goes."""
    from torch_tb_profiler.profiler.overall_parser import ProfileRole

    costs = data.avg_costs.costs
    total = costs[ProfileRole.Total]
    names = {"CpuOp": "operators on the CPU", "DataLoader": "data loading"}
    parts = [(role.name, costs[role]) for role in ProfileRole if role.name != "Total" and costs[role]]
    rows = [{"part": names.get(name, name.lower()), "seconds": us / 1e6, "share": us / total} for name, us in parts]
    return [*rows, {"part": "average step", "seconds": total / 1e6, "share": 1.0}]


def _operator(row: dict[str, Any]) -> dict[str, Any]:
    seconds = {
        f"{where}_{what}_s": row[f"{where}_{what}_duration"] / 1e6 if f"{where}_{what}_duration" in row else None
        for where in ("device", "host")
        for what in ("self", "total")
    }
    return {"name": row["name"], "calls": row["calls"], **seconds}


def _kernels(table: dict[str, Any]) -> Rows:
    keys = [column["name"] for column in table["data"]["columns"]]
    rows = [dict(zip(keys, row, strict=True)) for row in table["data"]["rows"]]
    return [
        {
            "name": row["Name"],
            "tensor_cores": row["Tensor Cores Used"].lower(),
            "calls": row["Calls"],
            "total_s": row["Total Duration (us)"] / 1e6,
            "mean_s": row["Mean Duration (us)"] / 1e6,
        }
        for row in rows
    ]


def _modules(nodes: Rows, order: dict[str, list[str]], seen: set[str]) -> Iterator[dict[str, Any]]:
    """The tree as rows, under the names that the model gives; the plugin knows class and number alone.

    A module that is called from several places is there as often, each time with the sum of all its calls.
    """
    for node in nodes:
        kind, _, number = node["name"].removeprefix("nn.Module: ").rpartition("_")
        names = order.get(kind, [])
        known = number.isdigit() and int(number) < len(names)
        if node["name"] not in seen:
            seen.add(node["name"])
            yield {
                "name": names[int(number)] if known else node["name"],
                "type": kind,
                "calls": node["occurences"],
                "operators": node["operators"],
                "host_self_s": node["self_host_duration"] / 1e6,
                "host_total_s": node["host_duration"] / 1e6,
                "device_total_s": node["device_duration"] / 1e6,
            }
        yield from _modules(node["children"], order, seen)


def _memory(run: Any) -> Rows:
    """Operators by what they allocate, on each device."""
    rows = []
    for device, operators in run.get_memory_stats(memory_metric="B")["rows"].items():
        for name, calls, grown, own, _, count, _, size in operators:
            rows.append(
                {
                    "device": device,
                    "name": name,
                    "calls": calls,
                    "allocations": count,
                    "allocated_bytes": size,
                    "increase_bytes": grown,
                    "self_increase_bytes": own,
                }
            )
    return sorted(rows, key=lambda row: -row["allocated_bytes"])


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """What libkineto prints on its own is kept from the terminal; shown after all if the run fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            said.seek(0)
            os.write(2, said.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
