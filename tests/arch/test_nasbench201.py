"""Cells of NAS-Bench-201 count as the benchmark's own file says, and compute what their string says."""

import re
from itertools import product
from typing import get_args

import pytest
import torch
from naive.nasbench201 import NasBench201

from resbench.arch.catalog import architecture
from resbench.arch.families.nasbench201 import Operation, edge
from resbench.networks.blank import blank
from resbench.networks.build import build
from resbench.sweeps.figures import figures
from resbench.sweeps.space import Space

OPERATIONS = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "conv1x1",
    "nor_conv_3x3": "conv3x3",
    "avg_pool_3x3": "avgpool3x3",
}
EDGES = ("e01", "e02", "e12", "e03", "e13", "e23")


def named(text, **options):
    """Our name of a network of the benchmark."""
    words = zip(EDGES, re.findall(r"(\w+)~", text), strict=True)
    given = [*((edge, OPERATIONS[word]) for edge, word in words), *options.items()]
    return ",".join(["nasbench201", *(f"{key}={value}" for key, value in given)])


PRINTED = {
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|": (
        (10, "3x32x32", 0.129306, 15.64737),
        (100, "3x32x32", 0.135156, 15.65322),
        (120, "3x16x16", 0.136456, 3.91948),
    ),
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|none~0|nor_conv_3x3~1|avg_pool_3x3~2|": (
        (10, "3x32x32", 0.802426, 113.95137),
        (100, "3x32x32", 0.808276, 113.95722),
        (120, "3x16x16", 0.809576, 28.49548),
    ),
    "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|": (
        (10, "3x32x32", 0.101306, 11.71521),
        (100, "3x32x32", 0.107156, 11.72106),
        (120, "3x16x16", 0.108456, 2.93644),
    ),
}
"""The params and flop, in millions, of networks 0, 11 and 284 in three of the data sets: D-X-Y/NATS-Bench 1d4a304,
fake_torch_dir. Its flops are MACs and the bias of the classifier."""


@pytest.mark.parametrize("text", PRINTED)
def test_parameters_and_macs_are_those_of_the_benchmark(text):
    for classes, size, params, flops in PRINTED[text]:
        found = architecture(named(text, classes=classes, input=size)).totals()
        assert (found.params, found.macs + classes) == (round(params * 1e6), round(flops * 1e6))


def test_what_stands_before_an_edge_that_gives_nothing_counts():
    """Of these two D-X-Y/AutoDL-Projects, issue 134, quotes 0.56 M for the second; they differ in what is used."""
    live, dead = (
        "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|",
        "|skip_connect~0|+|avg_pool_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|none~2|",
    )
    one, two = (architecture(named(text)).totals() for text in (live, dead))
    assert (one.params, one.macs) == (two.params, two.macs)
    assert f"{two.params / 1e6:.2f}" == "0.56"


def test_every_edge_adds_what_its_operation_takes_in_fifteen_cells():
    """15 (k k) c c of weights and 2 c of BN, at widths 16, 32, 64: by hand, for each of the 15,625."""
    space = Space.of("nasbench201")
    assert space.size == 5**6
    kernels = {"conv1x1": 1, "conv3x3": 3}
    outside = 464 + 14_464 + 57_600 + 128 + 650, 442_368 + 2 * 3_670_016 + 640
    for i, draw in enumerate(space.combined()):
        if i % 97 == 0:
            point = space.point(draw)
            found = figures(point.network.body, point.network.input)
            sides = [kernels[word] for word in point.values.values() if word in kernels]
            params = sum(5 * (k * k * c * c + 2 * c) for k in sides for c in (16, 32, 64))
            macs = sum(5 * k * k * c * c * s * s for k in sides for c, s in ((16, 32), (32, 16), (64, 8)))
            assert (found.params, found.macs) == (outside[0] + params, outside[1] + macs)


def test_every_operation_stands_on_every_edge():
    words = get_args(Operation)
    assert [*words] == list(OPERATIONS.values())
    shapes = {word: edge(word, 8) for word in words}
    assert len(set(map(repr, shapes.values()))) == len(words)
    for name, word in product(EDGES, words):
        assert architecture(f"nasbench201,{name}={word},cells=1,width=4").totals().output == (1, 10)


def test_the_second_network_reads_the_same_string_as_ours():
    text = "|none~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|none~2|"
    with blank():
        second = NasBench201(text, 8, 2)
    ours = build(named(text, width=8, cells=2), device="meta").state_dict()
    assert {key: value.shape for key, value in second.state_dict().items()} == {
        key: value.shape for key, value in ours.items()
    }


def test_a_cell_whose_output_nothing_reaches_answers_the_same_for_every_image():
    net = build(named("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", width=4, cells=1)).eval()
    with torch.no_grad():
        first, second = net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(first, second)
