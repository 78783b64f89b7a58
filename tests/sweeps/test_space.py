"""A space gives networks: the same for a seed and an index, of every value alike, and none that cannot exist."""

import math
from collections import Counter
from itertools import islice

import pytest
from scipy.stats import chisquare

import resbench
from resbench.arch.catalog import architecture
from resbench.arch.families.regnet import DESIGNS
from resbench.errors import OptionError, ResbenchError, SourceError
from resbench.sweeps.choices import read
from resbench.sweeps.draws import draws
from resbench.sweeps.figures import figures
from resbench.sweeps.space import Space

SMALL = b"""
[[networks]]
model = "resnet{depth}"
depth = { from = 8, to = 20, step = 6 }
shortcut = ["A", "B"]

[[networks]]
model = "plain8"
width = { from = 1, to = 4, scale = "powers of two" }
weight = 2
"""


def names(space, count, seed=0):
    return [one.network.name for one in islice(space.distinct(seed), count)]


def test_a_draw_is_a_function_of_seed_and_index():
    space = Space.of("residual")
    assert names(space, 50) == names(Space.of("residual"), 50)
    assert names(space, 50)[:20] == names(space, 20)
    assert not set(names(space, 50)) & set(names(space, 5, seed=1)) - set(names(space, 500))
    assert all(architecture(name).name == name for name in names(space, 50))


def test_an_option_that_is_added_leaves_the_draws_of_the_others():
    wider = Space.read("small", SMALL.replace(b'shortcut = ["A", "B"]', b'shortcut = ["A", "B"]\nse = [0, 4]'))
    narrow = Space.read("small", SMALL)
    for index in range(100):
        before, after = narrow.drawn(0, index).network.name, wider.drawn(0, index).network.name
        assert after.replace(",se=4", "") == before


def test_every_value_comes_as_often_as_it_should():
    space = Space.read("small", SMALL)
    counts = Counter(space.drawn(0, index).network.name for index in range(3000))
    thirds = {name: count for name, count in counts.items() if name.startswith("plain8")}
    assert len(thirds) == 3
    assert chisquare([*thirds.values()]).pvalue > 0.001
    assert chisquare([sum(thirds.values()), 3000 - sum(thirds.values())], [2000, 1000]).pvalue > 0.001


def test_a_point_has_the_values_that_gave_it_defaults_too():
    for net, model, values in islice(Space.read("small", SMALL).distinct(0), 9):
        assert architecture(model.format(**values) + words(model, values)) == net
        assert {*values} == ({"width"} if model == "plain8" else {"depth", "shortcut"})
    kinds = Space.read(
        "small", SMALL + b'[[networks]]\nmodel = "regnet"\ndepth = 13\nslope = 27.5\nse = ["no", "yes"]'
    ).kinds
    assert kinds == {"depth": int, "shortcut": str, "width": int, "slope": float, "se": str}


def words(model, values):
    return "".join(f",{key}={value}" for key, value in values.items() if key not in model)


def grid(space):
    return [one for batch in draws(space, 1000, 0, [], True, 1) for one in batch]


def test_a_grid_is_every_network_once():
    space = Space.read("small", SMALL)
    every = [one.name for one in grid(space)]
    assert space.size == 3 * 2 + 3
    assert len(every) == len(set(every)) == 9
    assert set(every) == set(names(space, 9))
    assert names(space, 100) == names(space, 9), "it ends when there are no others"


def test_a_logarithmic_range_has_as_many_in_each_octave():
    choice = read("width", {"from": 1, "to": 1023, "scale": "log"})
    shares = [choice.at((i + 0.5) / 10_000) for i in range(10_000)]
    octaves = Counter(int(math.log2(value)) for value in shares)
    assert min(shares) == 1
    assert max(shares) == 1023
    assert all(octaves[k] == pytest.approx(10_000 / 11, rel=0.35) for k in range(2, 10))


def test_real_numbers_are_drawn_and_not_enumerated():
    choice = read("slope", {"from": 0.5, "to": 2.0})
    assert 0.5 <= choice.at(0.0) < choice.at(0.5) == 1.25
    with pytest.raises(OptionError, match="cannot be enumerated: expected a step for --grid"):
        choice.values()
    assert read("slope", {"from": 0.5, "to": 2.0, "step": 0.5}).values() == (0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", r"a space is tables \[\[networks\]\] and nothing else; there is none"),
        ("x = 1", "received 'x'"),
        ("[[networks]]", "expected model = "),
        ('[[networks]]\nmodel = "resnet{depth}"', "needs values for depth"),
        ('[[networks]]\nmodel = "resnet20"\nwidht = 2', "unknown option 'widht'; did you mean width"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = []', "expected a value, a list of them or"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = { from = 4, to = 1 }', "the range is upside down"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = { from = 1, to = 3, scale = "powers of two" }', "powers of two"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = { from = 1, to = 3, by = 1 }', "received 'by'"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = { from = 0, to = 3, scale = "log" }', "from 1 to|begins above 0"),
        ('[[networks]]\nmodel = "resnet20"\nshortcut = ["A", "Z"]', "shortcut takes .*received 'Z'"),
        ('[[networks]]\nmodel = "resnet20"\nwidth = 0', "width takes a whole number from 1"),
        ('[[networks]]\nmodel = "rasnet20"', "unknown model 'rasnet20'"),
        ('[[networks]]\nmodel = "resnet20"\nweight = 0', "expected a weight above 0"),
        ("[[networks", "cannot be read as TOML"),
        ('[[networks]]\nmodel = "resnet{depth"\ndepth = 20', "expected model = "),
        ('[[networks]]\nmodel = "resnet{depth.x}"\ndepth = 20', "expected model = "),
        ('[[networks]]\nmodel = "resnet20"\nweight = true', "expected a weight above 0"),
        ('[[networks]]\nmodel = "resnet20"\ninput = "3"', "networks 1: .*expected CxHxW"),
        ('[[networks]]\nmodel = "resnet20"\nshortcut = "A,width=2"', "expected values without commas"),
        ("networks = 5", "received 5"),
    ],
)
def test_what_is_no_space_is_said_with_its_place(line, said):
    with pytest.raises(ResbenchError, match=said):
        Space.read("mine", line.encode())


def test_a_space_that_is_not_there(tmp_path):
    with pytest.raises(OptionError, match="no space is called 'residul'; did you mean residual"):
        Space.of("residul")
    with pytest.raises(SourceError, match="no file none"):
        Space.of("none.toml")


def test_a_space_without_networks_within_the_limits_says_after_how_many_draws():
    with pytest.raises(OptionError, match=r"small gave no network within the limits in 10,000 draws"):
        Space.read("small", SMALL).drawn(0, 0, lambda one: False)


@pytest.mark.parametrize("name", DESIGNS)
def test_published_regnets_are_points_of_the_space(name):
    depth, initial, slope, step, group = DESIGNS[name]
    numbers = f"depth={depth},initial={initial},slope={slope},step={step},group={group}"
    drawn = architecture(f"regnet,{numbers},se={'yes' if name.startswith('y') else 'no'}")
    published = architecture(f"regnet_{name}")
    assert drawn.body == published.body
    assert figures(drawn.body, drawn.input).macs == published.cost().macs
    assert architecture(drawn.name) == drawn


def test_an_anynet_has_the_numbers_of_its_name():
    for net, *_ in islice(Space.of("anynet").distinct(0), 20):
        said = {key: [*map(int, word.split("-"))] for key, word in (w.split("=") for w in net.name.split(",")[1:])}
        stages = [[part for name, part in stage.parts] for _, stage in dict(net.body.parts)["trunk_output"].parts]
        assert [len(units) for units in stages] == said["depths"]
        assert all(width % 8 == 0 for width in said["widths"])
        rows = {row.name: row for row in net.cost().layers}
        for i, width in enumerate(said["widths"], 1):
            assert rows[f"trunk_output.block{i}.block{i}-0.f.c.0"].output[1] == width


def test_several_numbers_in_order_and_each_by_itself():
    choice = read("widths", {"each": 3, "from": 8, "to": 1024, "step": 8, "scale": "log", "ascending": True})
    space = Space.read("wide", b'[[networks]]\nmodel = "anynet"\ndepths = "1-1-1"\nwidths = ' + WIDTHS)
    for net, *_ in islice(space.distinct(0), 50):
        widths = [int(word) for word in net.name.rpartition("widths=")[2].split("-")]
        assert widths == sorted(widths)
    assert choice.at(0.0) == "8-8-8"
    assert read("d", {"each": 2, "of": [1, 2]}).values() == ("1-1", "1-2", "2-1", "2-2")
    assert read("d", {"each": 2, "of": [1, 2], "ascending": True}).values() == ("1-1", "1-2", "2-2")
    with pytest.raises(OptionError, match="too many for --grid"):
        choice.values()


CODE = """
from resbench.arch import Conv2d, ReLU, Seq, stack, AdaptiveAvgPool2d, Flatten, Linear
from resbench.errors import ArchitectureError

def network(layers, width=8):
    if layers == 4:
        raise ArchitectureError("four is no number of layers")
    body = [Seq(conv=Conv2d(3 if not i else width, width, 3, padding=1), relu=ReLU()) for i in range(layers)]
    return Seq(body=stack(*body), pool=AdaptiveAvgPool2d(1), flat=Flatten(), fc=Linear(width, 10))
"""


def test_a_function_of_a_file_makes_networks_that_every_command_knows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(CODE)
    line = b'[[networks]]\nmodel = "file:mine.py:network"\nlayers = { from = 2, to = 5 }\ninput = "3x8x8"\n'
    space = Space.read("mine", line)
    every = grid(space)
    assert [one.values["layers"] for one in every] == [2, 3, 5]
    assert {*names(space, 3)} == {one.name for one in every}
    for one in every:
        assert one.found.depth == one.values["layers"] + 1
        assert resbench.flops(one.name).macs == one.found.macs
    with pytest.raises(OptionError, match=r"networks 1: .*no_network"):
        Space.read("mine", line.replace(b'network"', b'no_network"'))


WIDTHS = b'{ each = 3, from = 8, to = 1024, step = 8, scale = "log", ascending = true }'

NETWORKS = ("resnet20", "plain56", "resnet56,se=4", "resnet20,aux=yes", "resnet20,shortcut=exclusive-gate", "googlenet")
OTHERS = ("densenet121", "inception_v3", "shufflenet_v2_x1_0", "res2net50_26w_4s", "efficientnet_b0", "resnest50d")


@pytest.mark.parametrize("name", [*NETWORKS, *OTHERS])
def test_figures_are_the_sums_of_the_rows(name):
    net = architecture(name)
    found, cost = figures(net.body, net.input), net.cost()
    total = cost.total
    assert found[:4] == (total.params, total.macs, total.elementwise, total.activations)
    assert found.conv_activations == sum(row.activations for row in cost.layers if row.kind == "convolution")


@pytest.mark.parametrize(
    ("name", "depth"),
    [("resnet20", 20), ("resnet56,se=4", 56), ("resnet50", 50), ("densenet121", 121), ("vgg16", 16), ("googlenet", 22)],
)
def test_depth_is_that_of_the_papers(name, depth):
    net = architecture(name)
    assert figures(net.body, net.input).depth == depth
