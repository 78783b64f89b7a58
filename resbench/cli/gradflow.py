"""`resbench gradflow` asks whether the gradient gets through, and whether it moves the weights."""

from typing import Annotated

import typer

from resbench.cli import options
from resbench.cli.outlets import tell
from resbench.cli.output import board, checked, draw, emit, end, say_where
from resbench.cli.progress import progress
from resbench.errors import Failures

STEPS, SHOWN = ["0", "1", "5"], ["gradient", "update"]  # where nothing else is asked for


def command(
    models: options.Models = None,
    model: options.Model = None,
    steps: Annotated[
        list[str] | None, options.several("--steps", "At which training steps to look; 0 is the first.", STEPS)
    ] = None,
    data: options.Data = "digits",
    data_root: options.Root = None,
    batch: Annotated[int, typer.Option("--batch", help="Images a step.", min=2, max=2**20)] = 64,
    seeds: Annotated[int, typer.Option("--seeds", help="Initialisations, each with its images.", min=1, max=1000)] = 3,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of SGD with momentum 0.9.")] = 0.1,
    norm: Annotated[str, typer.Option("--norm", help="bn, as the network has it, or none.")] = "bn",
    deep: Annotated[bool, typer.Option("--deep", help="Also the Jacobian of every block.")] = False,
    stat: Annotated[
        list[str] | None,
        options.several("--stat", "What to show by depth, such as gradient,update,cosine,dead; or all.", SHOWN),
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option("--threshold", help="Of a verdict: exploding=100, healthy=0.1:10. Repeatable.")
    ] = None,
    fail_on: Annotated[
        list[str] | None, options.several("--fail-on", "Exit 1 on verdicts: exploding,vanishing,frozen,...")
    ] = None,
    plot: options.Plot = None,
    tensorboard: options.Board = None,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    input: options.Input = None,
    format: options.Format = None,
    output: options.Output = None,
) -> None:
    """How the gradient reaches every layer in the first steps of training, and whether it moves the weights.

    Real images, some seeds, the recipe of He et al. 2015. Exit 0 whatever the verdicts, unless --fail-on names one.
    """
    names = list(dict.fromkeys(options.chosen(models, model, input)))
    options.refuse(norm not in ("bn", "none"), f"--norm takes bn, none; received {norm!r}")
    from resbench.gradients.measure import gradflow
    from resbench.gradients.statistics import chosen_statistics
    from resbench.gradients.verdicts import Thresholds, against, chosen_verdicts

    shown = chosen_statistics(stat or SHOWN)
    limits = Thresholds().changed(threshold or ())
    words = chosen_verdicts(fail_on or ())
    style = checked(format, output, plot)
    events = board(tensorboard, "gradflow", data=data, norm=norm)
    looked_at = sorted(
        options.whole_numbers(steps or STEPS, range(10**6), "--steps takes whole numbers from 0, such as 0,1,5")
    )
    failures = Failures(names)
    found = gradflow(
        names,
        input,
        data=data,
        root=data_root,
        steps=looked_at,
        seeds=seeds,
        batch=batch,
        lr=lr,
        norm=norm,
        deep=deep,
        device=device,
        threads=threads,
        limits=limits,
        failures=failures,
        progress=progress,
    )
    known = {row.statistic for flow in found.flows for row in flow.rows}
    absent = [one.key for one in shown if one.key not in known]
    if absent and stat != ["all"] and style not in ("csv", "tsv") and known:
        tell(f"nothing to show for {', '.join(absent)}{'' if deep else '; block statistics need --deep'}")
    emit(found, format, output, None if style in ("csv", "tsv") else found.tables(shown))
    if events:
        events.flows(found)
        say_where(events)
    if plot:
        draw(found, plot, found.pictures(() if stat in (None, SHOWN) else [one.key for one in shown]))
    against_it = [f"{flow.model}: {one}" for flow in found.flows for one in against(flow.verdicts, words)]
    tell(*(bad := [*filter(None, (flow.broken for flow in found.flows)), *against_it]))
    end(failures, results=[found], files=(output, plot))
    raise typer.Exit(1 if bad else 0)
