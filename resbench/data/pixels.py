"""A picture is read as bytes, 0 black and 255 white, however its file stores them.

Bits a channel   1, 2, 4 and 8 as Pillow reads them; 16 (and TIFF's 12) are scaled by the range of the type
alpha            is left out: a transparent pixel has the colour that its file states beneath
orientation      as the pixels lie in the file, whatever EXIF says (torchvision's loader too); Pillow turns TIFF itself
several frames   the first

What has no range of its own (floats, 32-bit and signed integers) is refused: white is 1.0 in one program's files, 255
or the largest value in others', and no file says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resbench.errors import SourceError, first_line, foreign

BYTES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of 8 bits a channel or fewer are converted rightly (it has reduced 16-bit colour to them)."""

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF's tags have these numbers (TIFF 6.0, sections 8 and 19)."""

WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2


def read(path: Path, size: tuple[int, ...]) -> Any:
    """Read the middle of a picture at (C, H, W). Raises SourceError, naming the file, for one that is not known."""
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise SourceError("an image folder needs Pillow; pip install pillow") from None
    channels, height, width = size
    unreadable = f"cannot read {path} as an image"
    with (
        foreign(SourceError, lambda error: f"{unreadable} ({first_line(error)}); remove or replace it"),
        Image.open(path) as opened,
    ):
        image = ImageOps.fit(_in_bytes(opened, path, "L" if channels == 1 else "RGB"), (width, height))
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _in_bytes(picture: Any, path: Path, mode: str) -> Any:
    """Convert an opened picture to a mode of bytes, L or RGB. Raises SourceError."""
    from PIL import Image

    if picture.mode in BYTES and _unsigned(picture):
        picture.info.pop("transparency", None)  # Pillow would warn that a byte a palette entry is no colour
        return picture.convert(mode)
    white = _white(picture)
    if white is None:
        raise SourceError(
            f"{path}: expected 8 or 16 bits a channel, received mode {picture.mode} ({_reason(picture)}); "
            "scale it to 0 to 255 and save it as 8-bit PNG, or remove it"
        )
    grey = np.rint(np.asarray(picture).astype(np.float64) * (255 / white)).astype(np.uint8)
    if _tag(picture, PHOTOMETRIC, 1) == WHITE_IS_ZERO:  # Pillow inverts 8 bits, and leaves 16
        grey = 255 - grey
    return Image.fromarray(grey).convert(mode)


def _white(picture: Any) -> int | None:
    """Return the largest value of a grey picture's type; it is None where the type has no range."""
    if picture.mode.startswith("I;16") and _unsigned(picture):
        return int(2 ** _tag(picture, BITS, 16)) - 1
    # Pillow scales a PGM of more than 255 greys to 65535, and earlier ones called a 16-bit PNG I
    return 65535 if picture.mode == "I" and picture.format in ("PPM", "PNG") else None


def _unsigned(picture: Any) -> bool:
    return bool(_tag(picture, SAMPLE_FORMAT, UNSIGNED) == UNSIGNED)


def _tag(picture: Any, number: int, default: int) -> Any:
    """Return TIFF's tag of the first channel; files of other formats have the default."""
    value = getattr(picture, "tag_v2", {}).get(number, default)
    return value[0] if isinstance(value, tuple) else value


def _reason(picture: Any) -> str:
    """Say why this picture's black and white cannot be known."""
    kinds = {"F": "floats", "I": "32-bit integers"} if _tag(picture, SAMPLE_FORMAT, UNSIGNED) != SIGNED else {}
    kind = kinds.get(picture.mode, "signed integers" if not _unsigned(picture) else "")
    return f"{kind}: nothing says which value is white" if kind else "which Pillow brings to no other"
