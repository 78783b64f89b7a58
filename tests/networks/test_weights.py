"""Torchvision's weights in our networks, and checkpoints that do not belong."""

import os

import pytest
import torch

from resbench.errors import SourceError
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
    theirs = torchvision.models.get_model(theirs_name, weights=None, **options)
    ours = load_weights(build(name, device="meta").to_empty(device="cpu"), theirs.state_dict())
    x = torch.randn(2, *((3, 299, 299) if theirs_name == "inception_v3" else (3, 96, 96)))
    for mode in (False, True):
        logits = []
        for net in (theirs.train(mode), ours.train(mode)):
            torch.manual_seed(0)  # dropout
            with torch.no_grad():
                y = net(x)
            logits.append(y if isinstance(y, torch.Tensor) else y[0])
        assert (logits[0] - logits[1]).abs().max() < 1e-5


def test_weights_load_from_a_file_also_below_state_dict_and_under_the_names_of_wrappers(tmp_path):
    net = build("resnet20", seed=5)
    wrapped = {f"module._orig_mod.{name}": value for name, value in net.state_dict().items()}
    torch.save({"model": {"state_dict": wrapped}}, tmp_path / "w.pth")
    loaded = load_weights(build("resnet20"), tmp_path / "w.pth")
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), loaded.state_dict().values(), strict=True))


def test_another_architecture_is_named_by_its_first_three_mismatches(tmp_path):
    with pytest.raises(SourceError, match=r"another architecture: .*; .*; .* and [0-9]+ more"):
        load_weights(build("resnet20"), build("resnet32").state_dict())
    with pytest.raises(SourceError, match=r"fc.weight is 10x64, expected 100x64"):
        load_weights(build("resnet20,classes=100"), build("resnet20").state_dict())


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
    "conv1.weight is sparse_coo, expected float32": {"conv1.weight": torch.ones(16, 3, 3, 3).to_sparse()},
}


@pytest.mark.parametrize("says", BAD)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_no_state_dict_of_numbers_is_refused(tmp_path, says, device):
    content = BAD[says]
    if "expected float32" in says:
        content = build("resnet20").state_dict() | content
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(SourceError, match=says):
        load_weights(build("resnet20", device=device), tmp_path / "w.pth")


def test_half_precision_weights_become_those_of_the_network(tmp_path):
    state = {k: v.half() if v.is_floating_point() else v for k, v in build("resnet20").state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    for device in ("cpu", "meta"):
        net = load_weights(build("resnet20", device=device), tmp_path / "w.pth")
        assert {p.dtype for p in net.parameters()} == {torch.float32}


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"hello", b"junk" * 100, b"PK\x03\x04 cut"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken\.pth"):
        load_weights(build("resnet20"), path)
    with pytest.raises(SourceError, match="no file"):
        load_weights(build("resnet20"), tmp_path / "absent.pth")
