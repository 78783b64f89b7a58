"""A feed holds a data set on the device, where a batch is cropped, flipped and normalised.

The order of an epoch, its crops and its flips are a function of seed and epoch, so that nothing of it is ever stored.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from resbench.data.images import Images, Standard, order, steps_per_epoch

PAD = 4
"""Images are padded by so much on each side before the crop (He et al. 2015, sec. 4.2)."""

TEST_BATCH = 1000


class Feed:
    """A feed gives batches (N, C, H, W) in channels_last, less the training images' per-pixel mean, over their std.

    A *row* says what is in a training batch: index, vertical and horizontal offset, and flip of each image: (4, N).
    """

    def __init__(self, train: Images, test: Images, batch: int, augment: bool, device: str) -> None:
        self.steps = steps_per_epoch(train, batch)
        self.batch, self.augment, self.name = batch, augment, train.name
        self.classes, self.digest = train.classes, train.digest + test.digest
        self.images, self.labels = train.images.to(device), train.labels.to(device)
        self.test_images, self.test_labels = test.images.to(device), test.labels.to(device)
        self.standard = Standard.of(train, device)

    def rows(self, seed: int, epoch: int) -> Tensor:
        """Return the rows of all batches of an epoch: (steps, 4, N), on the device."""
        n = self.steps * self.batch
        draw = torch.Generator().manual_seed(1_000_003 * seed + epoch + 500_000)
        chosen = order(len(self.labels), seed, epoch)[:n]
        offsets = torch.randint(0, 2 * PAD + 1, (2, n), generator=draw)
        flips = torch.randint(0, 2, (1, n), generator=draw)
        table = torch.cat([chosen[None], offsets, flips]).view(4, self.steps, self.batch)
        return table.transpose(0, 1).contiguous().to(self.images.device)

    def training(self, row: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images and labels of a row."""
        chosen, top, left, flip = row
        x = self.normal(self.images[chosen])
        return (crop(x, top, left, flip) if self.augment else x), self.labels[chosen]

    def testing(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the single original view of every test image, and the labels, in batches."""
        for images, labels in zip(
            torch.split(self.test_images, TEST_BATCH), torch.split(self.test_labels, TEST_BATCH), strict=True
        ):
            yield self.normal(images), labels

    def normal(self, images: Tensor) -> Tensor:
        """Turn bytes into standardised numbers."""
        return self.standard.numbers(images).contiguous(memory_format=torch.channels_last)


def crop(x: Tensor, top: Tensor, left: Tensor, flip: Tensor) -> Tensor:
    """Pad each image with zeros by 4, cut it at its own place to its own size, and mirror it where ``flip`` is 1."""
    images, down, across = (torch.arange(x.shape[axis], device=x.device) for axis in (0, 2, 3))
    rows = top[:, None] + down
    columns = left[:, None] + torch.where(flip[:, None] > 0, across.flip(0), across)
    padded = nn.functional.pad(x, (PAD,) * 4).permute(0, 2, 3, 1)
    return padded[images[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
