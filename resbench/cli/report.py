"""`resbench report`: everything about some networks on one page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resbench.cli.options import (
    BatchOption,
    DeviceOption,
    InputOption,
    ModelOption,
    Models,
    StrictOption,
    chosen,
    end,
    progress,
    refuse_uncounted,
)
from resbench.errors import Failures, OptionError, StoredError, UnknownModelError
from resbench.files import check_writable, write
from resbench.tables.output import command_line

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
        typer.Option(
            "--parts",
            help=f"What to measure: some of {','.join(PARTS)}; the last two take minutes.",
            show_default=",".join(PARTS[:4]),
        ),
    ] = "",
    title: Annotated[str, typer.Option("--title", help="Instead of the names.")] = "",
    input: InputOption = None,
    batch: BatchOption = 1,
    device: DeviceOption = "cpu",
    strict: StrictOption = False,
) -> None:
    """Write one page about networks: verdicts, tables, charts, diagrams, and the data; it opens without a network.

    Measured here and now, or with --from made of what other commands have stored.
    """
    from resbench.networks.load import result_name
    from resbench.networks.name import parse_input
    from resbench.pages.figures import uncounted
    from resbench.pages.page import page
    from resbench.pages.sections import sections
    from resbench.stored import models as of

    check_writable(output)
    asked = parts.split(",") if parts else PARTS[:4]
    if unknown := [part for part in asked if part not in PARTS]:
        raise OptionError(f"--parts takes {','.join(PARTS)}, with commas between; received {unknown[0]!r}")
    if stored and (parts or batch != 1 or device != "cpu"):
        raise OptionError("--parts, --batch and --device say what to measure here: expected them without --from")
    given = chosen(models, model, least=0 if stored else 1)
    if input:
        parse_input(input)  # of all models: refused once
    failures = Failures(given)
    if stored:
        names, found = _stored(stored, given, input, failures)
    else:
        names = list(dict.fromkeys(failures.each(given, lambda name: result_name(name, input))))
        found = list(_measured(names, asked, batch, device, failures))
        names = [name for name in names if name not in failures.reasons or any(name in of(one.result) for one in found)]
    if failures.reasons and not names:
        progress("")
        end(failures)
    progress("drawing")
    shown = title or " and ".join(names if given else ()) or "resbench report"
    text = page(shown, sections(found, names), found, command_line())
    progress("")
    write(output, text)
    end(failures)
    refuse_uncounted(strict, uncounted((one.result for one in found), names))


def _stored(
    places: Sequence[Path], given: Sequence[str], input: str | None, failures: Failures
) -> tuple[list[str], list[Stored]]:
    """The names, all of them where none is given, and what is stored; costs too, where they need no measuring."""
    from resbench.costs.measure import cost
    from resbench.networks.load import result_name
    from resbench.networks.name import ModelName
    from resbench.stored import Costs, find, models

    found = find(places)
    known = list(dict.fromkeys(name for one in found for name in models(one.result)))

    def named(name: str) -> str:
        full = name if name in known else result_name(name, input)
        if full not in known and not ModelName.stored(full).catalogued:
            raise StoredError(f"nothing is stored of {full!r}; expected some of {', '.join(known) or 'none'}")
        return full

    names = list(dict.fromkeys(failures.each(given, named))) if given else known
    if left := [name for name in known if name not in names]:
        print(f"resbench: stored as well, and not named: {', '.join(left)}", file=sys.stderr)
    counted = {one.model for stored in found if isinstance(stored.result, Costs) for one in stored.result.costs}
    missing = []
    for name in names:
        if name not in counted and ModelName.stored(name).catalogued:
            # a stored one may be of another version's catalog
            with suppress(UnknownModelError) if name in known else failures.of(name):
                missing.append(replace(cost(name), model=name))
    return names, [*([_kept(Costs(missing))] if missing else []), *found]


def _measured(
    names: Sequence[str], parts: Sequence[str], batch: int, device: str, failures: Failures
) -> Iterator[Stored]:
    """Part by part; a network that fails in one is left out of the next."""
    from resbench.cli import live
    from resbench.costs.measure import cost
    from resbench.stored import Costs

    if "cost" in parts and (costs := failures.each(names, lambda name: cost(name, batch=batch))):
        yield _kept(Costs(costs))
    standing = failures.without
    if "latency" in parts and (times := live.latencies(standing(names), None, batch, device, failures)):
        yield _kept(times)
    if "layers" in parts:
        for found in failures.each(standing(names), lambda name: live.layers(name, None, batch, device)):
            yield _kept(found, f"layers-{found.model}")
    if "gradient" in parts and (flows := live.flows(standing(names), None, device, failures)):
        yield _kept(flows)
    if "training" in parts and (trainings := live.trainings(standing(names), device, failures)):
        yield _kept(trainings)
    if "claims" in parts:
        yield _kept(live.claims(device))


def _kept(result: Result, name: str = "") -> Stored:
    """As if it had been stored under its command's name."""
    from resbench.stored import Stored, document

    written = document(result)
    return Stored(Path(f"{name or written['command']}.json"), result, "", written)
