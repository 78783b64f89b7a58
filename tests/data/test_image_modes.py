"""The same grey however a folder's pictures are stored, or the file refused by name."""

import struct
import zlib

import numpy
import pytest
import torch

from resbench.data import load_split
from resbench.data.folder import read_picture
from resbench.errors import SourceError

Image = pytest.importorskip("PIL.Image")

GREYS = numpy.array([[0, 17, 51, 102], [128, 187, 204, 255]], numpy.uint8)
"""What every picture here shows."""

SIZE = (1, *GREYS.shape)


def grey():
    return Image.fromarray(GREYS)


def saved(path, image, **options):
    image.save(path, **options)
    return path


def tiff(path, data, bits=16, order="<", photometric=1, sample_format=1):
    """A TIFF of one channel by hand: Pillow writes neither 12 bits nor an inverted scale."""
    height, width = GREYS.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = [
        struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
        for tag, value in sorted((tags | {339: sample_format}).items())
    ]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    path.write_bytes(head + data + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4))
    return path


def packed(values):
    """Numbers of 12 bits, two in three bytes."""
    pairs = values.reshape(-1, 2).astype(int).tolist()
    return b"".join((a << 12 | b).to_bytes(3, "big") for a, b in pairs)


def colour_png(path, values):
    """A PNG of 16 bits a channel by hand: Pillow reads it, as 8 bits, and writes none."""
    height, width = GREYS.shape
    rows = b"".join(b"\0" + row.tobytes() for row in numpy.repeat(values[..., None], 3, 2).astype(">u2"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        with path.open("ab") as file:
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return path


def transparent(path):
    """A palette of 256 greys of which some are transparent to some degree."""
    image = grey().convert("P", palette=Image.Palette.ADAPTIVE)
    return saved(path, image, transparency=bytes(range(0, 256, 32)))


WIDE = GREYS.astype(numpy.uint16) * 257
"""The same greys of 65,535."""

STORED = {
    "8 bits": lambda d: saved(d / "1.png", grey()),
    "rgb": lambda d: saved(d / "1.png", grey().convert("RGB")),
    "palette": lambda d: saved(d / "1.png", grey().convert("P")),
    "transparent palette": lambda d: transparent(d / "1.png"),
    "gif": lambda d: saved(d / "1.gif", grey()),
    "bmp": lambda d: saved(d / "1.bmp", grey()),
    "webp": lambda d: saved(d / "1.webp", grey().convert("RGBA"), lossless=True, exact=True),
    "grey and alpha": lambda d: saved(d / "1.png", Image.merge("LA", [grey(), grey()])),
    "rgba, all transparent": lambda d: saved(d / "1.png", Image.merge("RGBA", [grey()] * 3 + [Image.new("L", (4, 2))])),
    "cmyk": lambda d: saved(d / "1.tif", grey().convert("RGB").convert("CMYK")),
    "ycbcr": lambda d: saved(d / "1.tif", grey().convert("RGB").convert("YCbCr")),
    "16-bit png": lambda d: saved(d / "1.png", Image.fromarray(WIDE)),
    "16-bit colour png": lambda d: colour_png(d / "1.png", WIDE),
    "16-bit tiff": lambda d: saved(d / "1.tif", Image.fromarray(WIDE)),
    "16-bit tiff, big-endian": lambda d: tiff(d / "1.tif", WIDE.astype(">u2").tobytes(), order=">"),
    "16-bit tiff, white is zero": lambda d: tiff(d / "1.tif", (65535 - WIDE).tobytes(), photometric=0),
    "8-bit tiff, white is zero": lambda d: tiff(d / "1.tif", (255 - GREYS).tobytes(), bits=8, photometric=0),
    "12-bit tiff": lambda d: tiff(d / "1.tif", packed(numpy.rint(GREYS / 255 * 4095)), bits=12),
    "16-bit pgm": lambda d: pnm(d / "1.pgm", b"P5", 65535, WIDE.astype(">u2")),
    "10-bit pgm": lambda d: pnm(d / "1.pgm", b"P5", 1023, numpy.rint(GREYS / 255 * 1023).astype(">u2")),
    "16-bit colour ppm": lambda d: pnm(d / "1.ppm", b"P6", 65535, numpy.repeat(WIDE.astype(">u2"), 3)),
}


def pnm(path, magic, largest, values):
    path.write_bytes(magic + b" 4 2 %d\n" % largest + values.tobytes())
    return path


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_grey_however_it_is_stored(tmp_path, stored, channels):
    pixels = read_picture(STORED[stored](tmp_path), (channels, *GREYS.shape))
    assert pixels.dtype == numpy.uint8
    assert pixels.shape == (channels, *GREYS.shape)
    rounded_twice = stored == "ycbcr"  # to it and from it, by Pillow
    assert numpy.abs(pixels.astype(int) - GREYS).max() <= rounded_twice


def test_black_and_white_are_0_and_255(tmp_path):
    dots = GREYS > 100
    assert numpy.array_equal(read_picture(saved(tmp_path / "1.png", Image.fromarray(dots)), SIZE)[0], 255 * dots)


def test_every_16_bit_grey_is_within_half_a_step_of_its_byte(tmp_path):
    wide = numpy.arange(65536, dtype=numpy.uint16).reshape(256, 256)
    pixels = read_picture(saved(tmp_path / "1.png", Image.fromarray(wide)), (1, 256, 256))[0]
    assert numpy.abs(pixels - wide / 257).max() <= 0.5


FLOATS = GREYS.astype(numpy.float32)
REFUSED = {
    "floats to 1": (lambda d: saved(d / "1.tif", Image.fromarray(FLOATS / 255)), "received mode F .floats"),
    "floats to 255": (lambda d: saved(d / "1.tif", Image.fromarray(FLOATS)), "received mode F .floats"),
    "32 bits": (lambda d: tiff(d / "1.tif", GREYS.astype("<u4").tobytes(), 32), "received mode I .32-bit integers"),
    "signed 32": (
        lambda d: tiff(d / "1.tif", GREYS.astype("<i4").tobytes(), 32, sample_format=2),
        "received mode I .signed integers",
    ),
    "signed 16": (
        lambda d: tiff(d / "1.tif", GREYS.astype("<i2").tobytes(), sample_format=2),
        "received mode I .signed integers",
    ),
    "signed 8": (
        lambda d: tiff(d / "1.tif", GREYS.tobytes(), 8, sample_format=2),
        "received mode L .signed integers",
    ),
    "lab": (lambda d: saved(d / "1.tif", Image.new("LAB", (4, 2))), "received mode LAB"),
}


@pytest.mark.parametrize("stored", REFUSED)
def test_what_has_no_black_and_white_of_its_own_is_refused_by_name(tmp_path, stored):
    make, said = REFUSED[stored]
    with pytest.raises(SourceError, match=f"1.tif: expected 8 or 16 bits a channel, {said}.*8-bit PNG"):
        read_picture(make(tmp_path), SIZE)


def test_pixels_lie_as_in_the_file_whatever_exif_says(tmp_path):
    turned = grey().getexif()
    turned[274] = 6
    assert numpy.array_equal(read_picture(saved(tmp_path / "1.png", grey(), exif=turned), SIZE)[0], GREYS)


@pytest.fixture
def folder(tmp_path):
    for part in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            saved(tmp_path / part / label / "1.png", grey())
    return tmp_path


def test_what_a_system_puts_beside_the_pictures_is_no_picture_and_no_class(folder):
    before, _ = load_split("folder", folder, (3, 2, 4))
    for part in ("train", "test"):
        for place in (
            "a",
            "a/.ipynb_checkpoints",
            "__MACOSX",
            "__MACOSX/a",
            "b/@eaDir/1.png",
            ".thumbnails",
            "b/__MACOSX",
        ):
            (folder / part / place).mkdir(parents=True, exist_ok=True)
            for name in ("._1.png", ".DS_Store", "Thumbs.db"):
                (folder / part / place / name).write_bytes(b"\0\5\26\7Mac OS X")
        saved(folder / part / "a/.ipynb_checkpoints/1-checkpoint.png", grey())
        saved(folder / part / "b/@eaDir/1.png/thumb.jpg", grey())
    train, test = load_split("folder", folder, (3, 2, 4))
    assert (train.digest, train.classes, len(train.labels), len(test.labels)) == (before.digest, 2, 2, 2)


def test_a_class_without_a_picture_is_named(folder):
    (folder / "train/b/1.png").rename(folder / "train/b/._1.png")
    with pytest.raises(SourceError, match=r"train/b: expected images .*received none"):
        load_split("folder", folder)


@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_picture_is_named(folder, content):
    (folder / "test/a/2.png").write_bytes(content)
    with pytest.raises(SourceError, match=r"cannot read .*test/a/2\.png as an image"):
        load_split("folder", folder)


def test_a_channel_that_never_varies_gives_0_and_no_nan(folder):
    for part in ("train", "test"):
        for label in ("a", "b"):
            channels = [grey(), Image.new("L", (4, 2)), Image.new("L", (4, 2), 9)]
            saved(folder / part / label / "1.png", Image.merge("RGB", channels))
    x, _ = load_split("folder", folder, (3, 2, 4))[0].batch(2, 0, 0, (3, 2, 4))
    assert torch.isfinite(x).all()
    assert x[:, 0].std() > 0
    assert not x[:, 1:].any()


def test_the_command_names_the_file_and_ends_with_2(folder, cli):
    saved(folder / "train/a/1.tif", Image.fromarray(FLOATS))
    done = cli("gradflow", "resnet8", "--data", "folder", "--data-root", str(folder), "--steps", "1", "--batch", "2")
    assert (done.returncode, done.stdout) == (2, "")
    assert "train/a/1.tif: expected 8 or 16 bits a channel, received mode F" in done.stderr
    assert done.stderr.count("\n") == 1
