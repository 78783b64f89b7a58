"""torch.profiler traces some runs, and TensorBoard's profiler plugin makes tables of the trace.

The trace lies where ``tensorboard --logdir`` finds it, and opens in Perfetto. The plugin's web page needs the internet;
its parser (``torch_tb_profiler``) does not, and gives the same tables here. Seconds and bytes.
"""

import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, schedule, tensorboard_trace_handler

from resbench.errors import MeasureError, OutputError, first_line, foreign
from resbench.given import public
from resbench.networks.inputs import Input
from resbench.networks.modules import Lent
from resbench.progress import Progress, Step, silent
from resbench.timing.case import ready
from resbench.timing.profile import module_calls
from resbench.timing.profile.module_calls import Calls, Rows
from resbench.timing.profile.ranges import LAUNCHES, ranges
from resbench.timing.profile.result import Profile, Views
from resbench.timing.ran import observed
from resbench.units import plural
from resbench.workers.environment import environment
from resbench.workers.optimizers import MOMENTUM
from resbench.workers.switches import quiet_stderr
from resbench.workers.workload import Dtype, MemoryFormat, Mode, Setup, Workload


@public
def profile(
    model: str | Lent,
    input: Input = None,
    *,
    trace: str | Path,
    steps: int = 3,
    device: str = "cpu",
    batch: int = 1,
    dtype: Dtype = "fp32",
    memory_format: MemoryFormat = "contiguous",
    mode: Mode = "inference",
    optimizer: str = MOMENTUM,
    progress: Progress = silent,
) -> Profile:
    """Run a model under torch's profiler: the tables are returned, the trace lies in the folder ``trace``.

    A module is afterwards what it was. Raises MeasureError for what cannot be done here, OutputError for the folder.
    """
    setup = Setup(device, batch, dtype, memory_format, mode, optimizer=optimizer)
    with ready(model, input, setup) as (work, name):
        progress(Step(f"{name}: {plural(steps, 'run')} under the profiler, and reading its trace"), 0.0)
        file, views = profiled(work, Path(trace), name, steps)
        with work.ready():
            ran = observed(work)
    return Profile(name, file, views, setup, environment(device).on(ran.threads[0]), ran)


def profiled(work: Workload, folder: Path, name: str, steps: int = 3) -> tuple[Path, Views]:
    """Run ``steps`` times under the profiler, and read what it saw; the trace lies in ``folder``/``name``.

    Two runs before them are in no figure. Raises as ``record`` and ``read`` do.
    """
    with work.ready():
        work.run()
        trace, calls = record(work, folder, name, steps)
    return trace, read(trace, calls)


def record(work: Workload, folder: Path, name: str, steps: int = 3) -> tuple[Path, Calls]:
    """Run under the profiler; give the trace file, and which module each call in it is.

    One run was warm-up, ``steps`` are in it. Shapes, stacks and memory are recorded too. Raises OutputError where the
    folder cannot be written.
    """
    target = folder / re.sub(r"[^\w.=-]+", "_", name)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}; name a folder with --trace") from error
    before = set(target.iterdir())
    named = list(work.model.named_modules())  # held, so that nothing made in a run gets the address of one of them
    calls: Calls = {}
    write = tensorboard_trace_handler(str(target), worker_name="resbench")

    def done(profiler: torch.profiler.profile) -> None:
        write(profiler)
        calls.update(module_calls.calls(profiler, [*named, *work.model.named_modules()]))

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (work.setup.kind == "cuda")
    with warnings.catch_warnings(), quiet_stderr():
        warnings.simplefilter("ignore")
        with torch.profiler.profile(
            activities=activities,
            schedule=schedule(wait=0, warmup=1, active=steps),
            on_trace_ready=done,
            record_shapes=True,
            profile_memory=True,
            with_stack=True,
        ) as profiler:
            for _ in range(1 + steps):
                work.run()
                profiler.step()
        profiler.on_trace_ready = None  # torch's profiler holds itself, and would hold the model
    made = sorted(set(target.iterdir()) - before)
    if not made:
        raise MeasureError(f"torch.profiler wrote no trace into {target}; try fewer --steps")
    return made[-1], calls


def adapted(events: Rows) -> Rows:
    """Return the events of a trace as the plugin's parser knows them.

    It knows calls of the CUDA runtime under an older name alone, would take the copy of a step's mark among the
    GPU's events for another step, and adds up modules by the name that the trace gives them.
    """
    known = [event for event in module_calls.renamed(events) if event.get("cat") != "gpu_user_annotation"]
    return [event | {"cat": "runtime"} if event.get("cat") in LAUNCHES else event for event in known]


def read(trace: Path, calls: Calls | None = None) -> Views:
    """Return the plugin's views of a trace. ``calls``, from ``record``, are written into it for later readers.

    Raises MeasureError where the parser cannot read it; the trace stays.
    """
    failing = foreign(
        MeasureError,
        lambda error: (
            f"torch-tb-profiler cannot read {trace} ({type(error).__name__}: {first_line(error)}); "
            "the trace is there: open it in https://ui.perfetto.dev"
        ),
    )
    with failing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_tb_profiler.profiler.data import RunProfileData
        from torch_tb_profiler.profiler.run_generator import RunGenerator

        logging.getLogger("pytorch_profiler").setLevel(logging.CRITICAL)
        document = json.loads(trace.read_bytes())
        module_calls.inscribe(document["traceEvents"], calls or {})
        known = adapted(document["traceEvents"])
        data = RunProfileData.from_json("resbench", None, document | {"traceEvents": known})
        run = RunGenerator("resbench", None, data).generate_run_profile()
        views = {
            "overview": _overview(data),
            "operators": [_operator(row) for row in run.operation_table_by_name["data"]],
            "kernels": _kernels(run.kernel_table) if run.kernel_table else [],
            "modules": module_calls.rows((run.get_module_view() or {}).get("data", []), known),
            "ranges": ranges(document["traceEvents"]),
            "memory": _memory(run) if run.memory_snapshot else [],
            "advice": [{"advice": re.sub(r"<[^>]+>", "", text)} for text in data.recommendations],
        }
    if calls:
        _rewrite(trace, document)
    return {name: tuple(rows) for name, rows in views.items() if rows}


def _rewrite(trace: Path, document: dict[str, Any]) -> None:
    beside = trace.with_name(f"{trace.name}.tmp")
    try:
        beside.write_text(json.dumps(document))
        beside.replace(trace)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"cannot write {trace}: {error.strerror}; name another folder with --trace") from error


def _overview(data: Any) -> Rows:
    """Say where the time of an average step goes."""
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


def _memory(run: Any) -> Rows:
    """List the operators by what they allocate, on each device."""
    rows: Rows = [
        {
            "device": device,
            "name": name,
            "calls": calls,
            "allocations": count,
            "allocated_bytes": size,
            "increase_bytes": grown,
            "self_increase_bytes": own,
        }
        for device, operators in run.get_memory_stats(memory_metric="B")["rows"].items()
        for name, calls, grown, own, _, count, _, size in operators
    ]
    return sorted(rows, key=lambda row: -row["allocated_bytes"])
