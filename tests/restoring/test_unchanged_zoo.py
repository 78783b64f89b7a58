"""Sixty models of others and our own are bit for bit what they were after every command, and after each fails midway.

At 64 pixels or the smallest that the model takes, batch 2, one seed, one step. A slice: ``-k "hf and latency"``.
"""

import functools

import pytest
import torch
from accounts import kept
from torch import nn
from zoos import import_torchvision

import resbench
from resbench.arch.catalog import architecture
from resbench.errors import ResbenchError
from resbench.networks.build import build

pytestmark = pytest.mark.slow

TORCHVISION = {
    **dict.fromkeys(("alexnet", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "mnasnet0_5"), 64),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18"), 64),
    **dict.fromkeys(("resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_1", "vgg11_bn"), 64),
    **dict.fromkeys(("convnext_tiny", "swin_t", "swin_v2_t"), 64),
    "inception_v3": 299,
    "maxvit_t": 224,
}
TIMM = {
    **dict.fromkeys(("resnest14d", "coat_tiny", "convit_tiny", "cspresnet50", "davit_tiny", "dla34", "dpn48b"), 64),
    **dict.fromkeys(("edgenext_xx_small", "efficientvit_b0", "fastvit_t8", "ghostnet_050", "gcresnet33ts"), 64),
    **dict.fromkeys(("hrnet_w18_small", "lcnet_035", "mobileone_s0", "mobilevit_xxs", "nfnet_f0", "pit_ti_224"), 64),
    **dict.fromkeys(("poolformer_s12", "repvgg_a0", "res2net50_14w_8s", "rexnet_100", "vit_tiny_patch16_224"), 64),
}
SIZED = ("coat_tiny", "convit_tiny", "pit_ti_224", "vit_tiny_patch16_224")
"""Those of timm that are made for one size of input."""

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
STATES = {"output_hidden_states": True, "return_dict": True}
HF = {
    "beit": {**TINY, "image_size": 64, "patch_size": 16},
    "convnext": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 32]},
    "dinov2_with_registers": {**TINY, "image_size": 64, "patch_size": 16},
    "dinov2": {**TINY, "image_size": 64, "patch_size": 16},
    "mobilenet_v2": {"depth_multiplier": 0.35},
    "regnet": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "groups_width": 8, "embedding_size": 8},
    "resnet": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "embedding_size": 8},
    "segformer": {"hidden_sizes": [8, 16, 16, 32], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2]},
    "swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "image_size": 64, "window_size": 4},
    "vit": {**TINY, "image_size": 64, "patch_size": 16, "output_attentions": True},
}
OWN = ("resnet20", "preact_resnet20", "plain20", "resnet20,shortcut=A", "resnet20,shortcut=C", "preact_resnet56")

MODELS = [
    *((f"torchvision:{name}", size) for name, size in TORCHVISION.items()),
    *((f"timm:{name}", size) for name, size in TIMM.items()),
    *((f"hf:{name}", 64) for name in HF),
    *((name, 32) for name in OWN),
]


def make(name, size):
    source, _, rest = name.rpartition(":")
    torch.manual_seed(0)
    if source == "torchvision":
        torchvision = import_torchvision()
        options = {"init_weights": False} if rest in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(rest, num_classes=10, **options)
    if source == "timm":
        import_torchvision()
        options = {"img_size": size} if rest in SIZED else {}
        return pytest.importorskip("timm").create_model(rest, num_classes=10, **options)
    if source == "hf":
        import_torchvision()
        transformers = pytest.importorskip("transformers")
        config = transformers.AutoConfig.for_model(rest, num_labels=10, **STATES, **HF[rest])
        return transformers.AutoModelForImageClassification.from_config(config)
    return build(architecture(rest))


COMMANDS = {
    "flops": functools.partial(resbench.flops, batch=2),
    "latency": functools.partial(resbench.latency, batch=2, mode="training"),
    "gradflow": functools.partial(resbench.gradflow, steps=(0,), seeds=1, batch=2),
    "profile": functools.partial(resbench.profile, batch=2, steps=1, mode="training"),
}


def fails(*args):
    raise RuntimeError("in the middle")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("name", "size"), MODELS, ids=[name for name, _ in MODELS])
def test_a_model_is_bit_for_bit_what_it_was(name, size, command, tmp_path):
    net = make(name, size)
    call = functools.partial(COMMANDS[command], net, (3, size, size))
    if command == "profile":
        call = functools.partial(call, trace=tmp_path)
    as_before = kept(net)
    try:
        call()
    except ResbenchError as error:
        assert command == "gradflow" and "boundaries" in str(error)  # a network without blocks has no such flow
    as_before()
    leaves = [module for module in net.modules() if not list(module.children()) and not isinstance(module, nn.Identity)]
    leaves[len(leaves) // 2].register_forward_hook(fails)
    as_before = kept(net)
    try:
        call()
        assert not any(module is leaves[len(leaves) // 2] for module in ran(net, size))
    except ResbenchError as error:
        assert "in the middle" in str(error)
    as_before()


def ran(net, size):
    """The leaves that a forward calls: a head for training only may not be among them."""
    seen = []
    handle = nn.modules.module.register_module_forward_pre_hook(lambda module, args: seen.append(module))
    try:
        net.eval()(torch.zeros(2, 3, size, size))
    except RuntimeError:
        pass
    finally:
        handle.remove()
    return seen
