"""What tests of timing share."""

from functools import partial
from math import inf

import pytest

from resbench.timing import roofline
from resbench.timing.latency import worker
from resbench.timing.layers import measure as layers
from resbench.workers import sampling


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Small ceilings in a cache of the test's own, and no more runs than a test needs: no speed is judged here."""
    monkeypatch.setitem(roofline.SIZES, "cpu", (32,))
    monkeypatch.setitem(roofline.LADDERS, "cpu", (2**16,))
    monkeypatch.setattr(roofline, "EACH_S", 0.005)
    monkeypatch.setattr(roofline, "CALM", inf)
    monkeypatch.setattr(layers, "LEAST_S", 0.0)
    rules = partial(sampling.Rules, warmup_s=0.0, warmup_cap_s=0.0, least_s=0.0, cap_s=0.0)
    for module in (sampling, layers, worker):
        monkeypatch.setattr(module, "Rules", rules)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
