"""The diagram of a network, from its architecture where it has one, else from its module tree."""

from __future__ import annotations

from resbench.arch.cost import Cost
from resbench.errors import ResbenchError


def diagram(cost: Cost) -> str:
    """SVG that can stand in a page, several times over."""
    from resbench.drawing.diagram import draw
    from resbench.drawing.tree import draw_tree
    from resbench.networks.load import catalogued, is_catalogued

    if is_catalogued(cost.model):
        try:
            return draw(catalogued(cost.model))
        except ResbenchError:  # stored under a name that this version does not know
            pass
    return draw_tree(cost)
