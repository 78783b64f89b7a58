"""A plane as a file that ParaView reads: structured points of VTK's legacy format, with loss and error at each."""

from pathlib import Path

from resbench.errors import OutputError
from resbench.files import write
from resbench.landscapes.result import Landscapes, Surface
from resbench.training.checkpoint import named


def save(found: Landscapes, folder: Path) -> list[Path]:
    """Write a file for each plane. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}; name another folder") from None
    paths = []
    for one in found.surfaces:
        paths.append(folder / f"{named(one.model)}-seed{one.seed}.vtk")
        write(paths[-1], text(found, one))
    return paths


def text(found: Landscapes, one: Surface) -> str:
    """Write a plane as text."""
    n, span = found.way.points, found.way.span
    step = 2 * span / (n - 1)
    lines = [
        "# vtk DataFile Version 3.0",
        f"{one.model}, seed {one.seed}: {found.way.line}"[:255],
        "ASCII",
        "DATASET STRUCTURED_POINTS",
        f"DIMENSIONS {n} {n} 1",
        f"ORIGIN {-span!r} {-span!r} 0",
        f"SPACING {step!r} {step!r} 1",
        f"POINT_DATA {n * n}",
    ]
    for name, rows in (("loss", one.loss), ("error", one.error)):
        lines += [f"SCALARS {name} double 1", "LOOKUP_TABLE default"]
        lines += [" ".join(map(repr, row)) for row in rows]
    return "\n".join(lines) + "\n"
