"""What a layer is, in one word, and what its backward pass needs of the forward pass.

A layer of the algebra states its kind in its class; a traced row has that of torch's class or of the operators that
ran in it. Whoever asks what a row is reads its ``kind``: no other table of class names decides that.
"""

from collections.abc import Mapping, Set
from typing import Literal, NamedTuple

Kind = Literal[
    "convolution",
    "linear",
    "matrix product",
    "attention",
    "recurrent",
    "normalisation",
    "activation",
    "function",
    "pooling",
    "max pooling",
    "reduction",
    "sum",
    "product",
    "scaling",
    "concatenation",
    "dropout",
    "embedding",
    "resampling",
    "rearrangement",
    "composite",
    "unknown",
]


class Meaning(NamedTuple):
    """A kind in a sentence, and which tensors its gradients are computed from."""

    sentence: str
    input: bool = False
    """Whether they need what it reads."""
    output: bool = False
    """Whether they need what it gives."""


KINDS: Mapping[Kind, Meaning] = {
    "convolution": Meaning("It slides learned weights over positions.", input=True),
    "linear": Meaning("It multiplies features by learned weights.", input=True),
    "matrix product": Meaning("It multiplies matrices, whatever they are.", input=True),
    "attention": Meaning("It weights values by how well queries and keys fit.", input=True, output=True),
    "recurrent": Meaning("It goes through a sequence and carries a state along.", input=True, output=True),
    "normalisation": Meaning("It shifts and scales by statistics, of a batch or of each sample.", input=True),
    "activation": Meaning("It is a function whose gradient follows from its result: ReLU, sigmoid.", output=True),
    "function": Meaning("It is a function whose gradient needs its argument: GELU, SiLU, a power.", input=True),
    "pooling": Meaning("It averages windows.", input=True),
    "max pooling": Meaning("It takes the largest of each window, and keeps where that was.", input=True),
    "reduction": Meaning("It sums or averages over whole dimensions."),
    "sum": Meaning("It adds or subtracts tensors, element by element."),
    "product": Meaning("It multiplies or divides tensors, element by element.", input=True),
    "scaling": Meaning("It multiplies by a constant, or adds one."),
    "concatenation": Meaning("It joins tensors along a dimension."),
    "dropout": Meaning("It zeroes some elements in training, and keeps its mask."),
    "embedding": Meaning("It looks up rows of a table."),
    "resampling": Meaning("It makes maps larger or smaller by interpolation."),
    "rearrangement": Meaning("It moves, repeats, pads or selects elements, or gives another look at them."),
    "composite": Meaning("It is made of operators of several kinds."),
    "unknown": Meaning("Nobody knows; it may need all that it reads and gives.", input=True, output=True),
}

BILINEAR: Set[Kind] = frozenset(("convolution", "linear", "matrix product", "product"))
"""Kinds whose gradient by one operand needs the others, and not that operand."""

POINTWISE: Set[Kind] = frozenset(("activation", "function", "scaling", "dropout"))
"""Layers of these kinds take each element by itself."""

PLAIN: tuple[Set[Kind], ...] = (
    frozenset(),
    frozenset(("rearrangement",)),
    frozenset(("rearrangement", "scaling", "sum")),
    frozenset(("rearrangement", "scaling", "sum", "product", "reduction")),
)
"""What may stand beside an operator without changing what a module is, the plainest first."""


def together(kinds: Set[Kind]) -> Kind:
    """The kind of a module in which operators of these kinds ran.

    >>> together({"linear", "sum"}), together({"product", "activation"}), together({"activation", "function"})
    ('linear', 'activation', 'composite')
    """
    if not kinds or "unknown" in kinds:
        return "unknown" if kinds else "rearrangement"
    for plain in PLAIN:
        if len(left := kinds - plain) == 1:
            return next(iter(left))
    return "composite"
