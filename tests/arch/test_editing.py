"""select(...).replace(...): what is selected changes, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_properties import EXPRESSIONS, examples, networks, read_back

from resbench.arch import (
    GELU,
    Add,
    Aux,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Identity,
    Layer,
    ReLU,
    Seq,
    Sigmoid,
    architecture,
    cost,
    select,
    stack,
)
from resbench.arch.algebra import walk
from resbench.errors import ArchitectureError, ShapeError


def rows(network, *left_out):
    report = network.cost() if hasattr(network, "cost") else cost(network, (4, 8, 8))
    return [row for row in report.layers if row.type not in left_out]


def counts(network):
    return [row._replace(reads=(), keeps=(), sees=()) for row in rows(network)]


@pytest.mark.parametrize("name", ["resnet50", "preact_resnet20", "vgg11_bn", "googlenet,aux=yes", "se_block"])
def test_another_activation_changes_only_what_its_rows_are_and_what_their_gradients_need(name):
    net = architecture(name)
    edited = select(net, ReLU).replace(GELU())
    assert rows(edited) == [
        row._replace(type="GELU", kind="function", keeps=row.reads) if row.type == "ReLU" else row for row in rows(net)
    ]


@pytest.mark.parametrize(("name", "last"), [("resnet20", "*.bn2"), ("resnet50", "*.bn3")])
def test_the_last_bn_of_each_block_is_taken_out_in_one_line(name, last):
    net = architecture(name)
    edited = select(net, last).replace(Identity())
    assert counts(edited) == [
        row for row in counts(net) if row.type != "BatchNorm2d" or not row.name.endswith(last[1:])
    ]
    assert len(rows(net)) - len(rows(edited)) == len(list(select(net, Add)))


def test_a_kind_is_a_class_or_its_name_and_a_pattern_is_one_of_dotted_names():
    net = architecture("resnet20")
    assert list(select(net, "Conv2d")) == list(select(net, Conv2d))
    assert [name for name, _ in select(net, "layer1.*.conv2")] == [f"layer1.{i}.conv2" for i in range(3)]
    assert [name for name, _ in select(net.body, "relu")] == ["relu"]
    assert [type(node) for _, node in select(net, "layer3.0.add")] == [Add]
    assert [name for name, _ in select(net, "layer3.0")] == ["layer3.0"]
    within = ["conv1", "bn1", "relu1", "conv2", "bn2", "downsample", "relu2"]
    assert [name for name, _ in select(net, "layer3.0.*")] == [f"layer3.0.{name}" for name in within]
    assert [name for name, _ in select(net, "*")][:4] == ["conv1", "bn1", "relu", "layer1"]
    assert [name for name, _ in select(architecture("se_block"), "*.mul")] == ["se"]


def test_a_function_is_given_the_node_and_its_name():
    def wider(conv, name):
        return replace(conv, out_channels=2 * conv.out_channels) if name == "b" else replace(conv, in_channels=16)

    net = Seq(a=Conv2d(4, 8, 1), b=Conv2d(8, 8, 1), c=Conv2d(8, 4, 1))
    assert select(net, "[bc]").replace(wider) == Seq(a=Conv2d(4, 8, 1), b=Conv2d(8, 16, 1), c=Conv2d(16, 4, 1))


def test_shapes_are_checked_when_the_result_is_read():
    edited = select(architecture("resnet20"), "layer1.0.conv2").replace(Conv2d(16, 8, 3, padding=1))
    with pytest.raises(ShapeError, match=r"^resnet20 \(edited\)\.layer1\.0\.bn2: BN expects 16 channels"):
        edited.cost()


def test_an_edited_architecture_says_so_or_takes_a_name():
    net = architecture("resnet20")
    edited = select(net, ReLU).replace(GELU())
    assert (edited.name, edited.source, edited.input) == ("resnet20 (edited)", f"{net.source}, edited", net.input)
    assert select(net, ReLU).replace(GELU(), name="smooth").cost().model == "smooth"


PAIR = Seq(bn=BatchNorm2d(4), relu=ReLU())


@pytest.mark.parametrize(
    ("node", "what", "new", "expected"),
    [
        (Seq(ReLU(), Sigmoid()), ReLU, PAIR, Seq(Seq(**{"0": PAIR}), Sigmoid())),
        (Seq(ReLU(), Sigmoid()), ReLU, Identity(), Seq(Identity(), Sigmoid())),
        (Seq(Seq(a=ReLU()), ReLU(), b=Sigmoid()), "1", Identity(), Seq(Seq(a=ReLU()), Identity(), b=Sigmoid())),
        (Seq(a=ReLU(), b=Sigmoid()), ReLU, Identity(), Seq(b=Sigmoid())),
        (Seq(a=ReLU()), ReLU, Identity(), Seq()),
        (stack(PAIR, PAIR, PAIR), "1", Identity(), Seq(**{"0": PAIR, "2": PAIR})),
        (stack(PAIR, ReLU()), "1", PAIR, stack(PAIR, PAIR)),
        (Add(ReLU(), Identity()), Identity, Dropout(), Add(ReLU(), Dropout())),
        (Add(ReLU(), Identity()), ReLU, PAIR, Add(Seq(branch=PAIR), Identity())),
        (Add(a=ReLU(), b=Identity()), ReLU, Identity(), Add(a=Identity(), b=Identity())),
        (Seq(Aux(head=Flatten()), a=ReLU()), Aux, Identity(), Seq(Identity(), a=ReLU())),
        (Seq(a=PAIR), Seq, ReLU(), ReLU()),
        (ReLU(), ReLU, GELU(), GELU()),
    ],
    ids=str,
)
def test_what_stood_by_position_stands_by_position_and_what_had_a_name_keeps_it(node, what, new, expected):
    edited = select(node, what).replace(new)
    assert edited == expected
    assert read_back(edited) == edited


@examples(300)
@given(st.one_of(EXPRESSIONS, networks().map(lambda net: net.node)), st.data())
def test_untouched_layers_keep_their_names_and_the_result_prints_as_its_code(node, data):
    names = sorted({name for name, inner in walk(node) if isinstance(inner, Layer) and not inner.silent and name})
    if not names:
        return
    name = data.draw(st.sampled_from(names), label="name")
    new = data.draw(st.sampled_from([Identity(), GELU(), PAIR, Seq(), Add(ReLU(), Identity())]), label="new")
    edited = select(node, name).replace(new)
    assert read_back(edited) == edited
    assert hash(read_back(edited)) == hash(edited)

    def others(expression):
        return [
            (place, inner)
            for place, inner in walk(expression)
            if isinstance(inner, Layer) and not inner.silent and place != name and not place.startswith(f"{name}.")
        ]

    assert others(edited) == others(node)


@pytest.mark.parametrize("what", ["relu7", "Relu", 3, None, Sigmoid, ReLU()], ids=str)
def test_what_selects_nothing_is_refused(what):
    with pytest.raises(ArchitectureError, match=r"received .* which nothing matches; the network is made of A"):
        select(architecture("resnet20"), what)


@pytest.mark.parametrize(
    "new", [GELU, None, "GELU", lambda node, name: None], ids=["a class", "nothing", "a name", "a function"]
)
def test_only_a_node_takes_the_place_of_a_node(new):
    with pytest.raises(ArchitectureError, match=r"^relu: expected a layer in its place, such as ReLU\(\), received "):
        select(architecture("resnet20"), ReLU).replace(new)
