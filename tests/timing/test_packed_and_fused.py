"""Weights that lie in an object of a library's own, and layers that one operator does: what ran is still known."""

import warnings
from math import inf

import pytest
import torch
from torch import nn

from resbench.timing import roofline
from resbench.timing.layers import measure as layers
from resbench.timing.layers.measure import layer_times
from resbench.timing.ran import observed
from resbench.workers.workload import Setup, Workload

WIDTH, INNER, HEADS, LENGTH = 32, 48, 4, 6
ENCODER_MACS = LENGTH * (4 * WIDTH**2 + 2 * WIDTH * INNER) + 2 * LENGTH**2 * WIDTH
"""Four projections, two linear layers, and the two products of the attention."""


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(layers, "LEAST_S", 0.0)
    monkeypatch.setattr(roofline, "CALM", inf)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def encoder():
    return nn.Sequential(nn.Flatten(2), nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, 0.0, batch_first=True))


def quantized():
    """A linear layer of 300 inputs and 5 outputs, its weights in int8."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch will move this elsewhere
        return torch.ao.quantization.quantize_dynamic(
            nn.Sequential(nn.Flatten(), nn.Linear(300, 5)), {nn.Linear}, dtype=torch.qint8
        )


def ran(model, shape, **setup):
    work = Workload(model, shape, Setup(**setup))
    with work.ready(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work.run()
        return observed(work)


IMAGES = (1, LENGTH, 4, WIDTH // 4)


@pytest.mark.parametrize(
    ("made", "asked", "dtype"),
    [
        (encoder, "fp32", "fp32"),
        (lambda: encoder().bfloat16(), "fp32", "bf16"),
        (lambda: encoder().double(), "fp32", "fp64"),
        (encoder, "bf16", "bf16"),
    ],
)
def test_an_encoder_layer_that_one_operator_does_is_labelled_by_what_runs_in_it(made, asked, dtype):
    found = ran(made(), IMAGES, dtype=asked)
    assert found.products == ((dtype, ENCODER_MACS),)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_the_sums_that_an_attention_keeps_for_its_gradient_are_no_operands(asked):
    model = encoder() if asked == "bf16" else encoder().bfloat16()
    assert ran(model, IMAGES, dtype=asked, mode="training").dtype == "bf16"


def test_packed_weights_are_operands():
    assert ran(quantized(), (1, 3, 10, 10)).dtype == "fp32xqint8"


def test_the_layers_of_an_encoder_have_the_macs_that_one_operator_did(quick):
    work = Workload(encoder().double(), IMAGES, Setup())
    with work.ready():
        rows = {row.name: row for row in layer_times(work).rows}
    assert {name: row.macs for name, row in rows.items()} == {"0": 0, "1": ENCODER_MACS, "Sequential": 0}
    assert rows["1"].type == "fused"


def test_packed_weights_are_read(quick):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work = Workload(quantized(), (1, 3, 10, 10), Setup())
        with work.ready():
            (linear,) = [row for row in layer_times(work).rows if row.type == "Linear"]
    assert linear.forward == (300 * 5, 4 * 300 + 300 * 5 + 4 * 5)
