"""Names as values: what they say, what they print, and what is no name."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from resbench.arch.catalog import architecture, entries, find, options
from resbench.arch.entry import IMAGENET
from resbench.errors import OptionError, ResbenchError
from resbench.networks.inputs import ModelInput
from resbench.networks.load import load, result_name
from resbench.networks.name import ModelName

CATALOG = sorted({*(name for name in entries() if "{" not in name), "resnet20", "plain8", "cifar_resnet50"})
WORD = st.text(st.characters(exclude_characters=", \n", exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8)
SIZE = st.tuples(*[st.integers(1, 300)] * 3)


@st.composite
def catalog_texts(draw):
    """A catalog name with some of its options, in any order."""
    base = draw(st.sampled_from(CATALOG))
    known = draw(st.permutations(options(find(base))))
    chosen = known[: draw(st.integers(0, len(known)))]
    words = [f"{o.name}={draw(st.sampled_from(o.values) if o.values else st.integers(1, 64))}" for o in chosen]
    words += [f"input={c}x{h}x{w}" for c, h, w in draw(st.lists(SIZE, max_size=1))]
    words += [f"weights={file}" for file in draw(st.lists(WORD, max_size=1))]
    return ",".join([base, *draw(st.permutations(words))]) + draw(st.sampled_from(["", " without BN"]))


@st.composite
def source_texts(draw):
    """A name of a source, with whatever goes to its factory."""
    keys = draw(st.lists(st.sampled_from(["width", "weights", "classes", "x"]), unique=True))
    words = [f"{key}={draw(st.just('') | WORD)}" for key in keys]
    words += [f"input={c}x{h}x{w}" for c, h, w in draw(st.lists(SIZE, max_size=1))]
    source = draw(st.sampled_from(["file", "torchvision", "pt2", "my.package"]))
    return ",".join([f"{source}:{draw(WORD)}", *draw(st.permutations(words))]) + draw(
        st.sampled_from(["", " without BN"])
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(catalog_texts() | source_texts() | st.text())
@example("resnet20,norm=none")
@example("file:nets.py:net,input=3x8x8 without BN")
@example("pt2:a=b")
def test_a_name_that_is_printed_is_the_same_name_when_it_is_read(text):
    try:
        name = ModelName.parse(text)
    except ResbenchError as error:
        event(type(error).__name__)
        assert str(error)
        assert "\n" not in str(error)
    else:
        event("a name")
        assert ModelName.parse(str(name)) == ModelName.stored(str(name)) == name
        assert ModelName.parse(name.title) == replace(name, weights="")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(catalog_texts())
def test_a_catalog_name_is_that_of_its_architecture(text):
    text = text.removesuffix(" without BN")
    plain = ",".join(word for word in text.split(",") if not word.startswith("weights="))
    try:
        arch = architecture(plain)
    except ResbenchError as error:
        with pytest.raises(type(error)):
            ModelName.parse(text)
    else:
        name = ModelName.parse(text)
        assert name.title == arch.name
        assert name.architecture() == arch


def test_what_a_name_says():
    name = ModelName.parse("resnet56,input=3x64x64,weights=w.pth,classes=100,shortcut=B,width=1")
    assert name.options == (("shortcut", "B"), ("classes", "100"))
    assert name.inputs == (ModelInput("", (3, 64, 64)),)
    assert (name.source, name.base, name.norm, name.weights) == ("", "resnet56", "bn", "w.pth")
    assert str(name) == "resnet56,shortcut=B,classes=100,input=3x64x64,weights=w.pth"
    assert ModelName.parse("torchvision:vgg16,weights=DEFAULT").options == (("weights", "DEFAULT"),)
    assert ModelName.parse("resnet50,input=3x224x224") == ModelName.parse("resnet50", IMAGENET) == ModelName("resnet50")
    assert str(ModelName.parse("file:a.py:net,input=3x8x8,width=2", "3x9x9")) == "file:a.py:net,width=2,input=3x9x9"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("resnet20,shortcut=B", "resnet"),
        ("vgg16 without BN", "vgg"),
        ("torchvision:vgg16", "torchvision"),
        ("file:a.py:net", "file"),
        ("Sequential", ""),
        ("a_network_of_another_version", ""),
    ],
)
def test_a_family_is_the_catalogs_or_the_source(name, family):
    assert ModelName.stored(name).family == family


def test_bn_is_taken_out_by_the_option_where_there_is_one():
    assert str(ModelName.parse("resnet20,shortcut=B").without_norm()) == "resnet20,shortcut=B,norm=none"
    assert str(ModelName.parse("inception_v3").without_norm()) == "inception_v3 without BN"
    assert str(ModelName.parse("file:a.py:net,width=2").without_norm()) == "file:a.py:net,width=2 without BN"
    bare = ModelName.parse("inception_v3 without BN")
    assert not bare.catalogued
    kinds = {type(module).__name__ for module in load(bare, device="meta").module.modules()}
    assert "Conv2d" in kinds
    assert "BatchNorm2d" not in kinds


@pytest.mark.parametrize(
    ("wrong", "says", "right"),
    [
        ("resnet50,", "expected option=value, received ''", "resnet50"),
        (",resnet50", "expected a model's name or its source first, received ',resnet50'", "resnet50"),
        ("resnet50,,classes=7", "expected option=value, received ''", "resnet50,classes=7"),
        ("", "expected a model's name or its source first, received ''", "conv1x1"),
        ("resnet50,classes=7,classes=8", "the option 'classes' is given twice; keep one", "resnet50,classes=8"),
        ("resnet50,input=3x9x9,input=3x9x9", "the option 'input' is given twice; keep one", "resnet50,input=3x64x64"),
        ("resnet50,input=", "resnet50: input: expected CxHxW", "resnet50,input=3x64x64"),
        ("resnet50,weights=", "expected one weights=FILE", "resnet50,weights=a"),
        ("file:a.py:net,", "expected key=value after a comma, received ''", "file:a.py:net"),
        ("file:a.py:net,x=1,x=1", "file:a.py:net: the option 'x' is given twice; keep one", "file:a.py:net,x=1"),
        ("file:", "expected a name after the colon, such as", "file:a"),
        (":net", "expected a model's name or its source first, received ':net'", "a:net"),
    ],
)
def test_what_is_no_name_stands_beside_what_is_one(wrong, says, right):
    with pytest.raises(ResbenchError) as caught:
        ModelName.parse(wrong)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(ModelName.parse(right)) == right


def test_the_input_that_is_asked_for_comes_before_the_one_that_a_name_says():
    assert result_name("resnet20,input=3x64x64", "3x16x16") == "resnet20,input=3x16x16"
    assert result_name("resnet20,input=3x64x64", (3, 32, 32)) == "resnet20"
    with pytest.raises(OptionError, match="expected CxHxW"):
        ModelName.parse("resnet20", 5)
