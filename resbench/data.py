"""Real images: the digits that come with scikit-learn, and CIFAR-10 where the user has it.

A batch is standardised by the mean and deviation of all images and brought to the network's size.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resbench.errors import OptionError, SourceError, first_line

NAMES = ("digits", "cifar10")

CIFAR_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")


@dataclass(frozen=True)
class Images:
    """``images``: (N, C, H, W) of bytes; ``labels``: (N,); ``mean`` and ``std`` of each channel: (1, C, 1, 1)."""

    name: str
    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def batch(self, size: int, step: int, seed: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The batch of one step, of an order that the seed gives; a new order when all have been seen.

        ``shape``: the network's (C, H, W). Other channels than the data's are their mean, repeated; other sizes are
        interpolated linearly.
        Raises OptionError where the batch is larger than the data.
        """
        n = len(self.labels)
        if size > n:
            raise OptionError(f"{self.name} has {n} images: expected a --batch of at most {n}, received {size}")
        per_epoch = n // size
        epoch, place = divmod(step, per_epoch)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        chosen = order[place * size : (place + 1) * size]
        x = (self.images[chosen].float() - self.mean) / self.std
        channels, height, width = shape
        if x.shape[1] != channels:
            x = x.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if tuple(x.shape[2:]) != (height, width):
            x = torch.nn.functional.interpolate(x, (height, width), mode="bilinear", antialias=True)
        return x.contiguous(), self.labels[chosen]


def load_images(name: str, root: Path | None = None) -> Images:
    """``digits``: 1,797 images of 8x8. ``cifar10``: the 50,000 training images under ``root``, in the binary or the
    Python layout of https://www.cs.toronto.edu/~kriz/cifar.html. Raises OptionError or SourceError."""
    if name not in NAMES:
        raise OptionError(f"--data takes {', '.join(NAMES)}; received {name!r}")
    if name == "digits":
        records = np.loadtxt(_digits(), np.float32, delimiter=",").astype(np.uint8)
        return _images(name, records[:, :64].reshape(-1, 1, 8, 8), records[:, 64])
    if root is None:
        raise OptionError("--data cifar10 needs --data-root DIR, the folder that holds cifar-10-batches-bin or -py")
    folders = [root, *(root / folder for folder in CIFAR_FOLDERS)]
    for folder in folders:
        if (folder / "data_batch_1.bin").exists():
            return _images(name, *_binary([folder / f"data_batch_{i}.bin" for i in range(1, 6)]))
        if (folder / "data_batch_1").exists():
            return _images(name, *_pickled([folder / f"data_batch_{i}" for i in range(1, 6)]))
    raise SourceError(f"no CIFAR-10 in {root}: expected {' or '.join(CIFAR_FOLDERS)} in it, with data_batch_1 to 5")


def _digits() -> Path:
    """The file that ``sklearn.datasets.load_digits`` reads; importing scikit-learn for it takes a second."""
    found = find_spec("sklearn")
    path = Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz" if found and found.origin else None
    if path is None or not path.exists():
        raise SourceError("no digits here: they come with scikit-learn; pip install scikit-learn")
    return path


def _images(name: str, images: Any, labels: Any) -> Images:
    """With the mean and deviation of each channel, exactly, from how often each byte occurs."""
    values, means, deviations = np.arange(256), [], []
    for channel in np.swapaxes(images, 0, 1):
        counts = sum(np.bincount(part.ravel(), minlength=256) for part in np.array_split(channel, 8))
        mean = counts @ values / channel.size
        means.append(mean)
        deviations.append(sqrt(counts @ (values - mean) ** 2 / channel.size))
    mean, std = (torch.tensor(numbers, dtype=torch.float32).view(1, -1, 1, 1) for numbers in (means, deviations))
    return Images(name, torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)), mean, std)


def _binary(files: list[Path]) -> tuple[Any, Any]:
    """10,000 records a file: one byte of label, 3,072 of a 3x32x32 image."""
    records = np.concatenate([_bytes(path, 3073) for path in files])
    try:
        return records[:, 1:].reshape(-1, 3, 32, 32), _labels(records[:, 0])
    except ValueError as error:
        raise SourceError(f"{files[0].parent}: {error}; unpack CIFAR-10 there again") from error


def _bytes(path: Path, width: int) -> Any:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}; unpack CIFAR-10 there again") from error
    if not len(data) or len(data) % width:
        raise SourceError(f"{path}: expected records of {width} bytes, received {len(data)} bytes; unpack it again")
    return data.reshape(-1, width)


class _Arrays(pickle.Unpickler):
    """Arrays and plain values alone: a pickle can otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        array = module.partition(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype")
        if array or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"holds {module}.{name}")


def _pickled(files: list[Path]) -> tuple[Any, Any]:
    images, labels = [], []
    for path in files:
        try:
            with path.open("rb") as handle:
                held = _Arrays(handle, encoding="bytes").load()
            pixels, classes = np.asarray(held[b"data"]), np.asarray(held[b"labels"])
            if pixels.dtype != np.uint8 or classes.dtype.kind not in "iu" or len(pixels) != len(classes):
                raise ValueError("expected one whole number for each image of bytes")
            images.append(pixels.reshape(-1, 3, 32, 32))
            labels.append(_labels(classes))
        except Exception as error:
            reason = first_line(error)
            raise SourceError(f"cannot read {path} as a CIFAR-10 batch ({reason}); unpack it again") from error
    return np.concatenate(images), np.concatenate(labels)


def _labels(classes: Any) -> Any:
    if len(classes) and not 0 <= classes.min() <= classes.max() <= 9:
        raise ValueError(f"expected labels from 0 to 9, received {classes.min()} to {classes.max()}")
    return classes
