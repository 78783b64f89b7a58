"""Each format has a function that renders a table; numbers are rounded only here."""

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from resbench.tables.table import Column, Kind, Table
from resbench.units import legible, printable, scale, shape_text

Format = Literal["table", "markdown", "csv", "tsv", "json", "latex", "html"]

SUFFIXES: dict[str, Format] = {
    ".txt": "table",
    ".md": "markdown",
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".tex": "latex",
    ".html": "html",
}


def printed(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the titles with their units, and the rows as a person reads them, the footer last."""
    rows = [*table.rows, *table.footer]
    titles, columns = [], []
    for i, column in enumerate(table.columns):
        unit, text = _format(column, [row[i] for row in rows])
        titles.append(printable(f"{column.title} ({unit})" if unit else column.title))
        columns.append(["" if row[i] is None else printable(text(row[i])) for row in rows])
    return titles, [list(row) for row in zip(*columns, strict=True)]


WRITERS: Mapping[Kind, tuple[str, Callable[[Any], str]]] = {
    "exact": ("", "{:,}".format),
    "rate": ("", lambda v: f"{v:,.0f}" if abs(v) >= 1000 else f"{v:.4g}"),
    "share": ("%", lambda v: f"{100 * v:.1f}"),
    "ratio": ("", "{:.3f}x".format),
    "number": ("", "{:.3g}".format),
    "shape": ("", shape_text),
}
"""These kinds of columns have one unit and one way to write a value."""


def _format(column: Column, values: Sequence[Any]) -> tuple[str, Callable[[Any], str]]:
    """Return the unit of a column and the function that prints its values."""
    if column.kind in ("count", "bytes", "seconds"):
        divisor, unit = scale(values, column.kind)
        whole = divisor == 1 and column.kind != "seconds"
        return unit, "{:,}".format if whole else lambda v: f"{v / divisor:,.3f}"
    return WRITERS.get(column.kind, ("", str))


def _aligned(table: Table) -> tuple[str, ...]:
    return tuple("left" if column.kind in ("text", "prose", "shape") else "right" for column in table.columns)


def _tabulated(table: Table, style: str) -> str:
    from tabulate import tabulate

    titles, rows = printed(table)
    if style == "pipe":  # tabulate leaves a bar in a cell as it is
        titles, *rows = ([cell.replace("|", r"\|") for cell in row] for row in (titles, *rows))
    return tabulate(rows, titles, tablefmt=style, disable_numparse=True, colalign=_aligned(table) if rows else None)


GAP, MARGIN = "  ", 2
"""In plain text columns stand so far apart, and are so much wider than their titles."""


def _ruled(table: Table) -> str:
    """Set columns side by side, with a rule under their titles, as tabulate's style ``simple`` does.

    tabulate takes longer to import than all else that a short command does: it is asked where characters are wide.
    """
    titles, rows = printed(table)
    rows = [[cell.strip() for cell in row] for row in rows]
    if not all(cell.isascii() and cell.isprintable() for row in (titles, *rows) for cell in row):
        return _tabulated(table, "simple")
    widths = [
        max(len(title) + MARGIN, *map(len, cells)) for title, cells in zip(titles, zip(*rows, strict=True), strict=True)
    ]
    set_by = [str.ljust if side == "left" else str.rjust for side in _aligned(table)]
    lines = (titles, ["-" * width for width in widths], *rows)
    return "\n".join(
        GAP.join(place(cell, width) for cell, width, place in zip(line, widths, set_by, strict=True)).rstrip()
        for line in lines
    )


def plain(table: Table) -> str:
    """Render plain text of any width, which is never cut, for pipes and files."""
    body = _ruled(table) if table.rows else ""
    return "\n\n".join(part for part in (table.title, body, "\n".join(table.remarks)) if part)


def markdown(table: Table) -> str:
    """Render a pipe table; title and notes are paragraphs of their own."""
    title = f"**{table.title}**" if table.title else ""
    body = _tabulated(table, "pipe") if table.rows else ""
    return "\n\n".join(part for part in (title, body, *table.remarks) if part)


def latex(table: Table) -> str:
    """Render a booktabs table; title and notes are its caption."""
    caption = _latex_escape(" ".join(text for text in (table.title, *table.remarks) if text))
    body = _tabulated(table, "latex_booktabs")
    return "\n".join([r"\begin{table}", r"\centering", body, rf"\caption{{{caption}}}", r"\end{table}"])


def _latex_escape(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def html_table(table: Table) -> str:
    """Render a <table> with a caption, and the notes behind it; every text is escaped."""
    body = _tabulated(table, "html")
    if table.title:
        body = body.replace("<table>", f"<table>\n<caption>{html.escape(table.title)}</caption>", 1)
    return "\n".join([body, *(f"<p>{html.escape(note)}</p>" for note in table.remarks)])


def _separated(table: Table, delimiter: str) -> str:
    """Write full numbers under the columns' keys; shapes are written as 1x64x56x56."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(column.key for column in table.columns)
    for row in table.rows:
        writer.writerow(
            "x".join(map(str, value)) if column.kind == "shape" and value else value
            for column, value in zip(table.columns, row, strict=True)
        )
    return out.getvalue().rstrip("\n")


RENDERERS: Mapping[str, Callable[[Table], str]] = {
    "csv": partial(_separated, delimiter=","),
    "tsv": partial(_separated, delimiter="\t"),
    "markdown": markdown,
    "latex": latex,
    "html": html_table,
}


def render(table: Table, format: Format) -> str:
    """Render a table as text. JSON is not among the formats here: a command writes its own document."""
    return legible(RENDERERS.get(format, plain)(table))


PROSE = 18
"""A terminal leaves out a column of prose that would have fewer characters than this."""


def to_terminal(table: Table, width: int) -> None:
    """Print a table to a terminal. Columns that do not fit are left out from the right, and named below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(width=width, highlight=False, markup=False, emoji=False)
    titles, rows = printed(table)
    prose = [column.kind == "prose" for column in table.columns]
    longest = [max(len(cell) for cell in cells) for cells in zip(titles, *rows, strict=True)]
    widths = [(min(n, PROSE) if breaks else n) + 3 for n, breaks in zip(longest, prose, strict=True)]
    shown = next((n for n in range(len(widths), 2, -1) if sum(widths[:n]) <= width), 2)
    picture = RichTable(
        box=SIMPLE_HEAD,
        title=legible(table.title) or None,
        title_justify="left",
        title_style="bold",
        pad_edge=False,
        leading=int(any(prose)),
    )
    for title, align, breaks in list(zip(titles, _aligned(table), prose, strict=True))[:shown]:
        picture.add_column(title, justify=align, overflow="fold", no_wrap=any(prose) and not breaks)  # type: ignore[arg-type]
    for i, row in enumerate(rows, 1):
        picture.add_row(*row[:shown], end_section=bool(table.footer) and i == len(table.rows))
    console.print(picture if table.rows else legible(table.title), style="" if table.rows else "bold")
    for note in table.remarks:
        console.print(legible(note), style="dim")
    if shown < len(titles):
        hidden = ", ".join(title for title in titles[shown:] if title != "rel.")
        console.print(f"Left out at {width} columns: {hidden}. Widen, pipe, or --format csv.", style="dim")
