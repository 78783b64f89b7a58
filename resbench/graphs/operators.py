"""Every operator that is counted, under the name that it has in a graph."""

from collections.abc import Mapping

from resbench.graphs.calls import Operator
from resbench.graphs.elementwise import ELEMENTWISE, MOVES, RUNTIME_OTHERS, WINDOWS
from resbench.graphs.graph import BLOCKED, MICROSOFT
from resbench.graphs.products import PRODUCTS, RUNTIME_PRODUCTS

OWN: Mapping[str, Operator] = {**PRODUCTS, **ELEMENTWISE, **WINDOWS, **MOVES}

RUNTIME: Mapping[str, Operator] = {
    **RUNTIME_PRODUCTS,
    **RUNTIME_OTHERS,
    **{name: OWN[name] for name in ("QLinearConv", "QuantizeLinear", "DequantizeLinear", "RotaryEmbedding")},
}

IN_BLOCKS: Mapping[str, Operator] = {
    "Conv": RUNTIME["FusedConv"],
    **{name: OWN[name] for name in "MaxPool AveragePool GlobalMaxPool GlobalAveragePool Upsample".split()},
    **dict.fromkeys(("ReorderInput", "ReorderOutput"), OWN["Transpose"]),
}

OPERATORS: Mapping[str, Operator] = {
    **OWN,
    **{f"{MICROSOFT}.{name}": one for name, one in RUNTIME.items()},
    **{f"{BLOCKED}.{name}": one for name, one in IN_BLOCKS.items()},
}

LOOKS = frozenset("Identity Reshape Flatten Squeeze Unsqueeze Dropout".split())
"""These give another look at a tensor, and have no row, as views have none."""

ASKS = frozenset("Shape Size".split())
"""What these give does not depend on values."""

LIKE = frozenset(("CastLike",))
"""These take of their second input the type alone."""
