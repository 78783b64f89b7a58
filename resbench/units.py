"""This module holds the counting conventions, and turns numbers into text.

MACs are multiply-accumulates of convolutions, linear layers and matrix products; FLOPs = 2 x MACs.
Numbers stay plain (counts, bytes, seconds) everywhere else, with the unit in the name.
"""

import re
from collections.abc import Iterable, Mapping


def convention(*, training: bool = False, fp32: bool = True) -> tuple[str, ...]:
    """Return the lines that stand under a table of costs.

    >>> print(convention()[1])
    Elementwise: BN, activations, sums, pooling, bias. BN counts gamma and beta. Inference; bytes in fp32.
    """
    mode, types = "Training" if training else "Inference", "fp32" if fp32 else "the model's own types"
    return (
        "MACs: multiply-accumulates of convolutions, linear layers and matrix products; FLOPs = 2 x MACs.",
        f"Elementwise: BN, activations, sums, pooling, bias. BN counts gamma and beta. {mode}; bytes in {types}.",
        *([BACKWARD] if training else []),
    )


BACKWARD = "Backward: MACs for the gradients of weights and inputs that training needs; all else is the forward's."

CONVENTION = convention()

FP32_BYTES = 4

_SCALES = {
    "count": ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")),
    "seconds": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    "bytes": ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
}


def shape_text(shape: Iterable[int]) -> str:
    """Write ``(1, 64, 56, 56)`` as ``64x56x56``: a batch of one is left out.

    >>> shape_text((1, 64, 56, 56)), shape_text((8, 10)), shape_text((1, 10)), shape_text(())
    ('64x56x56', '8x10', '10', 'none')
    """
    sizes = tuple(shape)
    if not sizes:
        return "none"
    return "x".join(map(str, sizes[1:] if sizes[0] == 1 else sizes))


def printable(text: str) -> str:
    r"""Write what a terminal would obey as question marks: somebody else may have named it.

    >>> printable("conv1"), printable("a\nb\x1b[31m")
    ('conv1', 'a?b?[31m')
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tabs and the ends of lines, marks that turn the direction of a text, and halves of pairs."""


def legible(text: str) -> str:
    r"""Write as question marks what a terminal would obey in a text of several lines, or no file can hold.

    >>> legible("conv1\n\x1b[31mred\ud800")
    'conv1\n?[31mred?'
    """
    return OBEYED.sub("?", text)


def scale(values: Iterable[float | None], kind: str) -> tuple[float, str]:
    """Return one divisor and prefix for a whole column, taken from its largest value.

    ``kind`` is ``count`` (k, M, G, ...), ``bytes`` (KiB, MiB, ...) or ``seconds`` (ms, us, ...).

    >>> scale([4_089_184_256, 62_720], "count"), scale([0.064, None, 0.0001], "seconds")
    ((1000000000.0, 'G'), (0.001, 'ms'))
    """
    largest = max((abs(v) for v in values if v is not None), default=0)
    steps = _SCALES.get(kind, _SCALES["count"])
    return next((step for step in steps if largest >= step[0]), steps[-1])


def count_text(count: int) -> str:
    """Write a count with three digits and a prefix, for a picture: ``25.6M``.

    >>> count_text(25_557_032), count_text(9408), count_text(640), count_text(999_960), count_text(0)
    ('25.6M', '9.41k', '640', '1M', '0')
    """
    for size, prefix in reversed(_SCALES["count"]):
        digits = f"{count / size:.3g}" if size > 1 else str(count)
        if float(digits) < 1000:
            return f"{digits}{prefix}"
    return f"{count / 1e15:.0f}P"


def plural(count: int, noun: str) -> str:
    """Write how many there are of what a regular noun names.

    >>> plural(1, "call"), plural(0, "seed"), plural(3, "image")
    ('1 call', '0 seeds', '3 images')
    """
    return f"{count} {noun}{'s' * (count != 1)}"


def of_batch(size: int) -> str:
    """Say under which condition a figure is counted: none for one image.

    >>> of_batch(8), of_batch(1)
    ('of a batch of 8.', '')
    """
    return f"of a batch of {size}." if size > 1 else ""


def calls_text(calls: Mapping[str, int]) -> str:
    """Name operators with the number of times that each ran.

    >>> calls_text({"my.op": 3, "aten._cdist_backward": 1})
    'my.op (3 calls), aten._cdist_backward (1 call)'
    """
    return ", ".join(f"{name} ({plural(count, 'call')})" for name, count in calls.items())
