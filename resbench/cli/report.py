"""`resbench report`: everything about some networks on one page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.options import BatchOption, DeviceOption, InputOption, ModelOption, Models, chosen, progress
from resbench.errors import OptionError, StoredError
from resbench.tables.output import check_writable, command_line, write

if TYPE_CHECKING:
    from resbench.stored import Result, Stored

PARTS = ("cost", "latency", "layers", "gradient", "training", "claims")


def report(
    models: Models = None,
    model: ModelOption = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    stored: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="PATH", help="What other commands wrote as JSON, files or folders. Repeatable."),
    ] = None,
    parts: Annotated[
        str,
        typer.Option("--parts", help=f"What to measure: some of {','.join(PARTS)}; the last two take minutes."),
    ] = ",".join(PARTS[:4]),
    title: Annotated[str, typer.Option("--title", help="Instead of the names.")] = "",
    input: InputOption = None,
    batch: BatchOption = 1,
    device: DeviceOption = "cpu",
) -> None:
    """Write one page about networks: verdicts, tables, charts, diagrams, and the data; it opens without a network.

    Measured here and now, or with --from made of what other commands have stored.
    """
    from resbench.report.page import page
    from resbench.report.sections import sections

    check_writable(output)
    asked = parts.split(",")
    if unknown := [part for part in asked if part not in PARTS]:
        raise OptionError(f"--parts takes {','.join(PARTS)}, with commas between; received {unknown[0]!r}")
    names = list(dict.fromkeys(chosen(models, model, least=0 if stored else 1)))
    found = _stored(stored, names) if stored else list(_measured(names, asked, input, batch, device))
    progress("drawing")
    shown = title or " and ".join(names) or "resbench report"
    text = page(shown, sections(found, names if stored else ()), found, command_line())
    progress("")
    write(output, text)


def _stored(places: Sequence[Path], names: Sequence[str]) -> list[Stored]:
    """What is stored; of networks of the catalog also their cost, which needs no measuring."""
    from resbench.figures import figures
    from resbench.models import cost, is_catalogued
    from resbench.stored import Costs, find

    found = find(places)
    known = list(dict.fromkeys(figure.model for figure in figures(one.result for one in found)))
    for name in names:
        if name not in known and not is_catalogued(name):
            raise StoredError(f"nothing is stored of {name!r}; expected some of {', '.join(known) or 'none'}")
    counted = {one.model for stored in found if isinstance(stored.result, Costs) for one in stored.result.costs}
    missing = [name for name in names or known if name not in counted and is_catalogued(name)]
    return [*([_kept(Costs([cost(name) for name in missing]))] if missing else []), *found]


def _measured(
    names: Sequence[str], parts: Sequence[str], input: str | None, batch: int, device: str
) -> Iterator[Stored]:
    from resbench.cli import live
    from resbench.models import cost
    from resbench.stored import Costs

    if "cost" in parts:
        yield _kept(Costs([cost(name, input, batch=batch) for name in names]))
    if "latency" in parts:
        yield _kept(live.latencies(names, input, batch, device))
    if "layers" in parts:
        for name in names:
            yield _kept(live.layers(name, input, batch, device), f"layers-{name}")
    if "gradient" in parts:
        yield _kept(live.flows(names, input, device))
    if "training" in parts:
        yield _kept(live.trainings(names, device)[0])
    if "claims" in parts:
        yield _kept(live.claims(device))


def _kept(result: Result, name: str = "") -> Stored:
    """As if it had been stored under its command's name."""
    from resbench.stored import Stored, document

    written = document(result)
    return Stored(Path(f"{name or written['command']}.json"), result, "", written)
