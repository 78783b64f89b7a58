"""Every classification network of torchvision, against the figures that it prints and torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from zoos import import_torchvision

from resbench.arch.catalog import architecture
from resbench.costs.trace import trace
from resbench.networks.load import load

try:
    models = import_torchvision().models
except (ModuleNotFoundError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
    pytest.skip(f"torchvision does not import: {error}", allow_module_level=True)

NAMES = models.list_models(module=models)

WITHOUT_AUX = {"googlenet"}
"""Its figure, 6,624,904, leaves out the auxiliary heads that the network is built with (inception_v3's has them)."""


def module(name, side, options=""):
    if name.startswith("vit"):  # one input size each; its position embedding, a parameter, grows with it
        options += f",image_size={side}"
    return load(f"torchvision:{name}{options}", device="meta").module


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_macs_are_those_that_torchvision_prints(name):
    weights = models.get_model_weights(name)
    for side, params, ops in {
        (each.transforms.keywords["crop_size"], each.meta["num_params"], each.meta["_ops"]) for each in weights
    }:
        report = trace(module(name, side, ",aux_logits=False" if name in WITHOUT_AUX else ""), (1, 3, side, side))
        assert report.params == params
        assert round(report.macs / 1e9, 3) == ops  # billions, printed to three decimals
        assert report.uncounted == ()


@pytest.mark.parametrize("name", WITHOUT_AUX)
def test_with_auxiliary_heads_parameters_are_those_of_the_fold(name):
    report = trace(module(name, 224), (1, 3, 224, 224))
    assert report.params == architecture(f"{name},norm=bn,aux=yes").cost().params
    assert {row.macs for row in report.layers if row.name.startswith("aux")} == {0}


FAST = {"alexnet", "googlenet", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x1_0", "vit_b_32"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in NAMES])
def test_torchs_own_counter_agrees_to_the_last_mac(name):
    side = models.get_model_weights(name).DEFAULT.transforms.keywords["crop_size"]
    net = module(name, side).eval().to("meta")
    with FlopCounterMode(display=False) as theirs:
        net(torch.empty(2, 3, side, side, device="meta"))
    report = trace(net, (2, 3, side, side))
    assert report.flops == theirs.get_total_flops()
    assert report.params == sum(p.numel() for p in net.parameters())
