"""A folder of images: train/CLASS/*.png and test/CLASS/*.png, as torchvision's ``ImageFolder`` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resbench.errors import SourceError, first_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
PARTS = {False: ("train", "training"), True: ("test", "val", "validation")}


def read(root: Path, size: tuple[int, ...], test: bool) -> tuple[Any, Any, int]:
    """Every image, its middle brought to (C, H, W); classes by name, those of the training part. Raises SourceError."""
    classes = [folder.name for folder in _classes(root, test=False)]
    found = _classes(root, test)
    strange = [folder.name for folder in found if folder.name not in classes]
    if strange:
        raise SourceError(f"{found[0].parent}: expected the classes of the training part; received {strange[0]} too")
    files = [
        (path, classes.index(folder.name))
        for folder in found
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if len(classes) < 2 or not files:
        received = f"{len(files)} images in {len(classes)} folders"
        raise SourceError(f"{root}: expected images in two folders or more, a folder a class; received {received}")
    images = np.stack([_image(path, size) for path, _ in files])
    return images, np.array([label for _, label in files]), len(classes)


def _classes(root: Path, test: bool) -> list[Path]:
    part = next((root / name for name in PARTS[test] if (root / name).is_dir()), None)
    if part is None:
        raise SourceError(f"no images in {root}: expected a folder {' or '.join(PARTS[test])} in it, a folder a class")
    return sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))


def _image(path: Path, size: tuple[int, ...]) -> Any:
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise SourceError("an image folder needs Pillow; pip install pillow") from None
    channels, height, width = size
    try:
        with Image.open(path) as held:
            image = ImageOps.fit(held.convert("L" if channels == 1 else "RGB"), (width, height))
    except Exception as error:
        raise SourceError(f"cannot read {path} as an image ({first_line(error)}); remove or replace it") from error
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
