"""`resbench report` puts everything about some networks on one page."""

from pathlib import Path
from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import command_line, end, tell_remarks
from resbench.cli.progress import STARTING, progress
from resbench.errors import Failures
from resbench.files import check_writable
from resbench.pages.report import PARTS, QUICK, check_page, report
from resbench.results import find


def command(
    models: options.Models = None,
    model: options.Model = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = Path("report.html"),
    stored: options.Stored = None,
    parts: Annotated[
        list[str] | None,
        options.several("--parts", f"What to measure: some of {','.join(PARTS)}; the last two take minutes.", QUICK),
    ] = None,
    title: Annotated[str, typer.Option("--title", help="Instead of the names.")] = "",
    input: options.Input = None,
    batch: options.Batch = 1,
    device: options.Device = "cpu",
    runtime: options.Runtime = None,
    strict: options.Strict = False,
) -> None:
    """Write one page about networks: verdicts, tables, charts, diagrams, and the data; it opens offline.

    Measured here and now, or with --from made of what other commands have stored.
    """
    check_page(output)
    check_writable(output)
    progress(STARTING)
    options.refuse(
        stored and (parts is not None or batch != 1 or device != "cpu" or runtime),
        "--parts, --batch, --device and --runtime say what to measure here: expected them without --from",
    )
    asked = parts or QUICK
    options.refuse(runtime and "latency" not in asked, "--runtime is for latency: expected that in --parts")
    names = options.chosen(models, model, input, least=0 if stored else 1)
    failures = Failures(names)
    read = find(stored) if stored else []
    page = report(
        names,
        input,
        results=read if stored else None,
        parts=asked,
        title=title,
        batch=batch,
        device=device,
        runtime=runtime or ["eager"],
        made_with=command_line(),
        failures=failures,
        progress=progress,
    )
    tell_remarks(read)
    if page.unnamed:
        tell(f"stored as well, and not named: {', '.join(page.unnamed)}")
    page.save(output)
    end(failures, strict, [one.result for one in page.stored], page.models, page.interrupted, (output,))
