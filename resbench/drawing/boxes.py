"""Boxes know their size and become SVG. It has no ids and no style sheet, so that a page may hold several.

>>> box = Drawing(40, 20, 20, (Rect(0, 0, 40, 20, "conv"), Text(20, 14, "3x3", "label", "middle")))
>>> svg([box, box], "two", "Two convolutions.").count("<rect")
3
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from string import ascii_uppercase
from typing import Literal, NamedTuple
from xml.sax.saxutils import escape

from resbench.arch.kinds import Kind

INK, QUIET, PAPER = "#1a1a1a", "#555", "#fff"

# Tints of Okabe and Ito's palette (safe for the colour-blind) that stay apart in grey; the text says it all again.
STYLES: dict[str, str] = {
    "conv": 'fill="#cfe3f5" stroke="#2b6ca3"',
    "fc": 'fill="#ead6e8" stroke="#8a4c8c"',
    "pool": 'fill="#cdebdd" stroke="#1f7a5a"',
    "norm": 'fill="#ececec" stroke="#7a7a7a"',
    "act": 'fill="#fde3ae" stroke="#b07400"',
    "other": f'fill="{PAPER}" stroke="#7a7a7a"',
    "join": f'fill="{PAPER}" stroke="{INK}" stroke-width="1.2"',
    "band": 'fill="#f4f6f8" stroke="#c3cad3"',
    "block": f'fill="{PAPER}" stroke="#8a94a3"',
    "copy": f'fill="{PAPER}" stroke="#b4bcc8"',
    "aux": f'fill="{PAPER}" stroke="#8a94a3" stroke-dasharray="2 2"',
    "track": 'fill="#dde2e8"',
    "share": 'fill="#44546a"',
    "line": f'fill="none" stroke="{INK}"',
    "dashed": f'fill="none" stroke="{INK}" stroke-dasharray="4 2.5"',
}

TINTS: Mapping[Kind | None, str] = {
    "convolution": "conv",
    "linear": "fc",
    "pooling": "pool",
    "max pooling": "pool",
    "reduction": "pool",
    "normalisation": "norm",
    "activation": "act",
    "function": "act",
}
"""A layer is tinted by its kind; any other is white."""


FONTS: dict[str, tuple[float, str]] = {
    "title": (17, ' font-weight="bold"'),
    "heading": (12, ' font-weight="bold"'),
    "name": (10, ' font-weight="bold"'),
    "label": (10.5, ""),
    "strip": (8.5, ""),
    "small": (9, f' fill="{QUIET}"'),
    "word": (9, f' fill="{QUIET}" font-style="italic"'),
}
"""The size of each kind of text, and what else it has."""

BOLD = 1.12
"""Bold letters are wider."""


class Rect(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    style: str
    hint: str = ""
    """A pointer that rests on it shows this."""
    radius: float = 2


class Text(NamedTuple):
    """``y`` is the base line."""

    x: float
    y: float
    text: str
    font: str
    anchor: Literal["start", "middle", "end"] = "start"


class Path(NamedTuple):
    """A path is lines through corners that are rounded off; several of them are one path with gaps."""

    lines: tuple[tuple[tuple[float, float], ...], ...]
    style: str = "line"
    arrow: bool = False
    shortcut: str = ""
    """A shortcut's path says which it is: identity, projection, ..."""


class Circle(NamedTuple):
    x: float
    y: float
    radius: float
    style: str


Mark = Rect | Text | Path | Circle


@dataclass(frozen=True)
class Drawing:
    """A drawing is a picture of that size. What flows enters above and leaves below, ``axis`` from the left."""

    width: float
    height: float
    axis: float
    marks: tuple[Mark, ...] = ()
    children: tuple[tuple[float, float, "Drawing"], ...] = ()
    """Each is (x, y, box) and is drawn above the marks."""

    @property
    def right(self) -> float:
        """It is so far from the axis to the right edge."""
        return self.width - self.axis


def text_width(text: str, font: str) -> float:
    """Common sans-serif fonts take at most this: the widths are those of Verdana and DejaVu Sans."""
    size, attributes = FONTS[font]
    return sum(map(_em, text)) * size * (BOLD if "bold" in attributes else 1)


EMS: dict[str, float] = {
    **dict.fromkeys(ascii_uppercase + "+=<>_", 0.72),
    **dict.fromkeys("ijl.,:;|!'()[]fI/- ", 0.41),
    **dict.fromkeys("mwMW%@", 1.0),
    **dict.fromkeys("×·−–…⊕", 0.84),
}
"""These letters are so wide, in the size of the font."""


def _em(letter: str) -> float:
    return EMS.get(letter, 0.64 if letter.isascii() else 1.25)


def shorten(text: str, font: str, width: float) -> str:
    """It gives the text, or as much of its beginning and end as fits, around an ellipsis."""
    if text_width(text, font) <= width:
        return text
    for keep in range(len(text) - 1, 1, -1):
        cut = f"{text[: keep - keep // 3]}…{text[len(text) - keep // 3 :]}"
        if text_width(cut, font) <= width:
            return cut
    return "…"


def arrow(*points: tuple[float, float]) -> Path:
    """The line has its head at the last point."""
    return Path((points,), arrow=True)


def line(*points: tuple[float, float]) -> Path:
    """The line has no head."""
    return Path((points,))


# -- SVG --------------------------------------------------------------------------------------------------

MARGIN = 14
ROUND = 5
"""The corners of a line have this radius."""


def svg(boxes: Sequence[Drawing], title: str, description: str) -> str:
    """The boxes stand below each other on a light panel, in one SVG that needs nothing else."""
    width = max(box.width for box in boxes) + 2 * MARGIN
    tops = [*accumulate((box.height + MARGIN for box in boxes), initial=float(MARGIN))]
    body = [_mark(*mark) for box, top in zip(boxes, tops, strict=False) for mark in placed(box, MARGIN, top)]
    w, h = _n(-(-width // 1)), _n(-(-tops[-1] // 1))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
            f'font-family="sans-serif" font-size="{_n(FONTS["label"][0])}">',
            f"<title>{clean(title)}</title>",
            f"<desc>{clean(description)}</desc>",
            f'<rect width="{w}" height="{h}" rx="6" fill="{PAPER}"/>',
            f'<g fill="{INK}" stroke-linejoin="round">',
            *body,
            "</g>",
            "</svg>\n",
        ]
    )


def clean(text: str) -> str:
    """The text is escaped and loses the characters that XML cannot hold."""
    return escape(re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def placed(box: Drawing, x: float = 0, y: float = 0) -> Iterator[tuple[Mark, float, float]]:
    """Every mark of a box, and of those in it, comes with the place of its own box; later ones lie above."""
    for mark in box.marks:
        yield mark, x, y
    for dx, dy, child in box.children:
        yield from placed(child, x + dx, y + dy)


def _mark(mark: Mark, x: float, y: float) -> str:
    match mark:
        case Rect():
            hint = f"><title>{clean(mark.hint)}</title></rect>" if mark.hint else "/>"
            extent = f'width="{_n(mark.width)}" height="{_n(mark.height)}" rx="{_n(mark.radius)}"'
            return f'<rect x="{_n(x + mark.x)}" y="{_n(y + mark.y)}" {extent} {STYLES[mark.style]}{hint}'
        case Circle():
            return f'<circle cx="{_n(x + mark.x)}" cy="{_n(y + mark.y)}" r="{_n(mark.radius)}" {STYLES[mark.style]}/>'
        case Text():
            size, attributes = FONTS[mark.font]
            anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
            place = f'x="{_n(x + mark.x)}" y="{_n(y + mark.y)}" font-size="{_n(size)}"'
            return f"<text {place}{anchor}{attributes}>{clean(mark.text)}</text>"
        case Path():
            lines = [[(x + a, y + b) for a, b in line] for line in mark.lines]
            shortcut = f' data-shortcut="{clean(mark.shortcut)}"' if mark.shortcut else ""
            drawn = f'<path d="{" ".join(map(_d, lines))}" {STYLES[mark.style]}{shortcut}/>'
            return drawn + _head(lines[-1][-2:]) if mark.arrow else drawn


def _d(points: Sequence[tuple[float, float]]) -> str:
    """The path leads through the points; every corner begins and ends ROUND before and after it."""
    steps = [f"M{_at(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        steps.append(f"L{_at(_towards(corner, before))}Q{_at(corner)} {_at(_towards(corner, after))}")
    return f"{''.join(steps)}L{_at(points[-1])}"


def _towards(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """The point lies ROUND from start on the way to end, or in the middle of a shorter way."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = abs(dx) + abs(dy)  # lines are upright or level
    part = min(ROUND / length, 0.5) if length else 0
    return start[0] + part * dx, start[1] + part * dy


def _head(points: Iterable[tuple[float, float]]) -> str:
    """A triangle ends an arrow. It is no <marker>, which would need an id."""
    (ax, ay), (bx, by) = points
    length = abs(bx - ax) + abs(by - ay) or 1
    ux, uy = (bx - ax) / length, (by - ay) / length
    corners = [
        (bx, by),
        (bx - 5 * ux - 2.6 * uy, by - 5 * uy + 2.6 * ux),
        (bx - 5 * ux + 2.6 * uy, by - 5 * uy - 2.6 * ux),
    ]
    return f'<path d="M{"L".join(map(_at, corners))}Z"/>'


def _at(point: tuple[float, float]) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
