"""The source ``hf:ID`` or ``hf:DIRECTORY`` builds a model of transformers from its configuration alone.

Which inputs it is meant for is said by its class (``main_input_name``, ``input_modalities``) and its forward, how large
they are by the configuration. Text is a sequence of 128 tokens, or as long as the model can take; sound is a second.
"""

from collections.abc import Iterator, Mapping, Sequence
from inspect import signature
from typing import Any

from resbench.errors import SourceError, first_line, foreign
from resbench.networks.inputs import ModelInput
from resbench.networks.name import ModelName
from resbench.networks.sources import DEFAULT_INPUT, Found, Options, call, package

TOKENS = 128
"""A text has so many."""

SECOND = 16_000
"""Sound is sampled so often a second."""

FRAMES = 100
"""A second of sound has so many spectra."""

PARTS = {
    "image": ("vision_config", "image_config", "backbone_config"),
    "text": ("text_config", "decoder", "text_encoder"),
    "audio": ("audio_config", "audio_encoder"),
}
"""A configuration says what it knows of one kind of input in these parts, or itself."""


def find(name: ModelName, options: Options, device: str) -> Found:
    """Build the first architecture that the configuration names, with random weights, and find what it takes."""
    transformers = package("transformers", extra="hf")
    expected = "expected a model id or a folder with config.json"
    with foreign(SourceError, lambda error: f"{name.head}: no configuration there ({first_line(error)}); {expected}"):
        config = transformers.AutoConfig.from_pretrained(name.base, **options)
    wanted = (config.architectures or ["AutoModel"])[0]
    with foreign(SourceError, lambda error: f"{name.head}: transformers cannot give {wanted} ({first_line(error)})"):
        named = getattr(transformers, wanted, transformers.AutoModel)
    build = getattr(named, "_from_config", None) or named.from_config
    module = call(build, (config,), {}, name.head, device)
    inputs = _inputs(module, config)
    if len(inputs) == 1 and inputs[0].is_image and inputs[0].name == next(iter(signature(module.forward).parameters)):
        return Found(module, "transformers", (inputs[0].shape[0], inputs[0].shape[1], inputs[0].shape[2]))
    return Found(module, "transformers", inputs=inputs)


def _inputs(module: Any, config: Any) -> tuple[ModelInput, ...]:
    """Find the inputs that a model is meant for, in the order of its forward."""
    said = getattr(module, "input_modalities", "text")
    kinds = {said} if isinstance(said, str) else {*said}
    main = getattr(module, "main_input_name", "input_ids")
    wanted = {main, *(["pixel_values"] if kinds & {"image", "video"} else [])}
    wanted |= {"input_features", "input_values"} if "audio" in kinds else set()
    wanted |= {"decoder_input_ids", "decoder_input_values"} if getattr(config, "is_encoder_decoder", False) else set()
    shapes = dict(_shapes(config, kinds))
    names = [name for name in signature(module.forward).parameters if name in wanted]
    tokens = [name for name in names if name.endswith("_ids")]
    return tuple(
        ModelInput(name, (_tokens(config),), "int64") if name in tokens else ModelInput(name, shapes[name])
        for name in names
        if name in tokens or name in shapes
    ) or (ModelInput("", DEFAULT_INPUT),)


def _shapes(config: Any, kinds: set[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the shapes of the inputs that are numbers."""
    image = _image(config)
    frames = _first(config, "image", "num_frames") if "video" in kinds else None
    yield "pixel_values", (frames, *image) if isinstance(frames, int) else image
    mels = _first(config, "audio", "num_mel_bins", "input_feat_per_channel", "feature_projection_input_dim")
    spectra, places = _first(config, "audio", "max_length"), _first(config, "audio", "max_source_positions")
    wave = (SECOND,)
    channels = _first(config, "audio", "audio_channels")
    if isinstance(mels, int):
        yield "decoder_input_values", (FRAMES, mels)
        if side := _first(config, "audio", "spec_size"):  # the spectrogram is an image, laid out as a square
            yield "input_features", (1, min(FRAMES, side**2 // mels), mels)
        elif config.model_type == "whisper":
            yield "input_features", (mels, 2 * places)
        else:
            yield "input_features", (FRAMES, mels)
    is_spectrum = isinstance(mels, int) and isinstance(spectra, int) and _first(config, "audio", "patch_size")
    own = (spectra, mels) if is_spectrum else (channels, *wave) if isinstance(channels, int) else wave
    yield "input_values", own


def _image(config: Any) -> tuple[int, ...]:
    """Find the image (C, H, W)."""
    zoo = getattr(config, "pretrained_cfg", None)
    if isinstance(zoo, Mapping) and zoo.get("input_size"):
        return tuple(zoo["input_size"])
    side = _first(config, "image", "image_size")
    if isinstance(side, Mapping):
        side = [side["height"], side["width"]] if "height" in side else side.get("shortest_edge")
    sides = tuple(side) if isinstance(side, Sequence) else (side or DEFAULT_INPUT[1],) * 2
    return (_first(config, "image", "num_channels") or DEFAULT_INPUT[0], *sides)


def _tokens(config: Any) -> int:
    """Find how many tokens a text has."""
    limits = [
        _first(config, "text", name) for name in ("max_position_embeddings", "n_positions", "max_target_positions")
    ]
    return min([TOKENS, *(most for most in limits if isinstance(most, int) and most > 0)])


def _first(config: Any, kind: str, *names: str) -> Any:
    """Find the first of these that the configuration says of one kind of input."""
    parts = [getattr(config, part, None) for part in PARTS[kind]]
    held = [part for part in (*parts, config) if part is not None]
    found = (getattr(part, name, None) for part in held for name in names)
    return next((value for value in found if value is not None), None)
