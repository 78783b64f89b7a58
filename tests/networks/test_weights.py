"""Torchvision's and timm's weights in our networks, and checkpoints that do not belong."""

import os
import re
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from zoos import drawn, timm_model

from resbench.errors import SourceError
from resbench.networks import sources
from resbench.networks.blank import blank
from resbench.networks.build import build
from resbench.networks.weights import load_weights

OURS = ["resnet18", "resnet34", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "vgg11", "vgg11_bn"]
OURS += ["googlenet,norm=bn,aux=yes", "inception_v3,aux=yes"]
SLOW = ["resnet101", "resnet152", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet101_2"]
SLOW += ["vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]


@pytest.mark.parametrize("name", [*OURS, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_torchvisions_weights_give_torchvisions_logits(torchvision, name):
    theirs_name = name.partition(",")[0]
    options = {"init_weights": False} if theirs_name in ("googlenet", "inception_v3") else {}
    with blank():
        theirs = torchvision.models.get_model(theirs_name, weights=None, **options)
    theirs = drawn(theirs.to_empty(device="cpu"))
    ours = load_weights(build(name, device="meta").to_empty(device="cpu"), theirs.state_dict())
    x = torch.randn(2, *((3, 299, 299) if theirs_name == "inception_v3" else (3, 64, 64)))
    for mode in (False, True):
        logits = []
        for net in (theirs.train(mode), ours.train(mode)):
            torch.manual_seed(0)  # dropout
            with torch.no_grad():
                y = net(x)
            logits.append(y if isinstance(y, torch.Tensor) else y[0])
        assert (logits[0] - logits[1]).abs().max() < 1e-5


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


WRAPPED = {
    "a training of timm": lambda good, bad: {
        "args": Namespace(lr=1),
        "epoch": 3,
        "state_dict": bad,
        "state_dict_ema": good,
    },
    "a training of torchvision": lambda good, bad: {
        "model": bad,
        "model_ema": {"n_averaged": torch.tensor(7), **under("module.", good)},
        "optimizer": {"state": {}},
    },
    "a training of Lightning": lambda good, bad: {"state_dict": under("model.", good), "global_step": 9},
    "data parallel, compiled": lambda good, bad: {"model": {"state_dict": under("module._orig_mod.", good)}},
    "a mapping within": lambda good, bad: {"state_dict": good},
    "a file of before 2018": lambda good, bad: {name: value for name, value in good.items() if "tracked" not in name},
}


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_trainings_and_wrappers_put_around_weights_falls_away(tmp_path, kind, device):
    good, bad = build("resnet20", seed=5), build("resnet20", seed=6)
    content = WRAPPED[kind](good.state_dict(), bad.state_dict())
    torch.save(content, tmp_path / "w.pth")
    assert same(load_weights(build("resnet20", device=device), tmp_path / "w.pth"), good)
    assert same(load_weights(build("resnet20", device=device), content), good)


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin"])
def test_safetensors_load_whatever_the_file_is_called(tmp_path, name):
    net = build("resnet20", seed=5)
    save_file(net.state_dict(), tmp_path / name)
    assert same(load_weights(build("resnet20"), tmp_path / name), net)


def test_without_its_package_safetensors_name_the_extra(tmp_path, monkeypatch):
    save_file(build("resnet20").state_dict(), tmp_path / "w.safetensors")
    monkeypatch.setitem(sources.sys.modules, "safetensors.torch", None)
    with pytest.raises(SourceError, match=r"not installed; pip install 'resbench\[safetensors\]'"):
        load_weights(build("resnet20"), tmp_path / "w.safetensors")


def test_torchvisions_files_of_densenet_have_names_of_their_time():
    net = build("densenet121", device="meta").to_empty(device="cpu")
    old = {
        name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): v for name, v in net.state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    load_weights(build("densenet121", device="meta"), old)


@pytest.mark.parametrize("name", ["googlenet,norm=bn", "inception_v3"])
def test_a_network_without_auxiliary_heads_leaves_them(name):
    whole = drawn(build(f"{name},aux=yes", device="meta").to_empty(device="cpu"))
    ours = load_weights(build(name, device="meta"), whole.state_dict())
    assert torch.equal(ours.fc.weight, whole.fc.weight)
    with pytest.raises(SourceError, match=r"aux1.conv.conv.weight|AuxLogits.conv0.conv.weight"):
        load_weights(build(f"{name},aux=yes", device="meta"), ours.state_dict())


# -- networks of timm -------------------------------------------------------------------------------


def timms(name, **options):
    return drawn(timm_model(name, **options).to_empty(device="cpu"))


@pytest.fixture
def file(tmp_path):
    """timm's weights of EfficientNet-B0 as its hub has them: safetensors forget the order of the modules."""
    save_file(timms("efficientnet_b0").state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_file_with_names_that_no_family_tells_loads_as_the_network_that_is_named(file):
    with pytest.raises(SourceError, match=r"block.0.0.weight is missing, expected 32x1x3x3; .* timm:NAME:FILE"):
        load_weights(build("efficientnet_b0"), file)
    ours, theirs = (
        load_weights(build("efficientnet_b0"), f"timm:efficientnet_b0:{file}").eval(),
        timms("efficientnet_b0"),
    )
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), rtol=1e-4, atol=1e-4 * float(theirs(x).abs().max()))


def test_a_network_that_pads_or_divides_otherwise_is_refused_by_its_first_layer(cli, file):
    done = cli("flops", f"efficientnet_b0,weights=timm:tf_efficientnet_b0:{file}")
    assert done.returncode == 2
    assert done.stderr == (
        "resbench: features.0.0: expected padding (1, 1), received padding (0, 0) from timm:tf_efficientnet_b0; "
        "with the same weights it answers otherwise\n"
    )
    with pytest.raises(SourceError, match=r"features.0.1: expected eps 0.001, received eps 1e-05 from MobileNetV3"):
        load_weights(build("mobilenet_v3_large"), timms("mobilenetv3_large_100"))


def test_an_activation_that_no_layer_with_weights_holds_is_found_by_the_answers():
    theirs = timms("resnet18")
    load_weights(build("resnet18"), theirs.train())
    assert all(module.training for module in theirs.modules())
    theirs.layer3[1].act1 = torch.nn.SiLU()
    with pytest.raises(
        SourceError, match=r"ResNet answers otherwise with the same weights, by .* of its largest logit"
    ):
        load_weights(build("resnet18"), theirs)


def test_the_network_that_is_named_has_as_many_classes_as_ours(tmp_path):
    torch.save(timms("mobilenetv2_100", num_classes=7).state_dict(), tmp_path / "w.pth")
    load_weights(build("mobilenet_v2,classes=7"), f"timm:mobilenetv2_100:{tmp_path}/w.pth")
    with pytest.raises(SourceError, match=r"as timm:mobilenetv2_100: .* classifier.weight is 7x1280, expected 9x1280"):
        load_weights(build("mobilenet_v2,classes=9"), f"timm:mobilenetv2_100:{tmp_path}/w.pth")


def test_a_file_that_is_not_of_the_network_that_is_named_says_so(file):
    with pytest.raises(SourceError, match=r"model.safetensors as timm:resnet18: the weights are of another"):
        load_weights(build("resnet18"), f"timm:resnet18:{file}")
    with pytest.raises(SourceError, match="did you mean resnet18"):
        load_weights(build("resnet18"), f"timm:resent18:{file}")


def test_another_architecture_is_named_by_its_first_three_mismatches(tmp_path):
    with pytest.raises(SourceError, match=r"another architecture: layer1.3.conv1.weight is not .*; .*; .* and 57 more"):
        load_weights(build("resnet20"), build("resnet32").state_dict())
    with pytest.raises(SourceError, match=r"fc.weight is 10x64, expected 100x64"):
        load_weights(build("resnet20,classes=100"), build("resnet20").state_dict())
    state = build("resnet20").state_dict()
    state["layer2.0.conv1.weight"] = state["layer2.0.conv1.weight"].reshape(32, 3, 3, 16)
    with pytest.raises(SourceError, match=r"layer2.0.conv1.weight is 32x3x3x16, expected 32x16x3x3$"):
        load_weights(build("resnet20"), state)


class Malicious:
    def __reduce__(self):
        return os.system, ("touch /tmp/resbench-was-here",)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"conv1.weight": Malicious()}, tmp_path / "evil.pth")
    with pytest.raises(SourceError, match="could run code"):
        load_weights(build("resnet20"), tmp_path / "evil.pth")
    assert not os.path.exists("/tmp/resbench-was-here")  # noqa: PTH110


BAD = {
    "holds list": [1, 2],
    "holds Tensor": torch.ones(3),
    "entry 1: Tensor": {1: torch.ones(2)},
    "entry 'epoch': int": {"epoch": 3},
    "conv1.weight is int64, expected float32": {"conv1.weight": torch.ones(16, 3, 3, 3, dtype=torch.int64)},
    "conv1.weight (twice) is not in the network": {"module.conv1.weight": torch.ones(16, 3, 3, 3)},
    "conv1.weight is sparse_coo, expected float32": {"conv1.weight": torch.ones(16, 3, 3, 3).to_sparse()},
}


@pytest.mark.parametrize("says", BAD)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_no_state_dict_of_numbers_is_refused(tmp_path, says, device):
    content = BAD[says]
    if "expected float32" in says or "twice" in says:
        content = build("resnet20").state_dict() | content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(SourceError, match=re.escape(says)):
        load_weights(build("resnet20", device=device), tmp_path / "w.pth")


def test_weights_without_values_are_refused():
    with pytest.raises(SourceError, match=r"conv1.weight has no values; .* and 113 more"):
        load_weights(build("resnet20"), build("resnet20", device="meta").state_dict())


def test_half_precision_weights_become_those_of_the_network(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in build("resnet20").state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    for device in ("cpu", "meta"):
        net = load_weights(build("resnet20", device=device), tmp_path / "w.pth")
        assert {p.dtype for p in net.parameters()} == {torch.float32}


SAFE = b"\x40" + b"\x00" * 7 + b"{ cut"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"hello", b"junk" * 100, b"PK\x03\x04 cut", SAFE])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken\.pth"):
        load_weights(build("resnet20"), path)
    with pytest.raises(SourceError, match="no file"):
        load_weights(build("resnet20"), tmp_path / "absent.pth")
