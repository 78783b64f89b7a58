"""Units that were exchanged are found again, and no order of them changes what a network computes."""

import pytest
import torch

from resbench.arch import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    LocalResponseNorm,
    ReLU,
    Seq,
)
from resbench.errors import OptionError
from resbench.landscapes.between import between
from resbench.landscapes.losses import Losses, cross_entropy
from resbench.landscapes.matching import matched
from resbench.landscapes.units import groups
from resbench.networks.build import build
from resbench.networks.load import load

NAMES = {
    "plain8": (3, 16, 16),
    "resnet8": (3, 16, 16),
    "resnet14,shortcut=B": (3, 16, 16),
    "resnet14,order=full-preact": (3, 16, 16),
    "densenet40_12": (3, 16, 16),
    "mobilenetv2_035": (3, 32, 32),
    "shufflenet_v2_x0_5": (3, 32, 32),
    "inceptionnet": (3, 32, 32),
    "grouped": (3, 16, 16),
}

GROUPED = Seq(
    conv1=Conv2d(3, 12, 3),
    bn1=BatchNorm2d(12),
    relu1=ReLU(),
    conv2=Conv2d(12, 20, 3, groups=4, bias=True),
    relu2=ReLU(),
    conv3=Conv2d(20, 6, 3, bias=False),
    pool=AvgPool2d(5, 2),
    flatten=Flatten(),
    fc=Linear(54, 10),
)


def network(name, seed=0):
    net = build(GROUPED, seed=seed) if name == "grouped" else load(name, NAMES[name], seed=seed).module
    net.double().eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.dim() == 1:  # BN and biases, so that every unit is one of its own
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=draw, dtype=torch.float64))
    return net


def shuffled(net, seed=0):
    """The tensors of a network with the units of every group in an order drawn at random, written naively."""
    tensors = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    draw = torch.Generator().manual_seed(seed)
    for group in groups(net):
        order = torch.randperm(group.size, generator=draw)
        for (name, axis), places in group.places.items():
            before, after = tensors[name].movedim(axis, 0).clone(), tensors[name].movedim(axis, 0)
            for unit, other in enumerate(order.tolist()):
                for here, there in zip(places[unit].tolist(), places[other].tolist(), strict=True):
                    after[here] = before[there]
    return tensors


@pytest.mark.parametrize("name", NAMES)
def test_any_order_computes_the_same_and_is_found_again(name):
    net = network(name)
    parameters = [key for key, _ in net.named_parameters()]
    own = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    x = torch.randn(2, *NAMES[name], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        expected = net(x)
        moved = shuffled(net)
        net.load_state_dict(moved)
        assert torch.allclose(net(x), expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))
        back = matched(own, moved, groups(net), parameters)
    assert not all(torch.equal(moved[key], own[key]) for key in own)
    assert all(torch.equal(back[key], own[key]) for key in own)


@pytest.mark.parametrize("name", ["resnet8", "resnet14,order=full-preact"])
def test_other_weights_are_nearer_afterwards_and_compute_the_same(name):
    one, other = network(name), network(name, seed=1)
    parameters = [key for key, _ in one.named_parameters()]
    ours, theirs = one.state_dict(), {key: tensor.clone() for key, tensor in other.state_dict().items()}
    found = matched(ours, theirs, groups(one), parameters)
    x = torch.randn(2, *NAMES[name], dtype=torch.float64)

    def apart(tensors):
        return sum(float((ours[key] - tensors[key]).square().sum()) for key in parameters)

    assert apart(found) < 0.99 * apart(theirs)
    with torch.no_grad():
        expected = other(x)
        other.load_state_dict(found)
        assert torch.allclose(other(x), expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max()))


def test_units_of_residual_sums_are_one_group_with_all_that_they_go_through():
    found = groups(network("resnet14,shortcut=B"))
    widest = max(found, key=lambda group: len(group.places))
    assert ("conv1.weight", 0) in groups(network("resnet14,shortcut=B"))[0].places
    assert ("layer3.0.downsample.0.weight", 0) in widest.places or ("layer1.1.conv2.weight", 0) in widest.places
    shared = next(group for group in found if ("conv1.weight", 0) in group.places)
    assert ("layer1.0.conv2.weight", 0) in shared.places
    assert ("layer1.1.bn2.running_var", 0) in shared.places
    assert ("layer2.0.conv1.weight", 1) in shared.places


@pytest.mark.parametrize("bn", ["recompute", "train"])
def test_between_a_network_and_itself_in_another_order_is_no_barrier(bn):
    one, other = network("resnet8"), network("resnet8")
    other.load_state_dict(shuffled(other))
    draw = torch.Generator().manual_seed(2)
    x = torch.randn(12, 3, 16, 16, generator=draw, dtype=torch.float64)
    shown = [(x, torch.randint(0, 10, (12,), generator=draw))]
    found = between("resnet8", (0, 1), Losses(one, shown, cross_entropy, bn), other)
    assert found.loss[-1] == pytest.approx(found.loss[0], rel=1e-9)
    assert max(found.loss) - min(found.loss) > 0.1, "the line as it is leads elsewhere"
    assert found.matched == pytest.approx([found.loss[0]] * 11, rel=1e-12)
    assert abs(found.matched_barrier) < 1e-12 * found.loss[0]
    assert found.unmatched == ""


def test_of_a_module_of_somebody_elses_there_is_the_line_as_it_is():
    one, other = torch.nn.Sequential(torch.nn.Linear(4, 3)), torch.nn.Sequential(torch.nn.Linear(4, 3))
    shown = [(torch.randn(8, 4), torch.randint(0, 3, (8,)))]
    found = between("net", (0, 1), Losses(one, shown, cross_entropy), other)
    assert found.matched == ()
    assert found.matched_barrier is None
    assert "expected a network of the catalog or an expression" in found.unmatched
    assert found.barrier <= 1e-6, "cross entropy of a linear model is convex"


def test_what_cannot_be_told_is_refused_in_a_line():
    with pytest.raises(OptionError, match="units of Conv2d cannot be told: expected a network of the catalog"):
        groups(torch.nn.Conv2d(3, 4, 3))
    with pytest.raises(OptionError, match="units cannot be told behind LocalResponseNorm"):
        groups(build(Seq(conv=Conv2d(3, 4, 3), norm=LocalResponseNorm(5), pool=AdaptiveAvgPool2d(1))).eval())
