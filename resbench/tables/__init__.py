"""A table goes from rows to text; its numbers stay numbers until it is rendered."""

from resbench.tables.render import Format, render
from resbench.tables.table import Column, Table

__all__ = ["Column", "Format", "Table", "render"]
