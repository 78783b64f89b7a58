"""Libraries of models, as tests import them."""

import importlib
from functools import partial
from math import prod

import torch


def import_torchvision():
    """torchvision; beside a CPU build of torch it imports once the operators of its missing extension are declared."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("nms", "qnms"):
            schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(f"torchvision::{name}", schema)
        return importlib.import_module("torchvision")


AS = {"googlenet": "googlenet,norm=bn,aux=yes", "inception_v3": "inception_v3,aux=yes"}
"""The twin of this name is the catalog's network with these options."""


CALLED = {"xception": "legacy_xception"}
"""A network whose twin has another name."""


def twin(name, **options):
    """Where a network of the catalog has its twin, torchvision:NAME or timm:NAME, and what makes that on the meta
    device with the library's own options; None where nobody else has it."""
    torchvision, timm = import_torchvision(), importlib.import_module("timm")
    name = CALLED.get(name, name)
    if name in torchvision.models.list_models(torchvision.models):
        options |= {"init_weights": False} if name in AS else {}
        return f"torchvision:{name}", partial(_on_meta, torchvision.models.get_model, name, weights=None, **options)
    if timm.is_model(name):
        return f"timm:{name}", partial(_on_meta, timm.create_model, name, pretrained=False, **options)
    return None


def timm_model(name, **options):
    """timm's network of its own name, on the meta device."""
    import_torchvision()
    return _on_meta(importlib.import_module("timm").create_model, name, pretrained=False, **options)


def _on_meta(make, name, **options):
    try:
        with torch.device("meta"):
            return make(name, **options).eval()
    except NotImplementedError:  # it calculates widths with tensors
        return make(name, **options).eval().to("meta")


def drawn(module, seed=0):
    """Give a module weights that preserve variance, and everything else values of order 1, so that nothing hides."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(tensor, deviation, mean=0.0):
        return tensor.uniform_(mean - 3**0.5 * deviation, mean + 3**0.5 * deviation, generator=draw)

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                uniform(tensor, 0.2, 1)
            elif tensor.dim() > 1 and tensor[0].numel() > 1:
                uniform(tensor, prod(tensor.shape[1:]) ** -0.5)
            elif tensor.is_floating_point():
                uniform(tensor, 0.5 if name.endswith(("bias", "mean")) else 1)
    return module
