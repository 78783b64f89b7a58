"""The source ``hf:ID`` or ``hf:DIRECTORY`` builds a model of transformers from its configuration alone."""

from resbench.errors import SourceError, first_line
from resbench.networks.name import ModelName
from resbench.networks.sources import Found, Options, call, package


def find(name: ModelName, options: Options, device: str) -> Found:
    """Build the first architecture that the configuration names, with random weights, for the image that it says."""
    transformers = package("transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(name.base, **options)
    except Exception as error:
        reason = first_line(error)
        raise SourceError(
            f"{name.head}: no configuration there ({reason}); expected a model id or a folder with config.json"
        ) from error
    named = getattr(transformers, (config.architectures or ["AutoModel"])[0], transformers.AutoModel)
    build = getattr(named, "_from_config", None) or named.from_config
    module = call(build, (config,), {}, name.head, device)
    side = getattr(config, "image_size", 224)
    sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
    return Found(module, "transformers", (getattr(config, "num_channels", 3), *sides))
