"""A model may keep a module that was made while it ran; this finds where."""

from collections.abc import Iterator

from torch import nn


def kept_at(owner: nn.Module, module: nn.Module, prefix: str = "") -> str | None:
    """Find its path below the owner: registered, or in an attribute, a list or a dictionary. None: it is not kept."""
    places: list[tuple[str, nn.Module]] = list(owner.named_modules(prefix=prefix))
    for path, one in places:
        if one is module:
            return path
    for path, one in places:
        for steps, thing in _attributes(one):
            if thing is module:
                return ".".join(map(str, (path, *steps) if path else steps))
    return None


def _attributes(module: nn.Module) -> Iterator[tuple[tuple[object, ...], object]]:
    """List what its attributes and the containers among them hold, by the steps that lead there."""
    for name, value in vars(module).items():
        yield (name,), value
        if isinstance(value, dict):
            yield from (((name, key), entry) for key, entry in value.items())
        elif isinstance(value, (list, tuple)):
            yield from (((name, at), entry) for at, entry in enumerate(value))
