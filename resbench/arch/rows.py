"""A cost is rows, one a layer in running order; a level of it is their sums."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

from resbench.arch.algebra import Shape
from resbench.arch.kinds import Kind
from resbench.arch.levels import blocks, stages
from resbench.arch.windows import Sight
from resbench.errors import OptionError

Level = Literal["model", "stage", "block", "layer"]
Mode = Literal["inference", "training"]


class Row(NamedTuple):
    """A row is one layer, or a group of them, as counted for the whole batch. What is not known is None."""

    name: str
    type: str
    output: Shape
    params: int
    macs: int
    elementwise: int
    activations: int | None
    """A layer has these output elements, a group their sum. None where a layer returns what nobody sees into."""
    trainable: int | None = None
    """Training changes these parameters; the others are frozen."""
    param_bytes: int | None = None
    """The parameters take this in their own types."""
    buffer_bytes: int | None = None
    """What is held and not learned takes this, such as running statistics."""
    activation_bytes: int | None = None
    """The outputs take this in their own types."""
    backward_macs: int | None = None
    """The gradients that training needs take these; None at inference."""

    kind: Kind | None = None
    """It is of this kind (``resbench.arch.kinds``); None of a group, and where an earlier version counted."""
    reads: tuple[int, ...] = ()
    """It takes the outputs of the rows at these places, ascending."""
    keeps: tuple[int, ...] = ()
    """Its gradients are computed from the outputs of the rows at these places, its own perhaps among them."""
    kept_bytes: int = 0
    """They need so much else, such as masks and indices."""
    sees: tuple[Sight, ...] | None = None
    """A position of its output sees these positions of rows, or of the network's input; None of a group, and where an
    earlier version counted."""

    @property
    def flops(self) -> int:
        """FLOPs are 2 x MACs."""
        return 2 * self.macs

    def times(self, count: int) -> Self:
        """So many of it stand in one row."""
        values: tuple[Any, ...] = self
        numbers = [None if number is None else count * number for number in values[NUMBERS]]
        return type(self)(*values[: NUMBERS.start], *numbers)

    def idle(self) -> Self:
        """It does not run; its parameters remain."""
        idle = self._replace(macs=0, elementwise=0, activations=0, activation_bytes=0)
        return idle._replace(reads=(), keeps=(), kept_bytes=0, sees=())


class Hold(NamedTuple):
    """A run of eager torch holds the output of a row in memory so."""

    room: int
    """It lies in what the row at this place took: itself, or an earlier one where it is written in place or is another
    look at that."""
    until: int
    """At inference that is held at least until the row at this place has run; its readers may hold it longer."""
    passing_bytes: int = 0
    """So much more is held for a moment while the row runs."""


class Fork(NamedTuple):
    """Values decide here which way a run goes, or how often it goes round."""

    name: str
    """It is called as its row would be: ``layer1.cond``."""
    macs: tuple[int, ...]
    """These are of both branches, of which the larger counts; of a loop those of one iteration, which counts once."""


NUMBERS = slice(Row._fields.index("params"), Row._fields.index("backward_macs") + 1)
NOTHING = (0,) * len(Row._fields[NUMBERS])


@dataclass(frozen=True)
class Cost:
    """One network has these rows for one input, in the order in which they run."""

    model: str
    source: str
    input: Shape
    layers: tuple[Row, ...]
    uncounted: tuple[tuple[str, int], ...] = ()
    """These operators have no formula, and ran so often; the fold has none."""
    kinds: tuple[tuple[str, int], ...] = ()
    """A traced model has these MACs by kind of operator (for kinds without MACs, elementwise operations)."""
    mode: Mode = "inference"
    complex: bool = False
    """It says whether complex numbers were multiplied, at four real MACs each."""
    made: tuple[str, ...] = ()
    """These were made while the forward ran: they count, though the model did not hold them."""
    held: tuple[Hold, ...] = ()
    """A trace saw how the output of each row is held; the fold does not say, nor did an earlier version."""
    input_bytes: int | None = None
    """All inputs together take so much; the fold does not say, whose one input has the width of the weights."""

    forks: tuple[Fork, ...] = ()
    """Here the count is not that of every run; the fold has none, and where a loop's length is known it counts."""

    remarks: tuple[str, ...] = ()
    """A source says this of what it holds, each as a clause; the fold and the tracer say nothing."""

    derived: ClassVar = (
        *("params", "macs", "flops", "elementwise", "activations"),
        *("trainable", "param_bytes", "buffer_bytes", "activation_bytes", "backward_macs"),
    )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Name the layers of no known kind, of which nobody knows what they keep for the backward pass."""
        return tuple(row.name for row in self.layers if row.kind == "unknown")

    @property
    def is_least(self) -> bool:
        """Tell whether a run takes more: something has no formula, or goes round nobody knows how often."""
        return bool(self.uncounted) or any(len(fork.macs) == 1 for fork in self.forks)

    @property
    def total(self) -> Row:
        """Sum all layers into one row."""
        return sum_rows(self.model, "model", self.layers)

    @property
    def params(self) -> int:
        return sum(row.params for row in self.layers)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.layers)

    @property
    def flops(self) -> int:
        return 2 * self.macs

    @property
    def elementwise(self) -> int:
        return sum(row.elementwise for row in self.layers)

    @property
    def activations(self) -> int | None:
        return self.total.activations

    @property
    def trainable(self) -> int | None:
        return self.total.trainable

    @property
    def param_bytes(self) -> int | None:
        return self.total.param_bytes

    @property
    def buffer_bytes(self) -> int | None:
        return self.total.buffer_bytes

    @property
    def activation_bytes(self) -> int | None:
        return self.total.activation_bytes

    @property
    def backward_macs(self) -> int | None:
        """Sum the MACs for the gradients of weights and inputs; None at inference."""
        return self.total.backward_macs

    def per(self, level: Level) -> tuple[Row, ...]:
        """Sum the rows by model, stage, block or layer (``resbench.arch.levels`` says where a layer lies)."""
        match level:
            case "model":
                return (self.total,)
            case "stage":
                return _group(self.layers, level, stages)
            case "block":
                return _group(self.layers, level, blocks)
            case "layer":
                return self.layers
        raise OptionError(f"a report is per {', '.join(get_args(Level))}; received {level!r}")


def _group(rows: Sequence[Row], type: str, level: Callable[[Sequence[str]], Callable[[str], str]]) -> tuple[Row, ...]:
    """Sum by level, groups in order of first appearance (a module that runs twice is one group)."""
    key, groups = level([row.name for row in rows]), dict[str, list[Row]]()
    for row in rows:
        groups.setdefault(key(row.name), []).append(row)
    return tuple(
        sum_rows(name, type, group) if len(group) > 1 else group[0]._replace(name=name)
        for name, group in groups.items()
    )


def sum_rows(name: str, type: str, rows: Sequence[Row]) -> Row:
    """Make one row of several; a number is None in it as soon as it is not known of one of them."""
    sums = [None if None in column else sum(column) for column in zip(*(row[NUMBERS] for row in rows), strict=True)]
    return Row(name, type, rows[-1].output if rows else (), *(sums or NOTHING))
