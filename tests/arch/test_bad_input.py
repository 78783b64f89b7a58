"""Inputs and options that do not go together: a count, or one line that says where, whatever the network."""

import re

import pytest
from commands import called
from variants import CATALOG

from resbench.arch.algebra import walk
from resbench.arch.catalog import architecture, find, options
from resbench.errors import ArchitectureError, OptionError, ResbenchError, ShapeError

TINY = ("3x1x1", "3x7x7", "3x31x33", "1x64x64")
ODD = ("-1", "0", "3", "7", "5000", "1048576", "1048577", "1.5", "yess", "")


@pytest.mark.parametrize("name", CATALOG)
def test_an_input_is_counted_or_refused_at_a_layer(name):
    parts = {path for path, _ in walk(architecture(name).body)}
    for size in TINY:
        net = architecture(f"{name},input={size}")
        try:
            assert net.cost().total.output[0] == 1
        except ShapeError as error:
            assert "\n" not in str(error)
            said = re.match(rf"{re.escape(net.name)}(\.([\w.-]+))?: \S", str(error))
            assert said, error
            assert said[2] is None or said[2] in parts, error


@pytest.mark.parametrize("name", CATALOG)
def test_an_option_is_taken_or_refused_in_one_line_that_names_it(name):
    for option in options(find(name)):
        for word in (*ODD, *option.values):
            try:
                architecture(f"{name},{option.name}={word}")
            except ResbenchError as error:
                assert isinstance(error, ArchitectureError | OptionError)
                assert option.name in str(error)
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("flops", "alexnet", "--input", "3x31x33"), "features.12: max 3x3/2 needs a larger input than 256x1x1"),
        (("flops", "googlenet,aux=yes", "--input", "3x31x33"), "aux1.pool: avg 5x5/3 needs a larger input"),
        (("field", "densenet40_12", "--input", "3x1x1"), "features.transition1.pool: avg 2x2/2 needs a larger input"),
        (("show", "resnext_block,groups=3"), "groups must be a divisor of both 128 and 128 channels, received 3"),
        (("show", "resnet18,width=5000"), "layer3: Conv2d: out_channels must be a whole number from 1 to 1048576"),
        (("show", "resnet20,width=1000000"), "conv1: Conv2d: out_channels must be a whole number from 1 to 1048576"),
        (("flops", "resnext50_32x4d,groups=1048576"), "layer1: Conv2d: out_channels must be a whole number"),
        (
            ("latency", "resnet8", "--input", "3x1x1", "--memory", "--mode", "training"),
            "bn1 (BatchNorm2d): ValueError: ",
        ),
        (
            ("gradflow", "densenet40_12,input=3x1x1", "--seeds", "1", "--steps", "0", "--batch", "2"),
            "features.transition1.pool: avg 2x2/2 needs a larger input than 160x1x1",
        ),
        (("flops", "resnet18,groups=2"), "groups and group_width belong to bottlenecks"),
        (
            ("flops", "densenet_bc100_12,bc=no,classes=0"),
            "classes takes a whole number from 1 to 1048576; received '0'",
        ),
    ],
)
def test_the_command_says_so_in_one_line_and_ends_with_2(arguments, said):
    done = called(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
