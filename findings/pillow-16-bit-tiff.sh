#!/usr/bin/env bash
# Pillow 13.0.0: the same grey picture as an 8-bit and as a 16-bit TIFF, where black is zero and where white is zero.
#
# Expected: four times the same picture, at least after convert("L"), which is how loaders of image folders read it.
# Seen:     of 8 bits, a file in which white is zero is turned round; of 16 bits it is not: the picture comes out as its
#           negative. And convert("L") does not scale 16 bits to 8 but cuts off at 255: all but black is white.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" -W error - << 'PYTHON'
import io
import struct

import numpy as np
from PIL import Image

WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
GREY = np.array([[0, 64], [128, 255]])


def tiff(bits, photometric):
    """The picture GREY, whatever it is stored as."""
    whole = 2**bits - 1
    values = GREY * (whole // 255)
    stored = (values if photometric == BLACK_IS_ZERO else whole - values).astype(f"<u{bits // 8}").tobytes()
    tags = {256: 2, 257: 2, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 2, 279: len(stored)}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<I", 8 + len(stored))
    return header + stored + struct.pack("<H", len(tags)) + directory + struct.pack("<I", 0)


seen = {}
for bits in (8, 16):
    for name, photometric in (("black is zero", BLACK_IS_ZERO), ("white is zero", WHITE_IS_ZERO)):
        image = Image.open(io.BytesIO(tiff(bits, photometric)))
        picture = np.asarray(image).astype(int) // ((2**bits - 1) // 255)
        seen[bits, name] = picture.tolist(), np.asarray(image.convert("L")).tolist()
        print(f"{bits} bits, {name}, mode {image.mode}: {seen[bits, name][0]}, convert('L') {seen[bits, name][1]}")
grey, negative = GREY.tolist(), (255 - GREY).tolist()
assert seen[8, "black is zero"] == (grey, grey) and seen[8, "white is zero"] == (grey, grey)
assert seen[16, "black is zero"] == (grey, [[0, 255], [255, 255]])
assert seen[16, "white is zero"] == (negative, [[255, 255], [255, 0]])
PYTHON
