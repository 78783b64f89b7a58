"""rows -> Table -> text. Numbers stay numbers until rendering."""

from resbench.tables.render import Format, render
from resbench.tables.table import Column, Table

__all__ = ["Column", "Format", "Table", "render"]
