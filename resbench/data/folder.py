"""This module reads a folder of images, in which each class has a folder of its own.

train/CLASS/*.png and test/CLASS/*.png, as torchvision's ``ImageFolder`` has it
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from resbench.data import pixels
from resbench.errors import SourceError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
BESIDE = ("__MACOSX", "@eaDir")
"""macOS and NAS systems put these folders of resource forks and thumbnails beside the pictures; others are hidden."""

PARTS = {False: ("train", "training"), True: ("test", "val", "validation")}


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
        received = f"{len(files)} images in {len(classes)} folders"
        raise SourceError(f"{root}: expected images in two folders or more, a folder a class; received {received}")
    empty = set(range(len(classes))) - {label for _, label in files}
    if empty and not test:
        folder = found[min(empty)]
        raise SourceError(f"{folder}: expected images ({' '.join(SUFFIXES)}), received none; fill or remove the folder")
    images = np.stack([pixels.read(path, size) for path, _ in files])
    return images, np.array([label for _, label in files]), len(classes)


def _classes(root: Path, test: bool) -> list[Path]:
    part = next((root / name for name in PARTS[test] if (root / name).is_dir()), None)
    if part is None:
        raise SourceError(f"no images in {root}: expected a folder {' or '.join(PARTS[test])} in it, a folder a class")
    return sorted(path for path in part.iterdir() if path.is_dir() and not _beside(path.name))


def _pictures(folder: Path) -> list[Path]:
    """Return the image files of a class, also from folders below it, but not what the system puts beside them."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir())
    return sorted(path for path in found if not any(map(_beside, path.relative_to(folder).parts)))


def _beside(name: str) -> bool:
    return name.startswith(".") or name in BESIDE
