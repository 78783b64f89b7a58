"""This package loads real images: scikit-learn's digits, and the sets that a user has.

digits               1,797 images of 1x8x8; the last 360 are the test part, other writers' than the first
cifar10, cifar100    50,000 and 10,000 of 3x32x32, in the binary or the Python layout of their authors
mnist, fashion_mnist 60,000 and 10,000 of 1x28x28, idx files, compressed or not
folder               train/CLASS/*.png and test/CLASS/*.png (or val/), of any size
"""

from pathlib import Path

from resbench.data import folder, readers
from resbench.data.images import Images, from_arrays
from resbench.errors import OptionError

__all__ = ["Images", "check_name", "load_images", "load_split"]

NAMES = ("digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "folder")

DIGITS_TEST = 360
"""The last fifth is the test part: there the writers are others."""

FOLDER_SIZE = (3, 64, 64)
"""Images of a folder are brought to this size where the network has none of its own."""


def load_images(name: str, root: Path | None = None, size: tuple[int, ...] = FOLDER_SIZE) -> Images:
    """Load the images to train on; of ``digits`` these are all. ``size``: (C, H, W) of an image folder's images.

    Raises OptionError for a name or folder that was not given, SourceError for files that are missing or broken.
    """
    check_name(name, root)
    if name == "digits":
        return from_arrays(name, *readers.digits(), classes=10)
    return _part(name, root, size, test=False)


def check_name(name: str, root: str | Path | None) -> None:
    """Raise OptionError for a name or folder that was not given."""
    if name not in NAMES:
        raise OptionError(f"--data takes {', '.join(NAMES)}; received {name!r}")
    if root is None and name != "digits":
        raise OptionError(f"--data {name} needs --data-root DIR, the folder that holds it")
    if root is not None and name == "digits":
        raise OptionError(f"digits come with scikit-learn: expected other --data with --data-root, received {root}")


def load_split(name: str, root: Path | None = None, size: tuple[int, ...] = FOLDER_SIZE) -> tuple[Images, Images]:
    """Load the images to train on and those to test on. Raises as ``load_images`` does."""
    train = load_images(name, root, size)
    if name != "digits":
        return train, _part(name, root, size, test=True)
    cut = len(train.labels) - DIGITS_TEST
    return train.part(slice(None, cut)), train.part(slice(cut, None))


def _part(name: str, root: Path | None, size: tuple[int, ...], test: bool) -> Images:
    assert root is not None
    arrays = folder.read(root, size, test) if name == "folder" else readers.READERS[name](root, test)
    return from_arrays(name, *arrays)
