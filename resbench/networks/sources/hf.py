"""The source ``hf:ID`` or ``hf:DIRECTORY`` builds a model of transformers from its configuration alone."""

from resbench.errors import SourceError, first_line, foreign
from resbench.networks.name import ModelName
from resbench.networks.sources import Found, Options, call, package


def find(name: ModelName, options: Options, device: str) -> Found:
    """Build the first architecture that the configuration names, with random weights, for the image that it says."""
    transformers = package("transformers", extra="hf")
    expected = "expected a model id or a folder with config.json"
    with foreign(SourceError, lambda error: f"{name.head}: no configuration there ({first_line(error)}); {expected}"):
        config = transformers.AutoConfig.from_pretrained(name.base, **options)
    named = getattr(transformers, (config.architectures or ["AutoModel"])[0], transformers.AutoModel)
    build = getattr(named, "_from_config", None) or named.from_config
    module = call(build, (config,), {}, name.head, device)
    side = getattr(config, "image_size", 224)
    sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
    return Found(module, "transformers", (getattr(config, "num_channels", 3), *sides))
