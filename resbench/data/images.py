"""Images are a value, from which standardised batches of the network's size are taken."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from resbench.errors import OptionError
from resbench.units import plural

CHUNK = 10_000
"""So many images are resized at once: floats take four times the bytes."""


@dataclass(frozen=True)
class Images:
    """The ``images`` are (N, C, H, W) of bytes, the ``labels`` (N,), ``mean`` and ``std`` of channels (1, C, 1, 1)."""

    name: str
    images: Tensor
    labels: Tensor
    classes: int
    mean: Tensor
    std: Tensor

    def batch(self, size: int, step: int, seed: int, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return the batch of one step, ``fitted`` to the network's (C, H, W), and its labels.

        The seed gives the order, and a new one when all images have been seen. Raises OptionError where the batch is
        larger than the data.
        """
        epoch, place = divmod(step, steps_per_epoch(self, size))
        chosen = order(len(self.labels), seed, epoch)[place * size : (place + 1) * size]
        spread = self.std.where(self.std > 0, torch.ones(()))  # a channel that never varies is 0, not nan
        return fitted((self.images[chosen].float() - self.mean) / spread, shape), self.labels[chosen]

    def part(self, chosen: slice) -> "Images":
        """Return some of the images, with their own mean and deviation."""
        return from_arrays(self.name, self.images[chosen].numpy(), self.labels[chosen].numpy(), self.classes)

    def resized(self, shape: tuple[int, ...]) -> "Images":
        """Return all images at a network's (C, H, W), as bytes again."""
        if tuple(self.images.shape[1:]) == shape:
            return self
        parts = [fitted(part.float(), shape).round_().clamp_(0, 255).byte() for part in torch.split(self.images, CHUNK)]
        return from_arrays(self.name, torch.cat(parts).numpy(), self.labels.numpy(), self.classes)

    @cached_property
    def digest(self) -> str:
        """Return eight hex digits that change with any byte or label."""
        return f"{zlib.crc32(self.labels.numpy().tobytes(), zlib.crc32(self.images.numpy().tobytes())):08x}"


class Standard(NamedTuple):
    """Images become numbers as networks are trained on them here: less a mean for each pixel, over channels' std."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Images, device: str = "cpu") -> "Standard":
        """Take mean and deviation of the images to train on."""
        total = train.images.sum(0, keepdim=True, dtype=torch.int64)
        mean = (total.double() / len(train.labels)).float()
        return cls(mean.to(device), train.std.clamp_min(1).to(device))

    def numbers(self, images: Tensor) -> Tensor:
        """Turn bytes into standardised numbers."""
        return (images.float() - self.mean) / self.std


def steps_per_epoch(images: Images, batch: int) -> int:
    """Return the number of whole batches; what is left over waits for another order. Raises OptionError."""
    n = len(images.labels)
    if batch > n:
        has = plural(n, "image")
        raise OptionError(f"{images.name} has {has}: expected a --batch of at most {n}, received {batch}")
    return n // batch


def order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order of n images in one epoch, which is a function of seed and epoch alone."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))


def fitted(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Bring images to (C, H, W): other channels become their mean, repeated; other sizes are interpolated linearly."""
    channels, height, width = shape
    if x.shape[1] != channels:
        x = x.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    if tuple(x.shape[2:]) != (height, width):
        x = interpolate(x, (height, width), mode="bilinear", antialias=True)
    return x.contiguous()


def from_arrays(name: str, images: Any, labels: Any, classes: int) -> Images:
    """Make ``Images``; mean and deviation of each channel are exact, from how often each byte occurs."""
    values, means, deviations = np.arange(256), [], []
    for channel in np.swapaxes(images, 0, 1):
        counts = sum(np.bincount(part.ravel(), minlength=256) for part in np.array_split(channel, 8))
        mean = counts @ values / channel.size
        means.append(mean)
        deviations.append(np.sqrt(counts @ (values - mean) ** 2 / channel.size))
    mean, std = (torch.tensor(numbers, dtype=torch.float32).view(1, -1, 1, 1) for numbers in (means, deviations))
    own = torch.from_numpy(np.array(images, np.uint8))
    return Images(name, own, torch.from_numpy(labels.astype(np.int64)), classes, mean, std)
