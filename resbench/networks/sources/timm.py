"""The source ``timm:NAME`` calls ``timm.create_model(NAME)`` for random weights."""

from resbench.networks.name import ModelName
from resbench.networks.sources import DEFAULT_INPUT, Found, Options, call, check_known, package


def find(name: ModelName, options: Options, device: str) -> Found:
    """Create the model of that name; the image is that of its own configuration."""
    timm = package("timm")
    check_known(name.base.partition(".")[0], timm.list_models(), "timm")
    module = call(timm.create_model, (name.base,), {"pretrained": False, **options}, name.head, device)
    return Found(module, "timm", tuple(module.pretrained_cfg.get("input_size", DEFAULT_INPUT)))
