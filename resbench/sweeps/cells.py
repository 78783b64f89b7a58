"""Cells are answered, and become rows: by whom, and in which columns.

    cells --engine--> answers --row_of--> rows

An engine is one of three: this process, several of this machine, or a cluster of Ray. Whichever it is, what is timed
runs here, alone, at the end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resbench.errors import MeasureError, OptionError
from resbench.files import own_version
from resbench.sweeps.choices import as_kind
from resbench.sweeps.draws import Drawn
from resbench.sweeps.figures import Figures
from resbench.sweeps.pool import Crew
from resbench.sweeps.questions import FIGURES, Cell, How, Place, Question, chosen
from resbench.sweeps.space import Space

if TYPE_CHECKING:
    from resbench.sweeps.answers import Answer

EPOCHS = (0.1, 1_000_000)
"""A training goes at least and at most so often through its images."""

COLUMNS: Mapping[str, type] = {
    **dict.fromkeys(("key", "network", "model", "question"), str),
    **{"seed": int, "recipe": str, "device": str, "threads": int, "versions": str, "machine": str, "took_s": float},
    **dict.fromkeys(("failed", "resbench"), str),
}
"""Every row has these, a column for each option of the space, and each figure."""


def checked(
    metrics: Sequence[str], data: str, root: str | Path | None, epochs: float, batch: int, lr: float, device: str
) -> tuple[list[Question], How]:
    """Check what is asked of the networks and how, and read the data once.

    Raises OptionError, SourceError without the data, and MeasureError without the device or the runtime.
    """
    how = How(data, str(root) if root else None, epochs, batch, lr, device)
    questions = chosen(metrics)
    if any(question.heeds for question in questions):
        from resbench.data import check_name, load_images
        from resbench.workers.workload import check_device

        check_name(how.data, how.root)
        check_device(how.device)
        if not EPOCHS[0] <= how.epochs <= EPOCHS[1]:
            raise OptionError(f"--epochs takes a number from {EPOCHS[0]:g} to {EPOCHS[1]:,}; received {how.epochs:g}")
        if any("data" in question.heeds for question in questions):
            images = load_images(how.data, Path(how.root) if how.root else None)
            how = replace(how, digest=images.digest[:12] if how.data == "folder" else "")
    for name in (question.runtime for question in questions if question.runtime):
        from resbench.timing.runtimes.runtime import TORCH, runtime

        if name not in TORCH:
            runtime(name)
    return questions, how


Engine = Callable[[Sequence[Cell]], Iterator[tuple[Cell, "Answer"]]]
"""It answers cells, and gives what comes of each as it is done."""


@contextmanager
def engine(how: How, processes: int = 1, ray: str = "") -> Iterator[Engine]:
    """Hold what answers cells: a cluster of Ray at an address, several processes, or this one. Raises MeasureError."""
    if not ray:
        with Crew(processes) as crew:
            yield lambda cells: _in_turn(cells, lambda shared: _here(shared, crew))
        return
    if find_spec("ray") is None:
        raise MeasureError("a cluster is Ray's: pip install 'resbench[ray]'")
    from resbench.sweeps import cluster
    from resbench.sweeps.answers import answered_in_time, died, memory, patience_s

    with cluster.connected(ray, how.root):
        yield lambda cells: _in_turn(
            cells, lambda shared: cluster.each(answered_in_time, shared, died, memory, patience_s)
        )


def _here(cells: Sequence[Cell], crew: Crew) -> Iterator[tuple[Cell, "Answer"]]:
    """Answer cells on this machine, in this process where there is one."""
    from resbench.sweeps.answers import answered, answered_in_time, died

    if crew.processes == 1:
        return ((cell, answered(cell)) for cell in cells)
    return crew.each(answered_in_time, cells, died)


def _in_turn(cells: Sequence[Cell], shared: Engine) -> Iterator[tuple[Cell, "Answer"]]:
    """Answer what may run beside others first, then what is timed, one by one."""
    from resbench.sweeps.answers import answered

    yield from shared([cell for cell in cells if not cell.question.timed])
    yield from ((cell, answered(cell)) for cell in cells if cell.question.timed)


def place_of(question: Question, how: How) -> Place | None:
    """Return where a question is asked that is timed; the answers to others hold anywhere."""
    if not question.timed:
        return None
    from resbench.sweeps.answers import place

    return place(how.device, question.runtime)


def row_of(space: Space, cell: Cell, drawn: Drawn, found: Mapping[str, Any]) -> dict[str, Any]:
    """Make the row of a cell."""
    options = {f"option_{key}": as_kind(value, space.kinds[key]) for key, value in drawn.values.items()}
    words = {"key": cell.key, "network": drawn.name, "model": drawn.model, "question": cell.question.name}
    return {**words, "seed": cell.seed, "recipe": cell.recipe or None, "resbench": own_version(), **options, **found}


def costs_of(found: Figures | str) -> dict[str, Any]:
    return found._asdict() if isinstance(found, Figures) else {"failed": found}


def columns(space: Space) -> dict[str, type]:
    """Say the columns of a space's rows and their types."""
    return {**COLUMNS, **{f"option_{key}": kind for key, kind in space.kinds.items()}, **FIGURES}
