"""Real images stand in place of random numbers: networks are timed and calibrated on them, and name what they show.

>>> import numpy as np
>>> images, labels = np.arange(3.0).reshape(3, 1, 1, 1), np.array([0, 1, 1])
>>> rightly(lambda part: np.hstack([1.5 - part[:, :, 0, 0], part[:, :, 0, 0]]), Labelled(images, labels), batch=2)
3
"""

from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from resbench.data import check_name
from resbench.errors import MeasureError, OptionError
from resbench.units import shape_text

if TYPE_CHECKING:
    from resbench.data.images import Images

TESTED, CALIBRATED = 1000, 128
"""So many images of the test part are named, and so many of those to train on say how far numbers go; drawn once, the
same each time."""

MOST_BYTES = 4 * 2**30
"""All images to train on are brought to the network's size, for their mean is taken off as when it was trained."""


class Data(NamedTuple):
    """A set of images goes by its name, and lies in a folder where it does not come with a package."""

    name: str
    root: str | None = None


def asked_data(name: str | None, root: str | Path | None, mode: str) -> Data | None:
    """Check the data that are asked for. Raises OptionError for a name that there is not, or a folder without one."""
    if name is None:
        if root is not None:
            raise OptionError("--data-root is where --data lie: expected --data with it")
        return None
    check_name(name, root)
    if mode != "inference":
        raise OptionError(f"--data names images: expected --mode inference with it, received {mode}")
    return Data(name, None if root is None else str(Path(root).absolute()))


class Labelled(NamedTuple):
    """Images are standardised numbers (N, C, H, W), each with the number of its class."""

    images: Any
    labels: Any


class Accuracy(NamedTuple):
    """Of so many images of a set so many were named rightly."""

    data: str
    right: int
    images: int

    @property
    def share(self) -> float:
        return self.right / self.images


def to_name(data: Data, shape: tuple[int, ...]) -> Labelled:
    """Draw images of the test part at a network's (C, H, W). Raises as ``load_split`` does, and MeasureError."""
    train, test = _parts(data, shape)
    return _drawn(train, test, TESTED)


def to_calibrate(data: Data, shape: tuple[int, ...]) -> Labelled:
    """Draw images of the part to train on. Raises as ``to_name`` does."""
    train, _ = _parts(data, shape)
    return _drawn(train, train, CALIBRATED)


def _parts(data: Data, shape: tuple[int, ...]) -> "tuple[Images, Images]":
    from resbench.data import load_split

    train, test = load_split(data.name, Path(data.root) if data.root else None, shape)
    if (size := len(train.labels) * prod(shape)) > MOST_BYTES:
        raise MeasureError(
            f"{data.name}: {len(train.labels):,} images of {shape_text(shape)} take {size / 2**30:.1f} GiB, more than "
            f"{MOST_BYTES // 2**30}: take a smaller --input, or a --data folder with fewer"
        )
    return train.resized(shape), test.resized(shape)


def _drawn(train: "Images", part: "Images", most: int) -> Labelled:
    from resbench.data.images import Standard, order

    chosen = order(len(part.labels), seed=0, epoch=0)[:most]
    return Labelled(Standard.of(train).numbers(part.images[chosen]).numpy(), part.labels[chosen].numpy())


def batched(images: Any, batch: int) -> Any:
    """Return a batch of images: the first ones, and again where there are not so many."""
    return np.resize(images, (batch, *images.shape[1:]))


def rightly(answer: Callable[[Any], Any], shown: Labelled, batch: int) -> int:
    """Count the images that are named rightly, shown in batches. ``answer`` gives a score for each class (N, classes).

    Raises MeasureError for answers of another shape.
    """
    right, classes = 0, shown.labels.max() + 1
    for start in range(0, len(shown.labels), batch):
        labels = shown.labels[start : start + batch]
        scores = np.asarray(answer(batched(shown.images[start : start + batch], batch)))
        if scores.ndim != 2 or scores.shape[1] < classes:
            raise MeasureError(
                f"expected a score for each of {classes} classes or more, (N, classes), to name images by; "
                f"received answers of {shape_text(scores.shape)}"
            )
        right += int((scores[: len(labels)].argmax(1) == labels).sum())
    return right
