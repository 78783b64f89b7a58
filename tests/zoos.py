"""Libraries of models, as tests import them."""

import importlib
import random
from functools import cache, partial
from math import prod

import torch

from resbench.networks.blank import blank


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
        with blank():
            return make(name, **options).eval()
    except NotImplementedError:  # it calculates widths with tensors
        return make(name, **options).eval().to("meta")


@cache
def numbers(dtype):
    """A prime number of them, from -1 to 1: no side of a weight divides it."""
    return torch.empty(1_000_003, dtype=dtype).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))


def drawn(module, seed=0):
    """Give a module weights that preserve variance, and everything else values of order 1, so that nothing hides.

    They are copies of a million that were drawn once, from other places on each time.
    """
    places = random.Random(seed)

    def uniform(tensor, deviation, mean=0.0):
        pool, flat = numbers(tensor.dtype), tensor.view(-1)
        for piece in flat.split(len(pool) // 2):
            start = places.randrange(len(pool) - len(piece))
            torch.add(torch.tensor(mean, dtype=tensor.dtype), pool[start : start + len(piece)],
                      alpha=3**0.5 * deviation, out=piece)  # fmt: skip

    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                uniform(tensor, 0.2, 1)
            elif tensor.dim() > 1 and tensor[0].numel() > 1:
                uniform(tensor, prod(tensor.shape[1:]) ** -0.5)
            elif tensor.is_floating_point():
                uniform(tensor, 0.5 if name.endswith(("bias", "mean")) else 1)
    return module
