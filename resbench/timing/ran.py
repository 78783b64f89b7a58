"""What really ran is read back, product by product, in the process that was timed and behind its timing.

A model file may bring its own precision, set the number of threads, switch a library off. What was asked for labels
nothing then; this does, in the words that stand under a table and the keys that stand in JSON, and chooses the roof.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resbench.counters.watch import layout_of
from resbench.operators.composites import by_parts
from resbench.operators.dispatch import operator_of
from resbench.operators.products import packed_weights
from resbench.workers.compiled import as_written, runs_compiled
from resbench.workers.control_flow import ControlFlow, is_hidden
from resbench.workers.optimizers import MOMENTUM
from resbench.workers.switches import float32_in, unasked, unfused
from resbench.workers.workload import COMPILE, EAGER, Setup, Workload

LEAST = 0.01
"""A kind of product with less than this share of the MACs changes no label: one roof holds for the rest."""

WORDS = {torch.float64: "fp64", torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
"""The dtypes are called so; others go by torch's own names."""

UNCOMPILED = "Of compiled code, bytes and memory are those of its operators run one by one."


@dataclass(frozen=True)
class Ran:
    """This says what was in force while a workload ran; where it was mixed, what did most of the MACs comes first."""

    products: tuple[tuple[str, int], ...]
    """Its matrix products and convolutions have these dtypes, with the MACs in each; empty where it has none."""
    device: str
    threads: tuple[int, ...]
    asked_threads: int
    """So many were asked for; without that it is torch's own choice, before the model was made."""
    memory_format: str
    """The images that convolutions give have it; it is empty where there are none, or it is the same in both."""
    compiled: bool
    """This tells whether compiled code runs in it."""
    switches: tuple[str, ...] = ()
    """These choices of the whole process differ from torch's own."""

    derived: ClassVar = ("dtype",)

    @property
    def dtype(self) -> str:
        """Return ``bf16``, or ``fp32+bf16 mixed``; it is empty where there is no product."""
        mixed = _most(dict(self.products))
        return f"{'+'.join(mixed)} mixed" if len(mixed) > 1 else "".join(mixed)

    @property
    def threads_words(self) -> str:
        """Return ``1 thread``, ``2 threads``, ``2 and 1 threads``."""
        return f"{' and '.join(map(str, self.threads))} thread{'s' if self.threads != (1,) else ''}"

    def differences(self, setup: Setup) -> list[str]:
        """Say in words where it is not what was asked for."""
        asked = f"{self.asked_threads} {'were asked for' if setup.threads else 'are the choice of torch'}"
        pairs = (
            (self.dtype, setup.dtype, f"its products ran in {self.dtype}, {setup.dtype} was asked for"),
            (self.device, setup.device, f"they ran on {self.device}, {setup.device} was asked for"),
            (self.threads, (self.asked_threads,), f"it ran with {self.threads_words}, {asked}"),
            (
                self.memory_format,
                setup.memory_format,
                f"its images were {self.memory_format}, {setup.memory_format} was asked for",
            ),
        )
        found = [words for ran, wanted, words in pairs if ran and ran != wanted]
        if self.compiled != setup.compile:
            found.append("compiled code of its own ran in it" if self.compiled else "no compiled code ran in it")
        return [*found, *self.switches]


class _Conditions(NamedTuple):
    """One product runs under these conditions."""

    dtype: str
    device: str
    threads: int
    layout: str
    switches: tuple[str, ...]


class _Observer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The observer books the MACs of every product on the conditions that it runs under."""

    supports_higher_order_operators = True

    def __init__(self, work: Workload) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.setup = work.setup
        self.device = torch.empty(0, device=work.setup.device).device  # ``cuda:0`` of ``cuda``, as a tensor says it
        self.found: Counter[_Conditions] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_hidden(func):
            return func(*args, **(kwargs or {}))
        if (out := by_parts(self, func, args, kwargs)) is not NotImplemented:
            return out
        out = func(*args, **(kwargs or {}))
        operator = operator_of(func)
        macs = operator.rule(args, out)[0] if operator and operator.type else 0
        if operator and macs:
            self.found[self._conditions(func, _operands(args, operator.kind), out)] += macs
        return out

    def _conditions(self, func: Any, operands: list[Tensor], out: Any) -> _Conditions:
        device = operands[0].device
        convolves = "conv" in func.overloadpacket._qualified_op_name
        dtypes = sorted({_word(tensor, convolves) for tensor in operands})
        images = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)] if convolves else []
        return _Conditions(
            "x".join(dtypes),
            self.setup.device if device == self.device else str(device),
            torch.get_num_threads(),
            (layout_of(images[0]) if images else None) or "",
            unasked(device.type, self.setup.mode == "inference"),
        )


def observed(work: Workload) -> Ran:
    """Observe a workload that is ready and has been timed; it is run once or twice more."""
    observer, setup = _Observer(work), work.setup
    with as_written(), unfused():
        for _, phase in work.phases:
            with observer, ControlFlow():
                phase()
    unasked_now = unasked(setup.kind, setup.mode == "inference")
    found = observer.found or {_Conditions("", setup.device, torch.get_num_threads(), "", unasked_now): 1}
    switches: Counter[str] = Counter()
    for conditions, macs in found.items():
        switches.update(dict.fromkeys(conditions.switches, macs))
    return Ran(
        products=tuple(_by(observer.found, "dtype").most_common()),
        device="+".join(_most(_by(found, "device"))),
        threads=tuple(_most(_by(found, "threads"))),
        asked_threads=work.asked_threads,
        memory_format="+".join(_most(_by(found, "layout"))),
        compiled=runs_compiled(work),
        switches=tuple(switch for switch, macs in switches.items() if macs >= LEAST * sum(found.values())),
    )


def counted_as_written(setup: Setup, ran: Ran | None) -> bool:
    """Tell whether bytes and memory are those of code as written; an NVIDIA GPU states the peak of compiled parts."""
    return setup.compile or (ran is not None and ran.compiled and not setup.device.startswith("cuda"))


def ran_lines(name: str, setup: Setup, ran: Ran | None) -> list[str]:
    """Say in a line where what ran is not what was asked for."""
    differs = ran.differences(setup) if ran else []
    return [f"{name}: {'; '.join(differs)}."] if differs else []


def setup_lines(rows: Iterable[tuple[str, Setup, Ran | None]]) -> list[str]:
    """Return the line of the setup under a table, as it ran; a line for each where the rows ran in several."""
    models: dict[str, list[str]] = {}
    for model, setup, ran in rows:
        models.setdefault(setup_words(setup, ran), []).append(model)
    if len(models) < 2:
        return [f"Setup: {words}." for words in models]
    return [f"Setup of {', '.join(dict.fromkeys(names))}: {words}." for words, names in models.items()]


def setup_words(setup: Setup, ran: Ran | None = None) -> str:
    """Return ``cpu, fp32, contiguous, inference, warm caches``: what ran, or what was asked for if that is unknown."""
    threads = f"{setup.threads} threads" if setup.threads else ""
    where = [setup.device, setup.dtype, setup.memory_format]
    compiled, switches = setup.compile, tuple[str, ...]()
    elsewhere = "" if setup.runtime in (EAGER, COMPILE) else f"in {setup.runtime}"
    if ran:
        where = [a or b for a, b in zip((ran.device, ran.dtype, ran.memory_format), where, strict=True)]
        threads = ran.threads_words if threads or ran.threads != (ran.asked_threads,) else ""
        compiled, switches = ran.compiled, ran.switches
    mode = setup.mode if setup.optimizer == MOMENTUM else f"{setup.mode} by {setup.optimizer}"
    words = [*where, mode, f"{setup.cache} caches", "compiled" if compiled else "", elsewhere, threads]
    return ", ".join([*filter(None, words), *switches])


def _by(found: Mapping[_Conditions, int], key: str) -> Counter[Any]:
    """Add up the MACs by one of the conditions; those of which it says nothing are left out."""
    sums: Counter[Any] = Counter()
    for conditions, macs in found.items():
        if getattr(conditions, key):
            sums[getattr(conditions, key)] += macs
    return sums


def _most(macs: Mapping[Any, int]) -> list[Any]:
    """Return what did most of them first; what did less than LEAST of them is left out."""
    total = sum(macs.values())
    return [key for key, count in Counter(macs).most_common() if count >= LEAST * total]


def _operands(args: Any, kind: str) -> list[Tensor]:
    """Return the tensors that are multiplied: biases and offsets have one dimension; of a product of vectors, all.

    An attention's come first; behind them stand sums that it keeps in full precision.
    """
    tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
    if kind == "attention":
        return tensors[:3]
    tensors += packed_weights(args)
    return [tensor for tensor in tensors if tensor.dim() > 1] or tensors


def _word(tensor: Tensor, convolves: bool) -> str:
    if tensor.dtype == torch.float32:
        return float32_in(tensor.device.type, convolves)
    return WORDS.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
