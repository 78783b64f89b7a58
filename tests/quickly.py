"""Measurements as short as a test needs, here and in the processes that are started: no speed is judged."""

import os
import sys
from math import inf

import ready

from resbench.timing import roofline
from resbench.timing.latency import worker
from resbench.timing.layers import measure as layers
from resbench.workers import sampling

SITE = """
from dataclasses import make_dataclass
from resbench.workers import sampling
times = [(name, float, 0.0) for name in ("warmup_s", "warmup_cap_s", "least_s", "cap_s")]
Rules = sampling.Rules = make_dataclass("Rules", times, bases=(sampling.Rules,), frozen=True)
"""
"""What Python runs when it starts, where it finds it: the least number of runs is enough, whatever time they took."""

ENOUGH = SITE.replace(', "cap_s")]', ')] + [("precision", float, 1e9)]')
"""The same, but for the least number of runs that the rules ask for, whatever they scatter."""


def measure_quickly(patch, folder):
    """Small ceilings in a cache of their own in a folder, and the least number of runs."""
    patch.setitem(roofline.SIZES, "cpu", (32,))
    patch.setitem(roofline.LADDERS, "cpu", (2**16,))
    patch.setattr(roofline, "EACH_S", 0.005)
    patch.setattr(roofline, "CALM", inf)
    patch.setattr(layers, "LEAST_S", 0.0)
    patch.setattr(sampling, "Rules", sampling.Rules)
    exec(SITE)
    for module in (layers, worker):
        patch.setattr(module, "Rules", sampling.Rules)
    patch.setattr(sys, "executable", ready.python())
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    (folder / "site").mkdir()
    (folder / "site/sitecustomize.py").write_text(SITE)
    patch.setenv("PYTHONPATH", str(folder / "site"), prepend=os.pathsep)
