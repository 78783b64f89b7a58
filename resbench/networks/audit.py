"""The question `models --audit` holds the figures of costs that are in print against exact counts.

A figure is *exact* where every digit is, *rounded* where it is the count to its digits, and *explained* where a
convention of its source gives it, or another form of the network, for this network and a second one of that source.
It is that of *another network* where one of that name has it, which the catalog has as an option. All other figures
are *unexplained*. Nobody writes a verdict down.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import ClassVar, Literal, NamedTuple, get_args

from resbench.arch.catalog import architecture, find, parse_size
from resbench.arch.conventions import Counted, counted
from resbench.arch.profilers import CONVENTIONS
from resbench.arch.published import SOURCES, PrintedCost, agrees, is_exact, literature, value
from resbench.errors import OptionError
from resbench.result import Result
from resbench.tables.table import Column, Kind, Table
from resbench.units import plural

Verdict = Literal["exact", "rounded", "explained", "another network", "unexplained"]

FORMS = {"form=deployed": "its deployed form"}
"""These options give another form of the same network; any other gives another network."""

ZOOS = ("torchvision", "timm", "openmmlab", "keras")
SECOND = 2
"""An explanation holds for so many networks of its source, or is none."""


class Audited(NamedTuple):
    """This is one figure in print, and what is counted of its network at its input."""

    model: str
    quantity: str
    """The figure is one of ``params`` or ``macs``."""
    printed: str
    word: str
    source: str
    place: str
    read: str
    input: str
    params: int
    macs: int
    elementwise: int
    ratio: float
    """The printed figure is so many times the exact one."""
    verdict: Verdict
    explanation: str
    torchvision: str = ""
    timm: str = ""
    openmmlab: str = ""
    keras: str = ""


_NUMBERS: Mapping[str, Kind] = {"params": "exact", "macs": "exact", "elementwise": "exact", "ratio": "ratio"}
ALL = tuple(Column(key, key, _NUMBERS.get(key, "text")) for key in Audited._fields)
_TITLES = {"another network": "another", "unexplained": "neither"}
BY_SOURCE = (
    Column("source", "source", "prose"),
    Column("quantity", "of"),
    *(Column(verdict, _TITLES.get(verdict, verdict), "exact") for verdict in get_args(Verdict)),
)
DIFFERENT = (
    Column("verdict", "verdict"),
    Column("source", "source", "prose"),
    Column("explanation", "the printed figure is", "prose"),
    Column("networks", "networks", "prose"),
)
LISTED = (
    Column("model", "model"),
    Column("printed", "printed"),
    Column("verdict", "verdict"),
    Column("source", "source", "prose"),
    Column("ratio", "of exact", "ratio"),
    Column("counted", "exact", "exact"),
    Column("input", "input"),
    Column("explanation", "the printed figure is", "prose"),
)
NOTES = (
    "exact: every digit; rounded: to the digits printed; explained: a formula that holds for two networks of the "
    "source; another network: one of that name has it; neither of these: unexplained.",
    "`resbench models WORD --audit` shows each figure of a network, family or source; --format csv has all, with "
    "where each was read.",
)
FEW = 60
"""So many figures stand in a table one by one; of more there are sums."""


@dataclass(frozen=True, repr=False)
class Audit(Result):
    """An audit holds figures in print, each with its verdict."""

    figures_in_print: tuple[Audited, ...] = ()

    kind: ClassVar = "models --audit"
    members: ClassVar = "figures_in_print"

    def tables(self) -> list[Table]:
        if len(self.figures_in_print) <= FEW:
            return [Table(LISTED, [_listed(one) for one in self.figures_in_print], notes=NOTES[:1])]
        networks = len({one.model.partition(",")[0] for one in self.figures_in_print})
        title = f"{plural(len(self.figures_in_print), 'figure')} in print of {plural(networks, 'network')}"
        by_source = Table(BY_SOURCE, list(_by_source(self.figures_in_print)), title, footer=[self._total()])
        return [by_source, Table(DIFFERENT, list(_different(self.figures_in_print)), "What they are", NOTES)]

    def flat(self) -> Table:
        return Table(ALL, self.figures_in_print)

    def _total(self) -> Sequence[object]:
        counts = Counter(one.verdict for one in self.figures_in_print)
        return ("all", "", *(counts[verdict] for verdict in get_args(Verdict)))


def audit(filter: str = "") -> Audit:
    """Hold every figure in print of the networks, families or sources that contain a word against exact counts.

    Raises OptionError where nothing contains it.
    """
    every = _audited()
    word = filter.lower()
    found = [one for one in every if word in f"{one.model} {find(_base(one.model)).family} {one.source}".lower()]
    if not found:
        raise OptionError(
            f"no figure in print is of a network, family or source that contains {filter!r}; `resbench models --audit` "
            f"sums them all up"
        )
    return Audit(tuple(found))


class Finding(NamedTuple):
    """A figure is read so: by a form of the network, and by a convention; both are empty where it is the count."""

    line: PrintedCost
    quantity: str
    printed: str
    number: int
    option: str = ""
    convention: str = ""
    found: bool = True


@cache
def _audited() -> tuple[Audited, ...]:
    findings = [one for line in literature() for one in _findings(line)]
    holding: defaultdict[tuple[str, str, str, str], set[str]] = defaultdict(set)
    for one in findings:
        holding[_explaining(one)].add(one.line.base)
    zoos = _zoos()
    return tuple(_judged(one, len(holding[_explaining(one)]), zoos) for one in findings)


def _explaining(one: Finding) -> tuple[str, str, str, str]:
    """A convention explains a network of any other option as it does one without."""
    form = one.option if one.option in FORMS or not one.convention else ""
    return one.line.source, one.quantity, form, one.convention


def _findings(line: PrintedCost) -> Iterator[Finding]:
    """Read each figure of a line: as the count, as that of its own form, or by the first convention that gives it."""
    named, option = _count(line.network, line.input), line.network.partition(",")[2]
    plain = _count(line.base, line.input) if option else named
    conventions = [(text, CONVENTIONS[text]) for text in SOURCES[line.source].conventions]
    for quantity in ("params", "macs"):
        if not (printed := getattr(line, quantity)):
            continue
        exact = attrgetter(quantity)
        part = option if exact(named) != exact(plain) else ""
        readings = [
            Finding(line, quantity, printed, exact(plain)),
            Finding(line, quantity, printed, exact(named), part),
            *(
                Finding(line, quantity, printed, formula(net), form, text)
                for net, form in ((named, part), (plain, ""))
                for text, formula in conventions
                if ("parameters" in text) == (quantity == "params")
            ),
        ]
        fits = (one for one in readings if agrees(one.number, printed))
        yield next(fits, readings[0]._replace(found=False))


@cache
def _count(network: str, input: str) -> Counted:
    net = architecture(network)
    return counted(net if parse_size(input) == net.input else architecture(f"{network},input={input}"))


def _judged(one: Finding, networks: int, zoos: dict[tuple[str, str], dict[str, str]]) -> Audited:
    """Judge a figure; ``networks`` are those of its source that are read the same way."""
    line, source = one.line, SOURCES[one.line.source]
    net = _count(line.base, line.input)
    verdict, explanation = _verdict(one, networks)
    exact = getattr(net, one.quantity)
    word = source.word if one.quantity == "macs" else "parameters"
    return Audited(
        line.network,
        one.quantity,
        one.printed,
        word,
        source.title,
        source.place,
        source.read,
        line.input,
        net.params,
        net.macs,
        net.elementwise(),
        value(one.printed) / exact,
        verdict,
        explanation,
        **zoos.get((line.base, one.quantity), {}),
    )


def _verdict(one: Finding, networks: int) -> tuple[Verdict, str]:
    if not one.found:
        return "unexplained", ""
    if not one.option and not one.convention:
        return ("exact" if is_exact(one.printed) else "rounded"), ""
    what = [*filter(None, (FORMS.get(one.option, one.option), one.convention))]
    other = one.option and one.option not in FORMS
    if networks < SECOND and (one.convention or not other):
        return "unexplained", ""
    return ("another network" if other else "explained"), "; ".join(what)


def _zoos() -> dict[tuple[str, str], dict[str, str]]:
    """What each zoo prints of a network: the figures of its first line."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in literature():
        if zoo := SOURCES[line.source].zoo:
            for quantity in ("params", "macs"):
                if printed := getattr(line, quantity):
                    found.setdefault((line.base, quantity), {}).setdefault(zoo, printed)
    return found


def _base(model: str) -> str:
    return model.partition(",")[0]


def _by_source(figures: Sequence[Audited]) -> Iterator[Sequence[object]]:
    counts = Counter((one.source, one.quantity, one.verdict) for one in figures)
    for source, quantity in dict.fromkeys((one.source, one.quantity) for one in figures):
        yield (source, quantity, *(counts[source, quantity, verdict] or None for verdict in get_args(Verdict)))


def _different(figures: Sequence[Audited]) -> Iterator[Sequence[object]]:
    """Group the figures that are not the count by verdict, source and explanation."""
    groups: defaultdict[tuple[str, str, str], list[Audited]] = defaultdict(list)
    for one in figures:
        if one.verdict not in ("exact", "rounded"):
            groups[one.verdict, one.source, one.explanation or _span(one, figures)].append(one)
    order = get_args(Verdict)
    for (verdict, source, explanation), members in sorted(groups.items(), key=lambda item: order.index(item[0][0])):
        yield verdict, source, explanation, _several(list(dict.fromkeys(one.model for one in members)))


def _span(one: Audited, figures: Sequence[Audited]) -> str:
    """Say between which ratios a source's unexplained figures lie."""
    alike = [
        other.ratio
        for other in figures
        if (other.source, other.quantity, other.verdict) == (one.source, one.quantity, one.verdict)
    ]
    low, high = f"{min(alike):.3f}", f"{max(alike):.3f}"
    return f"{low if low == high else f'{low} to {high}'} of the {'parameters' if one.quantity == 'params' else 'MACs'}"


def _several(names: list[str], most: int = 3) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _listed(one: Audited) -> Sequence[object]:
    exact = one.params if one.quantity == "params" else one.macs
    printed = f"{one.printed} {one.word}".strip()
    return one.model, printed, one.verdict, one.source, one.ratio, exact, one.input, one.explanation
