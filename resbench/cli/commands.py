"""The commands of `resbench`: a module each, which is loaded when its command is asked for.

A module here has a function ``command``, with typer's options; its first line of help stands in ``COMMANDS`` too, so
that a list of the commands loads none of them.
"""

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from resbench.cli.outlets import tell
from resbench.cli.values import Quick
from resbench.workers.waiting import adapt_waiting

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMMANDS: Mapping[str, str] = dict(
    line.split(maxsplit=1)
    for line in """
models       List the networks, lessons and blocks, or the options of one; or audit what is in print of them.
show         Show a network's structure: blocks, shapes and cost, equal neighbours folded.
flops        Count parameters, MACs and FLOPs, per model, stage, block or layer. --plot draws them layer by layer.
field        Receptive field, effective stride and padding of every layer; with --measure, how much of it is used.
compare      Put models side by side: what they cost, how fast they are, how the gradient flows, how well they train.
latency      Time networks on this machine, each in several fresh processes, with an interval for the median.
profile      Profile some runs: a trace for TensorBoard and Perfetto, and the tables of TensorBoard's profiler plugin.
gradflow     How the gradient reaches every layer in the first steps of training, and whether it moves the weights.
degradation  Train networks side by side and say whether the deeper ones train worse (He et al. 2015, sec. 4.2).
landscape    Draw the loss of trained networks over a plane through their weights (Li et al. 2018), side by side.
placements   Train every activation order and shortcut of He et al. 2016 at one depth, and rank them by test error.
claims       Run each claim about residual learning as an experiment, on digits; exit 1 where one comes out otherwise.
gate         Judge a change: first what it computes, counter by counter, then its wall time as a duel with its base.
compare-runs Compare two stored runs of a suite: the counters always, wall times only of one machine and installation.
history      Append stored runs of a suite to its history, and show when times and counters changed, and by how much.
sweep        Draw networks of a space, ask --metrics of each, and keep a row of every answer.
search       Look for the networks of a space that are small in several figures: an optimiser chooses.
report       Write one page about networks: verdicts, tables, charts, diagrams, and the data; it opens offline.
doctor       Report the machine, the installed packages, and what is missing for what.
""".strip().splitlines()
)
"""Each command has this line in the list of all, which is the first line of its own help."""


UNTIMED = ("degradation", "gradflow", "landscape", "placements")
"""These take the time of nothing, so that their threads may sleep while they wait."""


class Command(Quick, TyperCommand):
    """A command of typer whose values are read without pydantic, and which Ctrl-C ends with a line."""

    def invoke(self, ctx: Any) -> Any:
        """Do what the command does. Ctrl-C gives status 130, and one line says what was done."""
        try:
            if self.name in UNTIMED:
                adapt_waiting()
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            tell(str(stopped) or "interrupted: nothing was finished, and nothing is written")
            return 130


class Commands(Quick, TyperGroup):
    """The group of all commands, whose own values are read so too."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(Later(name, help=line))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List them with their whole lines."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])


class Later(TyperCommand):
    """A command that is known by its name and its line of help until it is asked for more."""

    @cached_property
    def loaded(self) -> Any:
        """The command itself, of its module."""
        alone = typer.Typer(context_settings=HELP, add_completion=False, rich_markup_mode=None)
        alone.command(self.name, cls=Command)(import_module(f"resbench.cli.{str(self.name).replace('-', '_')}").command)
        return typer.main.get_command(alone)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """Its context is that of the command itself: everything that follows asks the context."""
        return self.loaded.make_context(*args, **more)
