"""ConvNeXt's steps from a ResNet: figures in print, the networks at both ends, and what each step changes."""

import csv
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from resbench.arch import Identity, architecture, select
from resbench.arch.channels import LayerScale
from resbench.costs.trace import trace
from resbench.errors import ArchitectureError
from resbench.networks.build import build

with (Path(__file__).parents[1] / "golden/convnext_steps.csv").open() as file:
    STEPS = list(csv.DictReader(file))

MISPRINTS = {
    "layer-norm": "LN has no MACs, so 4.15 as the row above it, as in figure 2 and in Table 11; 4.46 is the next row's",
    "downsampling": "4.46, which ConvNeXt-T has in torchvision too, as Table 11 has that of ConvNeXt-B: unexplained",
}
"""These rows of Table 10 are not what their networks take; Table 11 has no such row."""


def network(depth, step, kernel=7):
    return architecture(f"resnet_to_convnext,start=resnet{depth},step={step},kernel={kernel}")


def gmacs(depth, row):
    return f"{network(depth, row['step'], row['kernel']).totals().macs / 1e9:.2f}"


@pytest.mark.parametrize(("depth", "column", "wrong"), [(50, "table_10", set(MISPRINTS)), (200, "table_11", set())])
def test_each_step_takes_the_macs_that_the_paper_prints(depth, column, wrong):
    assert {row["step"] for row in STEPS if gmacs(depth, row) != row[column]} == wrong


def test_figure_2_rounds_them_again():
    for row in STEPS:
        assert str(Decimal(gmacs(50, row)).quantize(Decimal("0.1"), ROUND_HALF_UP)) == row["figure_2"]


def test_it_begins_with_the_resnet():
    assert network(50, "resnet").body == architecture("resnet50").body


@pytest.mark.parametrize(("depth", "twin"), [(50, "convnext_tiny"), (200, "convnext_base")])
def test_it_ends_with_convnext_without_its_layer_scale(depth, twin):
    """The twin is another expression, which has the parameters and MACs of torchvision's network."""
    expected = select(architecture(twin), LayerScale).replace(Identity()).cost()
    found = network(depth, "downsampling").cost()

    def rows(cost):
        return sorted((row.type, row.output, row.params, row.macs, row.elementwise) for row in cost.layers)

    assert rows(found) == rows(expected)


def test_the_micro_design_leaves_one_activation_and_one_norm_a_unit():
    units = 3 + 3 + 9 + 3
    kinds = Counter(row.type for row in network(50, "fewer-norms").cost().layers)
    assert (kinds["GELU"], kinds["Add"]) == (units, units)
    assert kinds["BatchNorm2d"] == units + 3  # and of the three projections
    assert Counter(row.type for row in network(50, "layer-norm").cost().layers)["LayerNorm2d"] == units + 3


@pytest.mark.parametrize("step", ["width", "inverted", "moved-up", "downsampling"])
def test_a_built_step_is_traced_to_the_same_rows(step):
    net = network(50, step)
    traced = trace(build(net, device="meta"), (1, *net.input))
    assert [row[:6] for row in traced.layers] == [row[:6] for row in net.cost().layers]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("step=width,kernel=9", "kernel belongs to step=kernel and the steps behind it; the step is width"),
        ("kernel=8", "expected an odd kernel"),
    ],
)
def test_a_kernel_that_fits_nowhere_is_refused(options, said):
    with pytest.raises(ArchitectureError, match=said):
        architecture(f"resnet_to_convnext,{options}")
