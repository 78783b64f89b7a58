"""One picture of an image folder as bytes: 0 is black and 255 is white, however its file stores them.

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

from resbench.errors import SourceError, first_line

BYTES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of 8 bits a channel or fewer, which it converts rightly (16-bit colour it has reduced to them)."""

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF's tags (TIFF 6.0, sections 8 and 19)."""

WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2


def read(path: Path, size: tuple[int, ...]) -> Any:
    """The middle of a picture at (C, H, W). Raises SourceError, naming the file, where its bytes cannot be known."""
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise SourceError("an image folder needs Pillow; pip install pillow") from None
    channels, height, width = size
    try:
        with Image.open(path) as held:
            image = ImageOps.fit(_in_bytes(held, path, "L" if channels == 1 else "RGB"), (width, height))
    except SourceError:
        raise
    except Exception as error:
        raise SourceError(f"cannot read {path} as an image ({first_line(error)}); remove or replace it") from error
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _in_bytes(held: Any, path: Path, mode: str) -> Any:
    """An opened picture in a mode of bytes, L or RGB."""
    from PIL import Image

    if held.mode in BYTES and _unsigned(held):
        held.info.pop("transparency", None)  # Pillow would warn that a byte a palette entry is no colour
        return held.convert(mode)
    white = _white(held)
    if white is None:
        raise SourceError(
            f"{path}: expected 8 or 16 bits a channel, received mode {held.mode} ({_reason(held)}); "
            "scale it to 0 to 255 and save it as 8-bit PNG, or remove it"
        )
    grey = np.rint(np.asarray(held).astype(np.float64) * (255 / white)).astype(np.uint8)
    if _tag(held, PHOTOMETRIC, 1) == WHITE_IS_ZERO:  # Pillow inverts 8 bits, and leaves 16
        grey = 255 - grey
    return Image.fromarray(grey).convert(mode)


def _white(held: Any) -> int | None:
    """The largest value of a grey picture's type; None where it has no such."""
    if held.mode.startswith("I;16") and _unsigned(held):
        return int(2 ** _tag(held, BITS, 16)) - 1
    # Pillow scales a PGM of more than 255 greys to 65535, and earlier ones called a 16-bit PNG I
    return 65535 if held.mode == "I" and held.format in ("PPM", "PNG") else None


def _unsigned(held: Any) -> bool:
    return bool(_tag(held, SAMPLE_FORMAT, UNSIGNED) == UNSIGNED)


def _tag(held: Any, number: int, default: int) -> Any:
    """TIFF's tag of the first channel; the default in files of other formats."""
    value = getattr(held, "tag_v2", {}).get(number, default)
    return value[0] if isinstance(value, tuple) else value


def _reason(held: Any) -> str:
    """Why this picture's black and white cannot be known."""
    kinds = {"F": "floats", "I": "32-bit integers"} if _tag(held, SAMPLE_FORMAT, UNSIGNED) != SIGNED else {}
    kind = kinds.get(held.mode, "signed integers" if not _unsigned(held) else "")
    return f"{kind}: nothing says which value is white" if kind else "which Pillow brings to no other"
