"""A page of HTML has everything in it: tables that sort and filter, charts that zoom, diagrams, and the data.

It loads nothing: the scripts and styles are in the page, and its policy forbids every request.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from math import isfinite
from typing import Any

from resbench.drawing.charts import Picture, table_of, whole
from resbench.files import own_version
from resbench.result import Section
from resbench.results import Stored
from resbench.tables.render import printed
from resbench.tables.table import Table
from resbench.units import legible

BREAKS = re.compile(r"(?<=[.,])(?=[^\W\d])")
"""A name may break before a letter behind a dot or a comma; a figure has none there."""

WHEEL = "wheel![event.ctrlKey]"
"""Charts zoom with Ctrl, as maps do: without it the page scrolls. A pinch on a touch pad is the same event."""


def page(title: str, sections: Sequence[Section], stored: Sequence[Stored], made_with: str | None = None) -> str:
    """Write the whole page as text. Names from models are escaped wherever they stand."""
    from jinja2 import Environment, PackageLoader

    specs: dict[str, Any] = {}
    shown = [_section(section, specs) for section in _drawn_once(sections)]
    template = Environment(loader=PackageLoader("resbench.pages", "page"), autoescape=True).get_template("page.html")
    own = files("resbench.pages.page")
    written = template.render(
        title=title,
        version=own_version() or "",
        made=datetime.now(UTC).strftime("%Y-%m-%d"),
        sections=shown,
        sources=[_source(one, i, stored) for i, one in enumerate(stored)],
        environments=_machines(stored),
        made_with=made_with,
        css=(own / "page.css").read_text(encoding="utf-8"),
        js=(own / "page.js").read_text(encoding="utf-8"),
        vega=_vega(),
        charts=embedded(specs),
    )
    return legible(written)


@cache
def _vega() -> str:
    """Return the scripts that draw, which take a second to put together."""
    import vl_convert

    return vl_convert.javascript_bundle()  # type: ignore[call-arg]


def embedded(value: Any) -> str:
    """Write JSON that can stand inside a script element: no tag can end it.

    >>> embedded("</script>")
    '"\\\\u003c/script\\\\u003e"'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _drawn_once(sections: Sequence[Section]) -> list[Section]:
    """Leave the diagram of a network to the first section that has one."""
    known = set[str]()
    found = []
    for one in sections:
        found.append(replace(one, drawings={name: svg for name, svg in one.drawings.items() if name not in known}))
        known |= one.drawings.keys()
    return found


def _section(section: Section, specs: dict[str, Any]) -> dict[str, Any]:
    grids = [_grid(table, f"{section.key}-table-{i}", section.title) for i, table in enumerate(section.tables)]
    pictures = [_chart(picture, f"{section.key}-chart-{i}", specs) for i, picture in enumerate(section.pictures)]
    return {**vars(section), "tables": grids, "pictures": pictures}


def _grid(table: Table, id: str, name: str) -> dict[str, Any]:
    """Return the parts of a table as the page shows them; ``raw`` is what a column sorts by, where that is a number."""
    titles, rows = printed(table)
    numeric = [column.kind not in ("text", "prose", "shape") for column in table.columns]
    prose = [column.kind == "prose" for column in table.columns]
    heads = [{"text": text, "number": number} for text, number in zip(titles, numeric, strict=True)]
    cells = [
        [
            {
                "text": text,
                "raw": _number(v) if number else None,
                "number": number,
                "prose": wide,
                "pieces": BREAKS.split(text),
            }
            for text, v, number, wide in zip(*line, numeric, prose, strict=True)
        ]
        for line in zip(rows, [*table.rows, *table.footer], strict=True)
    ]
    body = len(table.rows)
    return {
        **{"id": id, "name": table.title or name, "warnings": table.warnings, "notes": table.notes},
        **{"prose": any(prose), "heads": heads, "rows": cells[:body], "foot": cells[body:]},
    }


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and isfinite(value) else None


def _chart(picture: Picture, id: str, specs: dict[str, Any]) -> dict[str, Any]:
    specs[id] = whole([picture]).to_dict()
    zooms = _zooming(specs[id])
    if picture.network:
        specs[id]["usermeta"] = {"network": picture.network}
    file = "".join(c if c.isalnum() else "-" for c in picture.name) + ".csv"
    csv = base64.b64encode(table_of([picture]).encode()).decode()
    return {
        "id": id,
        "name": picture.name,
        "zooms": zooms,
        "opens": bool(picture.network),
        "file": file,
        "csv": f"data:text/csv;base64,{csv}",
    }


def _zooming(spec: dict[str, Any]) -> bool:
    """Give a chart scroll and drag along its continuous axes; panels below each other move together. Has it any?"""
    panels = spec.get("vconcat") or [spec]
    views = [view for view in map(_continuous, panels) if view]
    if not views:
        return False
    axes = ["x"] if len(panels) > 1 else [axis for axis in ("x", "y") if _numeric(views[0], axis)]
    for i, view in enumerate(views):
        view["name"] = f"panel{i}"
    select = {"type": "interval", "encodings": axes, "zoom": WHEEL}
    zoom = {"name": "zoom", "select": select, "bind": "scales", "views": [view["name"] for view in views]}
    spec.setdefault("params", []).append(zoom)
    return True


def _continuous(spec: dict[str, Any]) -> dict[str, Any] | None:
    """Return the mark of a chart with the most axes of numbers or times; it is None where there is none."""
    if "layer" not in spec:
        return spec if any(_numeric(spec, axis) for axis in ("x", "y")) else None
    views = filter(None, map(_continuous, spec["layer"]))
    return max(views, key=lambda view: sum(_numeric(view, axis) for axis in ("x", "y")), default=None)


def _numeric(view: Mapping[str, Any], axis: str) -> bool:
    channel = view.get("encoding", {}).get(axis, {})
    return "field" in channel and channel["type"] in ("quantitative", "temporal") and not channel.get("bin")


def _source(one: Stored, i: int, stored: Sequence[Stored]) -> Mapping[str, str]:
    """Offer what was stored as a download, compressed; a number tells files of the same name apart."""
    name = one.path.name.removesuffix(".gz")
    same = [other.path.name.removesuffix(".gz") for other in stored[:i]].count(name)
    data = base64.b64encode(gzip.compress(json.dumps(one.document).encode(), mtime=0)).decode()
    file = f"{name.removesuffix('.json')}{f'-{same + 1}' if same else ''}.json.gz"
    return {"file": file, "data": f"data:application/gzip;base64,{data}", "command": one.made_with, "time": one.time}


def _machines(stored: Sequence[Stored]) -> list[str]:
    machines = (getattr(one.result, "environment", None) for one in stored)
    return list(dict.fromkeys(machine.note for machine in machines if machine))
