"""This module reads a folder of images, in which each class has a folder of its own, as bytes: 0 black and 255 white.

train/CLASS/*.png and test/CLASS/*.png, as torchvision's ``ImageFolder`` has it. However a file stores its picture:

Bits a channel   1, 2, 4 and 8 as Pillow reads them; 16 (and TIFF's 12) are scaled by the range of the type
alpha            is left out: a transparent pixel has the colour that its file states beneath
orientation      as the pixels lie in the file, whatever EXIF says (torchvision's loader too); Pillow turns TIFF itself
several frames   the first

What has no range of its own (floats, 32-bit and signed integers) is refused: white is 1.0 in one program's files, 255
or the largest value in others', and no file says which.
"""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from resbench.errors import SourceError, first_line, foreign
from resbench.files import is_folder

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
BESIDE = ("__MACOSX", "@eaDir")
"""macOS and NAS systems put these folders of resource forks and thumbnails beside the pictures; others are hidden."""

PARTS = {False: ("train", "training"), True: ("test", "val", "validation")}

BYTES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")
"""Pillow's modes of 8 bits a channel or fewer are converted rightly (it has reduced 16-bit colour to them)."""

BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
"""TIFF's tags have these numbers (TIFF 6.0, sections 8 and 19)."""

WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2


def read(root: Path, size: tuple[int, ...], test: bool) -> tuple[Any, Any, int]:
    """Read every image, its middle brought to (C, H, W), its label, and the number of classes.

    The classes are those of the training part, in the order of their names. Raises SourceError.
    """
    classes = [folder.name for folder in _classes(root, test=False)]
    found = _classes(root, test)
    strange = [folder.name for folder in found if folder.name not in classes]
    if strange:
        raise SourceError(f"{found[0].parent}: expected the classes of the training part; received {strange[0]} too")
    files = [(path, classes.index(folder.name)) for folder in found for path in _pictures(folder)]
    if len(classes) < 2 or not files:
        raise SourceError(
            f"{root}: expected images in two folders or more, a folder a class; "
            f"received {len(files)} images in {len(classes)} folders"
        )
    empty = set(range(len(classes))) - {label for _, label in files}
    if empty and not test:
        folder = found[min(empty)]
        raise SourceError(f"{folder}: expected images ({' '.join(SUFFIXES)}), received none; fill or remove the folder")
    images = np.stack([read_picture(path, size) for path, _ in files])
    return images, np.array([label for _, label in files]), len(classes)


def _classes(root: Path, test: bool) -> list[Path]:
    part = next((root / name for name in PARTS[test] if is_folder(root / name)), None)
    if part is None:
        raise SourceError(f"no images in {root}: expected a folder {' or '.join(PARTS[test])} in it, a folder a class")
    return sorted(path for path in part.iterdir() if path.is_dir() and not _beside(path.name))


def _pictures(folder: Path) -> list[Path]:
    """Return the image files of a class, also from folders below it, but not what the system puts beside them."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir())
    return sorted(path for path in found if not any(map(_beside, path.relative_to(folder).parts)))


def _beside(name: str) -> bool:
    return name.startswith(".") or name in BESIDE


def read_picture(path: Path, size: tuple[int, ...]) -> Any:
    """Read the middle of a picture at (C, H, W). Raises SourceError, naming the file, for one that is not known."""
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
