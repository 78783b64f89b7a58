"""The totals of an architecture are those of its rows, whatever was counted before it."""

from copy import copy

import pytest
from variants import EVERY, VARIANTS

from resbench.arch import Aux, BatchNorm2d, Conv2d, Flatten, Layer, Linear, Mul, ReLU, Seq, Sigmoid, stack
from resbench.arch.catalog import architecture
from resbench.arch.cost import cost
from resbench.arch.totals import totals
from resbench.errors import ShapeError

CONV = Conv2d(4, 4, 3, padding=1)
ODD = {
    "empty": Seq(),
    "silent at the end": Seq(conv=CONV, flatten=Flatten()),
    "a head that also runs": Seq(conv=CONV, aux=Aux(head=Seq(CONV, again=CONV)), last=CONV),
    "a head at the end": Seq(conv=CONV, aux=Aux(head=CONV)),
    "equal parts at other shapes": stack(*[Conv2d(4, 4, 3)] * 3),
    "equal parts, learned or not before them": stack(*[ReLU(), CONV] * 3),
    "equal parts in operators": Seq(a=Mul(CONV, CONV), b=Mul(ReLU(), Sigmoid()), c=Mul(Seq(CONV), gate=Seq())),
}


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", [*EVERY, *VARIANTS, "resnet20,aux=yes,se=4", "resnet1202", "plain110"])
def test_the_totals_of_the_catalog_are_those_of_its_rows(name, mode):
    arch = architecture(name)
    assert arch.totals(batch=2, mode=mode) == arch.cost(batch=2, mode=mode).total


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("arch", ODD.values(), ids=ODD)
def test_the_totals_of_expressions_are_those_of_their_rows(arch, mode):
    assert totals(arch, (4, 9, 9), mode=mode) == cost(arch, (4, 9, 9), mode=mode).total


@pytest.mark.parametrize(
    "arch",
    [Seq(a=CONV, b=Seq(bn=BatchNorm2d(5))), Seq(a=Seq(c=stack(CONV, Conv2d(4, 4, 11)))), Linear(3, 3)],
)
def test_what_does_not_fit_is_said_as_by_the_rows(arch):
    with pytest.raises(ShapeError) as of_rows:
        cost(arch, (4, 9, 9))
    for _ in range(2):
        with pytest.raises(ShapeError) as of_totals:
            totals(arch, (4, 9, 9))
        assert str(of_totals.value) == str(of_rows.value)


def test_equal_parts_are_one_value():
    first, second = (architecture(f"resnet{depth},classes=7").body for depth in (20, 32))
    assert dict(first.parts)["layer1"] != dict(second.parts)["layer1"]
    assert dict(dict(first.parts)["layer1"].parts)["1"] is dict(dict(second.parts)["layer1"].parts)["4"]
    assert hash(first) == hash(architecture("resnet20,classes=7").body)
    assert hash(Seq(a=CONV)) == hash(Seq(a=Conv2d(4, 4, 3, padding=1)))


def again(node):
    """The same expression, of which no two parts are one object."""
    if isinstance(node, Layer):
        return node
    made = copy(node)
    object.__setattr__(made, "parts", tuple((name, again(part)) for name, part in node.parts))
    return made


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    "name", ["resnet50", "preact_resnet20,shortcut=exclusive-gate", "densenet40_12", "convnext_tiny"]
)
def test_rows_that_are_moved_down_are_those_that_are_counted(name, mode):
    arch = architecture(name)
    apart = again(arch.body)
    assert cost(apart, arch.input, mode=mode).layers == cost(arch.body, arch.input, mode=mode).layers


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("arch", ODD.values(), ids=ODD)
def test_rows_of_odd_expressions_that_are_moved_down_are_those_that_are_counted(arch, mode):
    repeated = Seq(stem=CONV, **{f"part{i}": arch for i in range(3)}) if "flatten" not in str(arch).lower() else arch
    assert cost(again(repeated), (4, 30, 30), mode=mode).layers == cost(repeated, (4, 30, 30), mode=mode).layers
