"""The diagram of a network, from its architecture where it has one, else from its module tree."""

from __future__ import annotations

from resbench.arch.cost import Cost
from resbench.errors import ResbenchError


def diagram(cost: Cost) -> str:
    """SVG that can stand in a page, several times over."""
    from resbench.drawing.diagram import draw
    from resbench.drawing.tree import draw_tree
    from resbench.networks.name import ModelName

    try:
        name = ModelName.stored(cost.model)
        return draw(name.architecture()) if name.catalogued else draw_tree(cost)
    except ResbenchError:  # stored under a name that this version does not know
        return draw_tree(cost)
