"""The source ``torchvision:NAME`` gives models with the figures and accuracies that torchvision prints."""

import warnings
from typing import Any

from resbench.arch.published import PublishedCost
from resbench.networks.name import ModelName
from resbench.networks.sources import DEFAULT_INPUT, Found, Options, call, check_known, package


def find(name: ModelName, options: Options, device: str) -> Found:
    """Call ``torchvision.models.get_model(NAME)`` without weights; the image is that of its own weights."""
    models = package("torchvision").models
    check_known(name.base, models.list_models(), "torchvision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # googlenet and inception_v3 announce a new initialisation
        module = call(models.get_model, (name.base,), {"weights": None, **options}, name.head, device)
    side = getattr(module, "image_size", None)  # the vision transformers take one size only
    if side is None:
        try:
            side = models.get_model_weights(name.base).DEFAULT.transforms.keywords["crop_size"]
        except (AttributeError, KeyError, TypeError):
            side = DEFAULT_INPUT[1:]
    shape = (3, side, side) if isinstance(side, int) else (3, *side)
    return Found(module, "torchvision", shape, () if options else _figures(models, name.base, shape[-1]))


def accuracies(name: str) -> dict[str, float]:
    """Look up top 1 on ImageNet in percent of every set of weights of a model. Raises SourceError."""
    models = package("torchvision").models
    if name not in models.list_models():
        return {}
    every = {weights.name: weights.meta.get("_metrics", {}) for weights in models.get_model_weights(name)}
    return {name: of["ImageNet-1K"]["acc@1"] for name, of in every.items() if "ImageNet-1K" in of}


def _figures(models: Any, name: str, side: int) -> tuple[PublishedCost, ...]:
    """Look up num_params and GFLOPS (multiply-accumulates) of the weights that were measured at this size."""
    for weights in models.get_model_weights(name):
        if weights.transforms.keywords.get("crop_size") == side and "_ops" in weights.meta:
            remark = "without the auxiliary heads" if name == "googlenet" else ""
            params, macs = f"{weights.meta['num_params']:,}", f"{weights.meta['_ops']:.3f}G"
            return (PublishedCost(params, macs, "torchvision", remark),)
    return ()
