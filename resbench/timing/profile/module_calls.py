"""The profiled runs themselves tell which of a model's modules each call in a trace is.

A trace knows a module by its class and a number: the order in which the modules of that class come up in it, which
another run need not share (stochastic depth, LayerDrop, experts), and which two classes of one name share. The
profiler's own record holds each module's address too, and that tells them apart. Nothing is put around the modules for
it, so that no time in the trace is ours.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.profiler._utils import traverse_dfs

Rows = list[dict[str, Any]]
Calls = dict[str, list[str | None]]
"""The trace's name of a module (``nn.Module: Conv2d_3``) leads to whose call each one was, in order; None stands for a
module that is none of the model's."""

PREFIX = "nn.Module: "
PATH = "Module path"
"""A call's event in the trace has the module's own name here, among its arguments."""


def calls(profiler: torch.profiler.profile, named: Iterable[tuple[str, nn.Module]]) -> Calls:
    """Return what the profiler recorded, under these names; the model's own is its class."""
    names = {id(module): name or type(module).__name__ for name, module in named}
    tree = profiler.profiler.kineto_results.experimental_event_tree()  # type: ignore[union-attr]
    ordered: Calls = defaultdict(list)
    for event in sorted(traverse_dfs(tree), key=lambda event: event.start_time_ns):
        module = getattr(event.extra_fields, "module", None)
        if module is not None:
            ordered[event.name].append(names.get(module.self_ptr))
    return ordered


def inscribe(traced: Rows, known: Calls) -> None:
    """Write into the events of a trace whose call each one is."""
    events: dict[str, Rows] = defaultdict(list)
    for event in filter(_is_call, traced):
        events[event["name"]].append(event)
    for name, seen in events.items():
        if len(seen) == len(known.get(name, [])):  # else the trace leaves out some, and which is not known
            for event, path in zip(sorted(seen, key=lambda event: float(event["ts"])), known[name], strict=True):
                if path is not None:
                    event["args"][PATH] = path


def renamed(events: Rows) -> Rows:
    """Return the events with each module under its class and its own name: the plugin adds up what has one name."""
    return [_renamed(event) if _is_call(event) and PATH in event["args"] else event for event in events]


def _renamed(event: dict[str, Any]) -> dict[str, Any]:
    kind = event["name"].removeprefix(PREFIX).rpartition("_")[0]
    own = {"name": f"{PREFIX}{kind} {event['args'][PATH]}", "args": event["args"] | {"Python module id": 0}}
    return event | own


def rows(nodes: Rows, events: Rows) -> Rows:
    """Return the plugin's tree as rows, in the order of the first calls; ``events`` are as ``renamed`` gives them.

    A module that is none of the model's keeps the trace's name.

    A module that is called from several places is in the tree as often, each time with the sum of all its calls.
    """
    found = {node["name"]: node for node in _flat(nodes)}
    called = sorted(filter(_is_call, events), key=lambda event: float(event["ts"]))
    names = dict.fromkeys(event["name"].removeprefix(PREFIX) for event in called)
    return [_row(found[name]) for name in names if name in found]


def _row(node: dict[str, Any]) -> dict[str, Any]:
    kind, known, path = node["name"].partition(" ")
    return {
        "name": path if known else node["name"],
        "type": kind if known else node["name"].rpartition("_")[0],
        "calls": node["occurences"],
        "operators": node["operators"],
        "host_self_s": node["self_host_duration"] / 1e6,
        "host_total_s": node["host_duration"] / 1e6,
        "device_total_s": node["device_duration"] / 1e6,
    }


def _flat(nodes: Rows) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _flat(node["children"])


def _is_call(event: dict[str, Any]) -> bool:
    """Tell whether an event of a trace is a call of a module."""
    return event.get("ph") == "X" and str(event.get("name", "")).startswith(PREFIX) and "args" in event
