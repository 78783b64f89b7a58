"""The algebra says what nodes are and how they combine.

An architecture is an immutable expression of *layers* (``layers.py``) and combinators::

    Seq(conv1=..., bn1=..., ...)   one after the other
    Add(branch, shortcut)          F(x) + h(x), elementwise
    Mul(value, gate)               elementwise product, 1x1 maps broadcast
    Concat(a, b, c, d)             along the channels
    Highway(gate, branch, shortcut)   g F(x) + (1 - g) h(x)
    Aux(head)                      x itself; the head also sees x, in training only

Names follow one rule. A keyword makes a level: ``Seq(stem=Seq(conv=...))`` holds ``stem.conv``.
A positional part is *in place*: a combinator adds no level, its parts keep their names; a layer
is numbered by its position (in ``Seq``) or called by its role (in the operators). ``stack(...)``
numbers its parts, as ``nn.Sequential`` does. So a residual block reads

>>> from resbench.arch import Add, Conv2d, Identity, ReLU, Seq
>>> branch = Seq(conv1=Conv2d(64, 64, 3, padding=1), relu1=ReLU(), conv2=Conv2d(64, 64, 3, padding=1))
>>> block = Seq(Add(branch, Identity()), relu2=ReLU())
>>> block.names
('conv1', 'relu1', 'conv2', 'add', 'relu2')
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from itertools import groupby
from keyword import iskeyword
from math import prod
from typing import ClassVar, Self

from resbench.arch.acyclic import remembered
from resbench.arch.fields import check_fields
from resbench.arch.kinds import POINTWISE, Kind
from resbench.arch.windows import SELF, Window
from resbench.errors import ArchitectureError, ShapeError
from resbench.units import FP32_BYTES, shape_text

Shape = tuple[int, ...]
"""A shape is (N, C, H, W), or (N, F) after a flatten."""


class Node:
    """A node is any expression: a layer or a combinator. It is immutable, hashable and compared by value.

    A layer, and an operator that joins paths, states its ``kind``: a word of ``resbench.arch.kinds``, which says what
    it is and with it what its backward pass needs. What states none is ``unknown``, and the tables say so.
    """

    __slots__ = ()
    kind: ClassVar[Kind] = "unknown"

    @property
    def names(self) -> tuple[str, ...]:
        """A node brings these names to its level when it stands there in place."""
        return ()

    @property
    def depth(self) -> int:
        """So many combinators stand in each other from here down."""
        return 0

    def kept_bytes(self, output: Shape) -> int:
        """Its gradients need so much beside what it reads or gives, such as a mask, for an output of this shape."""
        return 0

    def __deepcopy__(self, memo: object) -> Self:
        return self  # a value


@dataclass(frozen=True, repr=False)
class Layer(Node):
    """A layer is a leaf. It states, once, its kind, output shape, parameters, MACs and elementwise operations.

    A function of each element is of the kind ``activation`` where torch computes its gradient from its result (ReLU,
    sigmoid, tanh), and ``function`` where from its argument (GELU, SiLU, Hardswish, LeakyReLU, ReLU6, ELU). ``free``
    layers (identity, flatten, dropout at inference) do no work; a layer that is also ``silent`` has no row of its own
    in any table.
    """

    __slots__ = ()
    silent: ClassVar[bool] = False
    by_whole_map: ClassVar[tuple[str, ...]] = ()
    """In these modes a position depends on statistics of the whole map, beside what its window sees."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def params(self) -> int:
        """It learns so many scalars."""
        return 0

    @property
    def buffer_bytes(self) -> int:
        """It holds so many bytes that it does not learn."""
        return 0

    def output(self, shape: Shape) -> Shape:
        """An input of this shape gives an output of that. Raises ShapeError without a path, which the reader knows."""
        return shape

    def window(self, shape: Shape) -> Window | None:
        """A position of the output sees these positions of an input of this shape. None where nobody says so: a layer
        that does not take each element by itself has to."""
        return SELF if self.kind in POINTWISE else None

    def macs(self, output: Shape) -> int:
        """An output of this shape takes so many multiply-accumulates."""
        return 0

    def elementwise(self, shape: Shape, output: Shape) -> int:
        """A forward at inference takes so much arithmetic that is not a MAC."""
        return 0

    def elementwise_in_training(self, shape: Shape, output: Shape) -> int:
        """A forward in training takes so much of it."""
        return self.elementwise(shape, output)

    @property
    def brief(self) -> str:
        """A paper's table writes the layer like this."""
        return type(self).__name__

    def __repr__(self) -> str:
        """``Conv2d(3, 64, 7, stride=2)``: required fields stand by position, the others where they differ."""
        arguments: list[str] = []
        for slot in fields(self):
            value = getattr(self, slot.name)
            if isinstance(value, tuple) and len(set(value)) == 1:
                value = value[0]
            if value != slot.default:
                arguments.append(f"{value!r}" if slot.default is MISSING else f"{slot.name}={value!r}")
        return f"{type(self).__name__}({', '.join(arguments)})"


shared = remembered(2**12)
"""What a function makes of the same arguments is made once, since nodes are values: networks differ in few parts."""

Part = tuple[str, Node]
"""A part is a name and a node; the empty name stands for *in place*."""

MAX_DEPTH = 100
"""Combinators stand no deeper in each other, since readings walk down by recursion."""


class Hashed(Node):
    """A node that is made of many keeps its hash, once somebody asks for it."""

    __slots__ = ("_hash",)
    _hash: int


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Combinator(Hashed):
    """A combinator is a node with parts. Subclasses say what becomes of the parts' results."""

    parts: tuple[Part, ...]
    names: tuple[str, ...] = field(compare=False)
    depth: int = field(compare=False)
    roles: ClassVar[tuple[str, ...]] = ()
    arity: ClassVar[tuple[int, int]] = (1, 1_000_000)

    def __init__(self, /, *positional: Node, **named: Node) -> None:
        kind = type(self).__name__
        parts: list[Part] = []
        names: list[str] = []
        depth = 0
        for i, node in enumerate((*positional, *named.values())):
            if not isinstance(node, Node):
                raise ArchitectureError(f"{kind}: expected layers or combinators, received {node!r}")
            if i < len(positional):
                name = self._name(i, node)
                parts.append((name, node))
                names += (name,) if name else node.names
            depth = max(depth, node.depth)
        for name in named:
            if not name or "." in name:
                raise ArchitectureError(f"{kind}: a name must be non-empty and without dots, received {name!r}")
        parts += named.items()
        least, most = self.arity
        if not least <= len(parts) <= most:
            wanted = f"{least}" if least == most else f"at least {least}"
            raise ArchitectureError(f"{kind}: expected {wanted} parts, received {len(parts)}")
        depth += 1
        if depth > MAX_DEPTH:
            raise ArchitectureError(
                f"{kind}: expected combinators at most {MAX_DEPTH} deep, received {depth}; put parts side by side"
            )
        names += (*named, *self._own_names)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ArchitectureError(
                f"{kind}: two parts are called {twice!r}; name the levels (a=..., b=...) or number them with stack(...)"
            )
        object.__setattr__(self, "parts", tuple(parts))
        object.__setattr__(self, "names", tuple(names))
        object.__setattr__(self, "depth", depth)

    @property
    def _own_names(self) -> tuple[str, ...]:
        """Its own row is called so, if it has one."""
        return ()

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash((type(self), self.parts)))
            return hash(self)

    def _name(self, position: int, node: Node) -> str:
        if not isinstance(node, Layer) or node.silent:
            return ""
        return self._role(position, str(position))

    def _role(self, position: int, otherwise: str) -> str:
        return self.roles[position] if position < len(self.roles) else otherwise

    @property
    def positional(self) -> int:
        """So many parts, from the first, stand by position: their names say no more."""
        named = (i for i, (name, node) in enumerate(self.parts) if name != self._name(i, node))
        return next(named, len(self.parts))

    def __iter__(self) -> Iterator[Node]:
        return (node for _, node in self.parts)

    def __repr__(self) -> str:
        numbered = [name for name, _ in self.parts] == [str(i) for i in range(len(self.parts))]
        if self.parts and numbered and isinstance(self, Seq):
            return f"stack({', '.join(repr(node) for node in self)})"
        first = self.positional
        inside = [repr(node) for _, node in self.parts[:first]]
        for name, node in self.parts[first:]:
            plain = name.isidentifier() and name.isascii() and not iskeyword(name)
            inside.append(f"{name}={node!r}" if plain else f"**{{{name!r}: {node!r}}}")
        return f"{type(self).__name__}({', '.join(inside)})"

    def __str__(self) -> str:
        return "\n".join(_lines(self, ""))


def dotted(path: str, name: str) -> str:
    """A part has this name within a level; one that is in place has the level's own."""
    return f"{path}.{name}" if path and name else path or name


def walk(
    node: Node, name: str = "", into: Callable[[str, Combinator], Iterable[Part]] = lambda name, node: node.parts
) -> Iterator[tuple[str, Node]]:
    """It gives the node and all that it holds, in running order, each with its dotted name, a level before its parts.

    ``into`` gives the parts of a combinator that are walked, in place of all.
    """
    yield name, node
    if isinstance(node, Combinator):
        for part, inner in into(name, node):
            yield from walk(inner, dotted(name, part), into)


def _lines(node: Node, name: str) -> Iterator[str]:
    """An expression prints as an indented outline, in which equal neighbours are folded (``1-2``)."""
    label = f"{name} = " if name else ""
    if not isinstance(node, Combinator):
        yield f"{label}{node!r}"
        return
    yield f"{label}{type(node).__name__}("
    for _, run in groupby(
        node.parts, lambda part: part[1] if part[0] and isinstance(part[1], Combinator) else object()
    ):
        (first, inner), *more = run
        yield from (f"  {line}" for line in _lines(inner, f"{first}-{more[-1][0]}" if more else first))
    yield ")"


class Seq(Combinator):
    """y = f_n(...f_2(f_1(x))): the parts run one after the other. The empty sequence is x itself."""

    __slots__ = ()
    arity = (0, 1_000_000)


def stack(*nodes: Node) -> Seq:
    """It gives a ``Seq`` whose parts are the levels 0, 1, 2, ..., as ``nn.Sequential`` names them."""
    return Seq(**{str(i): node for i, node in enumerate(nodes)})


class Operator(Combinator):
    """Every part sees the same x; their results become one."""

    __slots__ = ()
    arity = (2, 1_000_000)

    @property
    def _own_names(self) -> tuple[str, ...]:
        return (self.operation,)

    @property
    def operation(self) -> str:
        """The operator's own row is called so: ``add``, ``concat``, ..."""
        return type(self).__name__.lower()

    def fits(self, shape: Shape, first: Shape) -> bool:
        """Does an operand of this shape go with the first one?"""
        return shape == first

    def combine(self, shapes: list[Shape]) -> Shape:
        """The result has this shape. Raises ShapeError naming the operands that disagree."""
        first = shapes[0]
        names = [self._role(i, name or f"operand {i + 1}") for i, (name, _) in enumerate(self.parts)]
        for name, shape in zip(names, shapes, strict=True):
            if not self.fits(shape, first):
                raise ShapeError(f"the {name} gives {shape_text(shape)}, the {names[0]} {shape_text(first)}")
        return first

    def elementwise(self, output: Shape) -> int:
        """The operator itself takes one operation for each element and operand beyond the first."""
        return (len(self.parts) - 1) * prod(output)


class Add(Operator):
    """H(x) = F(x) + h(x) is the residual sum (He et al. 2015, eq. 1). All shapes must be equal."""

    __slots__ = ()
    kind = "sum"
    roles = ("branch", "shortcut")


class Mul(Operator):
    """value(x) * gate(x) is gated. A gate of 1x1 maps, one number a channel, is broadcast."""

    __slots__ = ()
    kind = "product"
    roles = ("value", "gate")

    def fits(self, shape: Shape, first: Shape) -> bool:
        return shape in (first, (*first[:2], *(1 for _ in first[2:])))


class Concat(Operator):
    """Parallel paths are joined along the channels (Szegedy et al. 2014, figure 2)."""

    __slots__ = ()
    kind = "concatenation"
    roles = tuple(f"branch{i}" for i in range(1, 10))

    def fits(self, shape: Shape, first: Shape) -> bool:
        return len(shape) == len(first) and (shape[0], *shape[2:]) == (first[0], *first[2:])

    def combine(self, shapes: list[Shape]) -> Shape:
        first = super().combine(shapes)
        return (first[0], sum(shape[1] for shape in shapes), *first[2:])

    def elementwise(self, output: Shape) -> int:
        return 0


class Highway(Operator):
    """g(x) F(x) + (1 - g(x)) h(x) is exclusive gating (He et al. 2016, figure 2c; Srivastava et al. 2015)."""

    __slots__ = ()
    kind = "product"
    roles = ("gate", "branch", "shortcut")
    arity = (3, 3)

    def elementwise(self, output: Shape) -> int:
        return 4 * prod(output)

    def kept_bytes(self, output: Shape) -> int:
        """1 - g."""
        return FP32_BYTES * prod(output)


class Aux(Combinator):
    """An auxiliary classifier gives x on unchanged, and in training also head(x) as a further output.

    At inference the head does not run: its parameters count, its work does not.
    """

    __slots__ = ()
    arity = (1, 1)
