"""The images: digits as scikit-learn has them, the published sets in every layout, and what is wrong with a file."""

import gzip
import os
import pickle
import shutil
from functools import partial

import numpy
import pytest
import torch

from resbench.data import load_images, load_split, readers
from resbench.data.readers import _pickled
from resbench.errors import OptionError, SourceError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def batch(n, labels, seed):
    draw = numpy.random.default_rng(seed)
    return draw.integers(0, 256, (n, 3072), dtype=numpy.uint8), draw.permutation(n).astype(numpy.uint8) % labels


TRAIN, TEST = 1000, 200
"""So many images the CIFARs of these tests have, a fiftieth of the published ones."""

CIFAR10 = [*((f"data_batch_{i}", TRAIN // 5) for i in range(1, 6)), ("test_batch", TEST)]
CIFAR100 = [("train", TRAIN), ("test", TEST)]


@pytest.fixture
def fewer(monkeypatch):
    """Readers that expect as many images."""
    for name, kind in (("cifar10", readers.CIFAR10), ("cifar100", readers.CIFAR100)):
        small = partial(readers.cifar, kind._replace(images=(TRAIN, TEST)))
        monkeypatch.setitem(readers.READERS, name, small)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Both CIFARs in both official layouts, of noise."""
    root = tmp_path_factory.mktemp("cifar")
    for files, classes, (binary, python) in (
        (CIFAR10, 10, ("cifar-10-batches-bin", "cifar-10-batches-py")),
        (CIFAR100, 100, ("cifar-100-binary", "cifar-100-python")),
    ):
        (root / binary).mkdir()
        (root / python).mkdir()
        for seed, (name, n) in enumerate(files):
            images, labels = batch(n, classes, seed)
            coarse = [labels[:, None] // 5] if classes == 100 else []
            (root / binary / f"{name}.bin").write_bytes(
                numpy.concatenate([*coarse, labels[:, None], images], 1).tobytes()
            )
            key = b"fine_labels" if classes == 100 else b"labels"
            held = {b"data": images, key: labels.tolist(), b"batch_label": b"x"}
            (root / python / name).write_bytes(pickle.dumps(held, protocol=2))
    return root


@pytest.fixture
def sets(noise, fewer):
    return noise


@pytest.mark.parametrize(
    ("name", "binary", "python", "classes"),
    [
        ("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py", 10),
        ("cifar100", "cifar-100-binary", "cifar-100-python", 100),
    ],
)
def test_both_layouts_of_cifar_are_read_alike(sets, name, binary, python, classes):
    (train, test), (again, test_again) = (load_split(name, sets / folder) for folder in (binary, python))
    assert train.images.shape == (TRAIN, 3, 32, 32)
    assert test.images.shape == (TEST, 3, 32, 32)
    assert train.classes == test.classes == classes
    assert train.digest == again.digest
    assert test.digest == test_again.digest != train.digest
    assert train.labels.bincount().min() > 0
    assert len(train.labels.unique()) == classes  # fine labels, not the twenty coarse ones
    assert load_images(name, sets).digest == train.digest  # from the folder above, too


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("key", [bytes, lambda name: name.decode()], ids=["bytes", "text"])
def test_cifar_that_a_newer_python_has_written_again_is_read(tmp_path, protocol, key):
    images, labels = batch(10, 10, 0)
    held = {key(b"data"): images, key(b"labels"): [*labels], key(b"batch_label"): key(b"x")}  # numbers of numpy
    (tmp_path / "again").write_bytes(pickle.dumps(held, protocol))
    read, found = _pickled(readers.CIFAR10, tmp_path / "again", 10)
    assert (read == images).all()
    assert (found == labels).all()


def test_batches_are_standardised_and_of_the_networks_shape(sets):
    train = load_images("cifar10", sets)
    x, labels = train.batch(500, 0, 0, (3, 32, 32))
    assert x.dtype == torch.float32
    assert x.mean().abs() < 0.01
    assert x.std() == pytest.approx(1, abs=0.01)
    assert labels.shape == (500,)
    small, _ = train.batch(20, 3, 0, (1, 16, 16))
    assert small.shape == (20, 1, 16, 16)


def test_mean_and_deviation_are_those_of_all_pixels(sets):
    found = load_images("cifar10", sets)
    pixels = found.images.double()
    assert torch.allclose(found.mean.double().flatten(), pixels.mean((0, 2, 3)))
    assert torch.allclose(found.std.double().flatten(), pixels.std((0, 2, 3), correction=0))


@pytest.fixture
def copied(sets, tmp_path):
    """A set whose files are links, to be broken one by one."""

    def copy(folder):
        (tmp_path / folder).mkdir()
        for path in (sets / folder).iterdir():
            os.link(path, tmp_path / folder / path.name)
        return tmp_path / folder

    return copy


def replaced(path, content):
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def test_a_missing_truncated_or_wrong_binary_file_is_named(copied, tmp_path):
    for name, title in (("cifar10", "CIFAR-10"), ("cifar100", "CIFAR-100")):
        with pytest.raises(SourceError, match=f"no {title} in"):
            load_images(name, tmp_path)
    folder = copied("cifar-10-batches-bin")
    whole = (folder / "data_batch_3.bin").read_bytes()
    for content, said in (
        (b"short", r"data_batch_3.bin: expected 614,600 bytes, received 5"),
        (whole[:-3073], r"data_batch_3.bin: expected 614,600 bytes, received 611,527"),
        (b"\x0a" + whole[1:], r"data_batch_3.bin: expected labels from 0 to 9, received 0 to 10"),
        (None, r"cannot read .*data_batch_3.bin: No such file"),
    ):
        replaced(folder / "data_batch_3.bin", content)
        with pytest.raises(SourceError, match=said):
            load_images("cifar10", tmp_path)
        if content is None:
            continue
    (folder / "data_batch_3.bin").write_bytes(whole)
    replaced(folder / "test_batch.bin", None)
    assert load_images("cifar10", tmp_path).classes == 10
    with pytest.raises(SourceError, match=r"cannot read .*test_batch.bin"):
        load_split("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "file", "expected"),
    [
        ("cifar10", "data_batch_1.bin", "30,730,000"),
        ("cifar10", "test_batch.bin", "30,730,000"),
        ("cifar100", "train.bin", "153,700,000"),
        ("cifar100", "test.bin", "30,740,000"),
    ],
)
def test_a_published_file_has_a_record_for_each_of_its_images(tmp_path, name, file, expected):
    """10,000 in each file of CIFAR-10, 50,000 and 10,000 in those of CIFAR-100, of 3072 bytes and the labels."""
    (tmp_path / file).write_bytes(bytes(3073))
    with pytest.raises(SourceError, match=f"{file}: expected {expected} bytes, received 3,073"):
        readers.READERS[name](tmp_path, file.startswith("test"))


IMAGES = numpy.zeros((10_000, 3072), numpy.uint8)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({b"data": IMAGES, b"labels": [1, 2, 3]}, "10,000 labels"),
        ({b"data": IMAGES, b"labels": [11] * 10_000}, "labels from 0 to 9, received 11 to 11"),
        ({b"data": IMAGES[:2], b"labels": [1, 2]}, "10,000 x 3072 bytes"),
        ({b"data": IMAGES.view(numpy.int8), b"labels": [1] * 10_000}, "10,000 x 3072 bytes"),
        ({b"data": IMAGES, b"labels": ["a"] * 10_000}, "10,000 x 3072 bytes and whole numbers"),
        ({b"data": IMAGES}, "labels"),
        ([1], "as a CIFAR-10 batch"),
        ({"data": os.system}, "holds posix.system"),
    ],
)
def test_a_wrong_pickle_is_named_and_runs_nothing(tmp_path, held, said):
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(held, protocol=pickle.HIGHEST_PROTOCOL))
    with pytest.raises(SourceError, match=f"data_batch_1.*{said}"):
        load_images("cifar10", tmp_path)


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    draw = numpy.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(draw.integers(0, 256, (n, 28, 28), dtype=numpy.uint8)))
        labels = gzip.compress(idx(numpy.arange(n, dtype=numpy.uint8) % 10))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(labels)
    return folder


def test_idx_files_are_read_compressed_or_not(mnist, tmp_path):
    train, test = load_split("mnist", tmp_path)
    assert (len(train.labels), len(test.labels), train.classes) == (60, 20, 10)
    assert train.images.shape == (60, 1, 28, 28)
    assert train.labels[:12].tolist() == [*range(10), 0, 1]
    shutil.move(mnist, tmp_path / "fashion_mnist")
    assert load_images("fashion_mnist", tmp_path).digest == train.digest
    assert train.resized((3, 32, 32)).images.shape == (60, 3, 32, 32)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "train-images-idx3-ubyte",
            idx(numpy.zeros((60, 28, 28), numpy.uint8))[:-1],
            "expected 47,056 bytes, received",
        ),
        ("train-images-idx3-ubyte", idx(numpy.zeros((59, 28, 28), numpy.uint8)), "expected 59 labels, received 60"),
        ("train-images-idx3-ubyte", b"", "expected it to begin with 00000803"),
        ("train-images-idx3-ubyte", None, "cannot read"),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(idx(numpy.arange(60, dtype=numpy.uint8)), mtime=0),
            "labels from 0 to 9",
        ),
        ("train-labels-idx1-ubyte.gz", gzip.compress(bytes(68), mtime=0)[:-9], "cannot read"),
        ("train-labels-idx1-ubyte.gz", b"no gzip", "cannot read"),
    ],
)
def test_a_broken_idx_file_is_named(mnist, tmp_path, name, content, said):
    replaced(mnist / name, content)
    with pytest.raises(SourceError, match=said):
        load_images("mnist", tmp_path)


@pytest.fixture
def folder(tmp_path):
    draw = numpy.random.default_rng(0)
    for part, n in (("train", 3), ("val", 1)):
        for label in ("cats", "dogs"):
            where = tmp_path / part / label
            where.mkdir(parents=True)
            for i in range(n):
                pixels = draw.integers(0, 256, (20 + i, 30, 3), dtype=numpy.uint8)
                Image.fromarray(pixels).save(where / f"{i}.png")
            (where / "notes.txt").write_text("not an image")
    return tmp_path


def test_a_folder_of_images_is_brought_to_one_size(folder):
    train, test = load_split("folder", folder, (3, 16, 16))
    assert train.images.shape == (6, 3, 16, 16)
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.labels.tolist() == [0, 1]
    assert (train.classes, test.classes) == (2, 2)
    assert load_images("folder", folder, (1, 8, 8)).images.shape == (6, 1, 8, 8)


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path_factory):
    with pytest.raises(SourceError, match="expected a folder train or training in it"):
        load_images("folder", tmp_path_factory.mktemp("empty"))
    broken = folder / "train" / "dogs" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(SourceError, match=r"cannot read .*1\.png as an image"):
        load_images("folder", folder)
    broken.unlink()
    (folder / "val" / "mice").mkdir()
    with pytest.raises(SourceError, match="classes of the training part; received mice"):
        load_split("folder", folder)
    shutil.rmtree(folder / "train" / "dogs")
    with pytest.raises(SourceError, match="two folders or more"):
        load_images("folder", folder)


def test_a_name_or_folder_that_was_not_given_is_asked_for(tmp_path):
    with pytest.raises(OptionError, match=r"--data takes digits, cifar10.*received 'imagenet'"):
        load_images("imagenet")
    with pytest.raises(OptionError, match="--data cifar10 needs --data-root DIR"):
        load_images("cifar10")


def test_the_digits_are_those_of_scikit_learn(digits):
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    assert numpy.array_equal(digits.images[:, 0].numpy(), 15 * theirs.images)
    assert numpy.array_equal(digits.labels.numpy(), theirs.target)
    train, test = load_split("digits")
    assert numpy.array_equal(train.labels.numpy(), theirs.target[:1437])
    assert numpy.array_equal(test.images[:, 0].numpy(), 15 * theirs.images[1437:])


def test_every_image_comes_once_an_epoch(digits):
    seen = torch.cat([digits.batch(599, step, 0, (1, 8, 8))[1] for step in range(3)])
    assert seen.bincount().tolist() == digits.labels.bincount().tolist()
    assert not torch.equal(digits.batch(64, 0, 0, (1, 8, 8))[1], digits.batch(64, 0, 1, (1, 8, 8))[1])


def test_a_batch_larger_than_the_data_is_refused(digits):
    with pytest.raises(OptionError, match="digits has 1797 images: expected a --batch of at most 1797, received 1798"):
        digits.batch(1798, 0, 0, (1, 8, 8))
