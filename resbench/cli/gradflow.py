"""`resbench gradflow`: does the gradient get through, and does it move the weights?"""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from resbench.cli.options import (
    BoardOption,
    DataOption,
    DeviceOption,
    FormatOption,
    InputOption,
    ModelOption,
    Models,
    OutputOption,
    PlotOption,
    RootOption,
    board,
    chosen,
    end,
    progress,
    say_where,
)
from resbench.errors import Failures, OptionError
from resbench.tables.output import choose, emit_all

DEFAULT = "gradient,update"
"""Statistics that stand by depth where nothing is asked for."""


def gradflow(
    models: Models = None,
    model: ModelOption = None,
    steps: Annotated[str, typer.Option("--steps", help="At which training steps to look; 0 is the first.")] = "0,1,5",
    data: DataOption = "digits",
    data_root: RootOption = None,
    batch: Annotated[int, typer.Option("--batch", help="Images a step.", min=2, max=2**20)] = 64,
    seeds: Annotated[int, typer.Option("--seeds", help="Initialisations, each with its images.", min=1, max=1000)] = 3,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of SGD with momentum 0.9.")] = 0.1,
    norm: Annotated[str, typer.Option("--norm", help="bn, as the network has it, or none.")] = "bn",
    deep: Annotated[bool, typer.Option("--deep", help="Also the Jacobian of every block.")] = False,
    stat: Annotated[
        str, typer.Option("--stat", help="What to show by depth, such as gradient,update,cosine,dead; or all.")
    ] = DEFAULT,
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", help="Of a verdict: exploding=100, healthy=0.1:10. Repeatable.")
    ] = None,
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="Exit 1 on these verdicts: exploding,vanishing,frozen,...")
    ] = "",
    plot: PlotOption = None,
    tensorboard: BoardOption = None,
    device: DeviceOption = "cpu",
    input: InputOption = None,
    format: FormatOption = None,
    output: OutputOption = None,
) -> None:
    """How the gradient reaches every layer in the first steps of training, and whether it moves the weights.

    Real images, some seeds, the recipe of He et al. 2015. Exit 0 whatever the verdicts, unless --fail-on names one.
    """
    names = list(dict.fromkeys(chosen(models, model)))
    if norm not in ("bn", "none"):
        raise OptionError(f"--norm takes bn, none; received {norm!r}")
    from resbench.gradients.result import Flow
    from resbench.gradients.statistics import chosen_statistics
    from resbench.gradients.verdicts import Thresholds, against, chosen_verdicts, verdicts

    shown = chosen_statistics(stat)
    limits = Thresholds().changed(threshold or ())
    words = chosen_verdicts(fail_on)
    style = choose(format, output)
    from resbench.drawing.charts import check_suffix, save
    from resbench.gradients.chart import picture, pictures

    if plot:
        check_suffix(plot)
    from resbench.data import load_images
    from resbench.gradients.measure import Recipe, flow
    from resbench.gradients.table import depth_table, flow_document, network_table, row_table
    from resbench.networks.name import parse_input
    from resbench.workers.environment import environment
    from resbench.workers.workload import check_device

    check_device(device)
    recipe = Recipe(_steps(steps), seeds, batch, lr, device, deep)
    events = board(tensorboard, "gradflow", data=data, norm=norm, **{**vars(recipe), "steps": steps})
    images = load_images(data, data_root)
    if input:
        parse_input(input)  # of all models: refused once
    failures = Failures(names)

    def observed(name: str) -> Flow:
        found = flow(name, images, recipe, input=input, norm=norm, progress=progress)
        failures.stopped = found.interrupted
        return found

    flows = failures.each(names, observed)
    progress("")
    if not flows:
        end(failures)
    found = [verdicts(one, limits) for one in flows]
    here = environment(device)
    if style in ("csv", "tsv"):
        tables = [row_table(flows)]
    else:
        by_depth = [depth_table(statistic, flows) for statistic in shown]
        empty = [statistic.key for statistic, table in zip(shown, by_depth, strict=True) if table is None]
        if empty and stat != "all" and any(one.rows for one in flows):
            hint = "; block statistics need --deep" if not deep else ""
            print(f"resbench: nothing to show for {', '.join(empty)} in these networks{hint}", file=sys.stderr)
        tables = [*filter(None, by_depth), network_table(flows, found, recipe, data, limits.line, here)]
    emit_all(tables, flow_document(flows, found, recipe, data, limits.line, here), format, output)
    if style == "table" and output is None:
        print(picture(flows, shutil.get_terminal_size().columns, sys.stdout.isatty()), end="")
    if events:
        events.flows(flows)
        say_where(events)
    if plot:
        save(pictures(flows) if stat == DEFAULT else pictures(flows, [one.key for one in shown]), plot)
    broken = [one.broken for one in flows if one.broken]
    failed = [f"{one.model}: {v}" for one, said in zip(flows, found, strict=True) for v in against(said, words)]
    for line in (*broken, *failed):
        print(f"resbench: {line}", file=sys.stderr)
    end(failures, interrupted=failures.stopped)
    if broken or failed:
        raise typer.Exit(1)


def _steps(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() and len(word.strip()) < 7 for word in words):
        raise OptionError(f"--steps takes whole numbers from 0, such as 0,1,5; received {text!r}")
    return tuple(sorted(map(int, words)))
