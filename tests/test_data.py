"""The images: digits as scikit-learn has them, CIFAR-10 in both layouts, and what is wrong with a file."""

import os
import pickle

import numpy
import pytest
import torch

from resbench.data import load_images
from resbench.errors import SourceError


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def cifar(folder, kind):
    """Five files of ten images each in an official layout."""
    folder.mkdir()
    draw = numpy.random.default_rng(0)
    for i in range(1, 6):
        images = draw.integers(0, 256, (10, 3072), dtype=numpy.uint8)
        labels = draw.integers(0, 10, 10, dtype=numpy.uint8)
        if kind == "bin":
            records = numpy.concatenate([labels[:, None], images], 1)
            (folder / f"data_batch_{i}.bin").write_bytes(records.tobytes())
        else:
            held = {b"data": images, b"labels": labels.tolist(), b"batch_label": b"x"}
            (folder / f"data_batch_{i}").write_bytes(pickle.dumps(held, protocol=2))


def test_both_layouts_of_cifar10_are_read_alike(tmp_path):
    for kind in ("bin", "py"):
        cifar(tmp_path / f"cifar-10-batches-{kind}", kind)
    binary, pickled = (load_images("cifar10", tmp_path / f"cifar-10-batches-{kind}") for kind in ("bin", "py"))
    assert binary.images.shape == (50, 3, 32, 32)
    assert torch.equal(binary.images, pickled.images)
    assert torch.equal(binary.labels, pickled.labels)
    x, labels = binary.batch(50, 0, 0, (3, 32, 32))
    assert x.mean().abs() < 0.01
    assert x.std() == pytest.approx(1, abs=0.01)
    assert sorted(labels.tolist()) == sorted(binary.labels.tolist())
    small, _ = binary.batch(20, 3, 0, (1, 16, 16))
    assert small.shape == (20, 1, 16, 16)


def test_data_that_is_not_there_or_is_broken_is_said(tmp_path):
    with pytest.raises(SourceError, match="no CIFAR-10 in"):
        load_images("cifar10", tmp_path)
    folder = tmp_path / "cifar-10-batches-bin"
    cifar(folder, "bin")
    (folder / "data_batch_3.bin").write_bytes(b"short")
    with pytest.raises(SourceError, match=r"data_batch_3.bin: expected records of 3073 bytes"):
        load_images("cifar10", tmp_path)
    for i, held in enumerate(
        [
            {b"data": numpy.zeros((2, 3072), numpy.uint8), b"labels": [1, 2, 3]},
            {b"data": numpy.zeros((2, 3072), numpy.uint8), b"labels": [1, 11]},
            {b"data": numpy.zeros((2, 3072)), b"labels": [1, 2]},
            {b"data": numpy.zeros((2, 3072), numpy.uint8), b"labels": ["a", "b"]},
        ]
    ):
        wrong = tmp_path / f"wrong{i}"
        wrong.mkdir()
        (wrong / "data_batch_1").write_bytes(pickle.dumps(held, protocol=2))
        with pytest.raises(SourceError, match="as a CIFAR-10 batch"):
            load_images("cifar10", wrong)
    other = tmp_path / "other"
    other.mkdir()
    (other / "data_batch_1").write_bytes(pickle.dumps({"data": os.system}))
    with pytest.raises(SourceError, match="cannot read"):
        load_images("cifar10", other)


def test_the_digits_are_those_of_scikit_learn(digits):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    assert numpy.array_equal(digits.images[:, 0].numpy(), theirs.images)
    assert numpy.array_equal(digits.labels.numpy(), theirs.target)


def test_every_image_comes_once_an_epoch(digits):
    seen = torch.cat([digits.batch(599, step, 0, (1, 8, 8))[1] for step in range(3)])
    assert seen.bincount().tolist() == digits.labels.bincount().tolist()
    assert not torch.equal(digits.batch(64, 0, 0, (1, 8, 8))[1], digits.batch(64, 0, 1, (1, 8, 8))[1])


def test_mean_and_deviation_are_those_of_all_pixels(tmp_path):
    cifar(tmp_path / "cifar-10-batches-bin", "bin")
    found = load_images("cifar10", tmp_path)
    pixels = found.images.double()
    assert torch.allclose(found.mean.double().flatten(), pixels.mean((0, 2, 3)))
    assert torch.allclose(found.std.double().flatten(), pixels.std((0, 2, 3), correction=0))
    assert found.batch(8, 0, 0, (3, 32, 32))[0].dtype == torch.float32
