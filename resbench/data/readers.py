"""Each reader reads the files of a published set; one that is missing or broken is named.

A reader gives images (N, C, H, W) of bytes, labels (N,) and the number of classes, of the training or the test part.
"""

import gzip
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import distribution
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resbench.errors import SourceError, first_line, foreign
from resbench.files import is_file, is_there

Arrays = tuple[Any, Any, int]


class Cifar(NamedTuple):
    """This describes one of the two sets of https://www.cs.toronto.edu/~kriz/cifar.html.

    ``folders`` are those of the binary and the Python layout. The images to train on are spread evenly over the
    ``train`` files, those to test on lie in one; ``images`` says how many of each there are. In front of an image are
    ``label_bytes``, of which the last is the label.
    """

    title: str
    folders: tuple[str, str]
    train: tuple[str, ...]
    test: tuple[str, ...]
    classes: int
    label_bytes: int
    label_key: bytes
    images: tuple[int, int] = (50_000, 10_000)


CIFAR10 = Cifar(
    "CIFAR-10",
    ("cifar-10-batches-bin", "cifar-10-batches-py"),
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    ("test_batch",),
    10,
    1,
    b"labels",
)
CIFAR100 = Cifar(
    "CIFAR-100",
    ("cifar-100-binary", "cifar-100-python"),
    ("train",),
    ("test",),
    100,
    2,
    b"fine_labels",
)
PIXELS = 3 * 32 * 32
AGAIN = "unpack it again"


def digits() -> tuple[Any, Any]:
    """Read the file that ``sklearn.datasets.load_digits`` reads; importing scikit-learn for it takes a second.

    Its 17 greys, 0 to 16, become bytes from 0 to 240.
    """
    path = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    records = np.loadtxt(str(path), np.float32, delimiter=",").astype(np.uint8)
    return 15 * records[:, :64].reshape(-1, 1, 8, 8), records[:, 64]


def cifar(kind: Cifar, root: Path, test: bool) -> Arrays:
    """Read either layout, in ``root`` or in the folder of its official name below it. Raises SourceError."""
    names = kind.test if test else kind.train
    records = kind.images[test] // len(names)
    for folder in (root, *(root / name for name in kind.folders)):
        for suffix, read in ((".bin", _binary), ("", _pickled)):
            if any(is_file(folder / f"{name}{suffix}") for name in (*kind.train, *kind.test)):
                parts = [read(kind, folder / f"{name}{suffix}", records) for name in names]
                images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
                return images.reshape(-1, 3, 32, 32), labels, kind.classes
    raise SourceError(f"no {kind.title} in {root}: expected {' or '.join(kind.folders)} in it")


def _binary(kind: Cifar, path: Path, records: int) -> tuple[Any, Any]:
    data = np.frombuffer(_bytes(path), np.uint8)
    expected = records * (kind.label_bytes + PIXELS)
    if data.size != expected:
        raise SourceError(f"{path}: expected {expected:,} bytes, received {data.size:,}; {AGAIN}")
    table = data.reshape(records, -1)
    return table[:, kind.label_bytes :], _labels(path, table[:, kind.label_bytes - 1], kind.classes)


ARRAYS = ("_reconstruct", "_frombuffer", "ndarray", "dtype", "scalar")
"""numpy makes arrays and numbers of these, in pickles of every protocol; its modules are called otherwise since 2.0."""


class _Arrays(pickle.Unpickler):
    """This unpickles arrays and plain values alone: a pickle can otherwise run any code."""

    def find_class(self, module: str, name: str) -> Any:
        array = module.partition(".")[0] == "numpy" and name in ARRAYS
        if array or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"holds {module}.{name}")


def _pickled(kind: Cifar, path: Path, records: int) -> tuple[Any, Any]:
    with foreign(SourceError, lambda error: f"cannot read {path} as a {kind.title} batch ({_reason(error)}); {AGAIN}"):
        with path.open("rb") as handle:
            batch = {_key(key): value for key, value in _Arrays(handle, encoding="bytes").load().items()}
        pixels, classes = np.asarray(batch[b"data"]), np.asarray(batch[kind.label_key])
        if pixels.dtype != np.uint8 or classes.dtype.kind not in "iu" or pixels.shape != (records, PIXELS):
            raise ValueError(f"expected {records:,} x {PIXELS} bytes and whole numbers")
        if classes.shape != (records,):
            raise ValueError(f"expected {records:,} labels")
    return pixels, _labels(path, classes, kind.classes)


def _key(key: Any) -> Any:
    """Return a key in the bytes of the published files: who reads and writes them again may have made it a text."""
    return key.encode() if isinstance(key, str) else key


def idx(folders: Sequence[str], root: Path, test: bool) -> Arrays:
    """Read the four files of http://yann.lecun.com/exdb/mnist, compressed or not. Raises SourceError."""
    part = "t10k" if test else "train"
    for folder in (root, *(root / name for name in folders)):
        found = [_either(folder / f"{part}-{what}-ubyte") for what in ("images-idx3", "labels-idx1")]
        if any(map(is_there, found)):
            images, labels = (_idx(path, rank) for path, rank in zip(found, (3, 1), strict=True))
            if len(images) != len(labels) or not len(images):
                raise SourceError(f"{found[1]}: expected {len(images)} labels, received {len(labels)}; {AGAIN}")
            return images[:, None], _labels(found[1], labels, 10), 10
    raise SourceError(f"no {part}-images-idx3-ubyte in {root}: expected it there or in {' or '.join(folders)}")


def _either(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if is_there(packed) and not is_there(path) else path


def _idx(path: Path, rank: int) -> Any:
    """Read a magic number that says bytes and rank, as many sizes of four bytes, and the bytes."""
    data = _bytes(path)
    sizes = [int.from_bytes(data[4 * i : 4 * i + 4], "big") for i in range(1, rank + 1)]
    magic = bytes((0, 0, 8, rank))
    expected = 4 + 4 * rank + prod(max(size, 1) for size in sizes)
    if data[:4] != magic:
        raise SourceError(f"{path}: expected it to begin with {magic.hex()}, received {data[:4].hex()}; {AGAIN}")
    if len(data) != expected:
        raise SourceError(f"{path}: expected {expected:,} bytes, received {len(data):,}; {AGAIN}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(sizes)


def _bytes(path: Path) -> bytes:
    with foreign(SourceError, lambda error: f"cannot read {path}: {_reason(error)}; {AGAIN}"):
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or first_line(error)


def _labels(path: Path, labels: Any, classes: int) -> Any:
    if not 0 <= labels.min() <= labels.max() < classes:
        raise SourceError(
            f"{path}: expected labels from 0 to {classes - 1}, received {labels.min()} to {labels.max()}; {AGAIN}"
        )
    return labels


READERS: dict[str, Callable[[Path, bool], Arrays]] = {
    "cifar10": partial(cifar, CIFAR10),
    "cifar100": partial(cifar, CIFAR100),
    "mnist": partial(idx, ("MNIST/raw", "mnist")),
    "fashion_mnist": partial(idx, ("FashionMNIST/raw", "fashion_mnist", "fashion-mnist")),
}
