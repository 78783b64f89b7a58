"""resbench: what a convolutional network costs, layer by layer and side by side.

The Python API on one screen (importing resbench imports neither torch nor pandas):

>>> import resbench
>>> net = resbench.arch("resnet50")              # an architecture is a value
>>> report = resbench.flops("resnet50")          # read it: rows per layer, in integers
>>> report.params, report.macs
(25557032, 4089184256)
>>> resbench.flops(net, batch=8).macs == 8 * report.macs
True
>>> resbench.latency("resnet20", batch=8, processes=1).throughput > 0    # images a second, here
True
>>> report.tables("stage")[0].to_pandas()["macs"].sum().item()
4089184256

A module does as well as a name, and is afterwards what it was: ``resbench.flops(module, input=(3, 32, 32))``, and so
``latency``, ``resbench.gradflow(module, input=...)`` and ``resbench.profile(module, input=..., trace="runs")``.
``resbench.GradientProbe(model, every=8)`` observes the steps of a training loop.
Blocks and networks of your own are expressions of ``resbench.arch``: Seq, Add, Concat, Conv2d, ...
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resbench import arch as arch
    from resbench.costs.measure import flops as flops
    from resbench.costs.structure import show as show
    from resbench.deprecated import cost as cost
    from resbench.deprecated import cost_table as cost_table
    from resbench.errors import ResbenchError as ResbenchError
    from resbench.fields.measure import field as field
    from resbench.gradients.measure import gradflow as gradflow
    from resbench.gradients.probe import GradientProbe as GradientProbe
    from resbench.landscapes.measure import landscape as landscape
    from resbench.lessons.measure import claims as claims
    from resbench.networks.load import build as build
    from resbench.operators.formulas import formula as formula
    from resbench.pages.compare import compare as compare
    from resbench.pages.report import report as report
    from resbench.regression.gating.measure import gate as gate
    from resbench.results import load as load
    from resbench.sweeps.measure import sweep as sweep
    from resbench.sweeps.readings.measure import readings as readings
    from resbench.sweeps.searching.measure import search as search
    from resbench.timing.latency.measure import latency as latency
    from resbench.timing.layers.measure import layers as layers
    from resbench.timing.memory.measure import memory as memory
    from resbench.timing.profile.measure import profile as profile
    from resbench.training.degradation import degradation as degradation
    from resbench.training.placements import placements as placements

_HOME = {
    "arch": "resbench.arch",
    "build": "resbench.networks.load",
    "claims": "resbench.lessons.measure",
    "compare": "resbench.pages.compare",
    "cost": "resbench.deprecated",
    "cost_table": "resbench.deprecated",
    "degradation": "resbench.training.degradation",
    "flops": "resbench.costs.measure",
    "field": "resbench.fields.measure",
    "formula": "resbench.operators.formulas",
    "gate": "resbench.regression.gating.measure",
    "gradflow": "resbench.gradients.measure",
    "landscape": "resbench.landscapes.measure",
    "latency": "resbench.timing.latency.measure",
    "layers": "resbench.timing.layers.measure",
    "load": "resbench.results",
    "memory": "resbench.timing.memory.measure",
    "placements": "resbench.training.placements",
    "profile": "resbench.timing.profile.measure",
    "readings": "resbench.sweeps.readings.measure",
    "report": "resbench.pages.report",
    "search": "resbench.sweeps.searching.measure",
    "show": "resbench.costs.structure",
    "sweep": "resbench.sweeps.measure",
    "GradientProbe": "resbench.gradients.probe",
    "ResbenchError": "resbench.errors",
}

__all__ = list(_HOME)


_UNTIMED = ("degradation", "gradflow", "landscape", "placements")
"""These take the time of nothing: where they are the first to load torch, its threads sleep beside others."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'resbench' has no attribute {name!r}")
    if name in _UNTIMED:
        resolve_name("resbench.workers.waiting:adapt_waiting")()
    return resolve_name(_HOME[name] if name == "arch" else f"{_HOME[name]}:{name}")
