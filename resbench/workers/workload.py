"""A workload is a model that is made ready to run in a frozen setup.

>>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
>>> work = Workload(net, (2, 3, 8, 8), Setup(batch=2, mode="training"))
>>> [name for name, _ in work.phases]
['forward', 'backward', 'step']
>>> with work.ready():
...     work.run()
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.utils._pytree import tree_leaves, tree_map_only

from resbench.errors import MeasureError, OptionError, first_line, foreign, message
from resbench.given import device_name
from resbench.workers.optimizers import MOMENTUM, check_optimizer, standing
from resbench.workers.switches import attribute, put_back

Dtype = Literal["fp32", "tf32", "bf16", "fp16", "int8"]
MemoryFormat = Literal["contiguous", "channels_last"]
Mode = Literal["inference", "training"]
Cache = Literal["warm", "cold"]
"""The processor's caches are left as the run before left them, or overwritten before each run."""

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""The model stays in float32; operators that gain from it run in these types."""

EAGER, COMPILE = "eager", "compile"
"""Torch runs a module in these two ways: as it is written, and through ``torch.compile``. Every other runtime runs a
file that was written of it; see ``resbench.timing.runtimes``."""

MOST_THREADS = 4096
"""Torch that is told a million takes the interpreter down; the command line has the same limit."""

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Setup:
    """A setup is everything about a measurement but the model.

    ``threads`` is the number that PyTorch's operators use on the CPU; None leaves it to torch. Raises OptionError or
    MeasureError for a setup that no machine can have.
    """

    device: str = "cpu"
    batch: int = 1
    dtype: Dtype = "fp32"
    memory_format: MemoryFormat = "contiguous"
    mode: Mode = "inference"
    cache: Cache = "warm"
    runtime: str = EAGER
    threads: int | None = None
    optimizer: str = MOMENTUM

    @classmethod
    def of_earlier(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read what earlier versions wrote: a setup was compiled or not."""
        return {"runtime": COMPILE, **data} if data.get("compile") is True else data

    def __post_init__(self) -> None:
        for name, words in {"dtype": Dtype, "memory_format": MemoryFormat, "mode": Mode, "cache": Cache}.items():
            if getattr(self, name) not in get_args(words):
                raise OptionError(f"{name} takes {', '.join(get_args(words))}; received {getattr(self, name)!r}")
        for name in ("batch", "threads"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise OptionError(f"expected {name} of at least 1, received {value!r}")
        if self.threads is not None and self.threads > MOST_THREADS:
            raise OptionError(f"expected threads of at most {MOST_THREADS}, received {self.threads}")
        if type(self.runtime) is not str:
            raise OptionError(f"runtime takes a name such as {EAGER} or {COMPILE}; received {self.runtime!r}")
        device_name(self.device)
        check_optimizer(self.optimizer)
        if self.optimizer != MOMENTUM and self.mode != "training":
            raise OptionError(f"{self.optimizer} steps in training: expected --mode training with it")
        if self.dtype == "int8" and self.runtime in (EAGER, COMPILE):
            raise OptionError(
                "int8 is of files with integer weights: expected --quantize int8 with --runtime onnxruntime or openvino"
            )
        if self.dtype == "tf32" and self.kind != "cuda":
            raise MeasureError("tf32 is a format of NVIDIA GPUs: expected --device cuda with it; try fp32 or bf16")

    @property
    def place(self) -> str:
        """Return ``onnxruntime``, or ``onnxruntime int8`` where its weights and products are integers."""
        return f"{self.runtime} int8" if self.dtype == "int8" else self.runtime

    @property
    def anywhere(self) -> "Setup":
        """Return the same without what ``place`` says: rows in several runtimes share it."""
        return replace(self, runtime=EAGER, dtype="fp32" if self.dtype == "int8" else self.dtype)

    @property
    def compile(self) -> bool:
        """Tell whether it goes through ``torch.compile``."""
        return self.runtime == COMPILE

    @property
    def kind(self) -> str:
        """Return ``cuda`` of ``cuda:1``."""
        return self.device.partition(":")[0]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Set the global switches that the setup stands for, and put them back afterwards.

        They are the precision of float32 products, cuDNN's search for the fastest, and the threads where it names a
        number. What else the program has chosen stays (oneDNN off, deterministic algorithms, ...), and the model's
        forward may choose again: ``resbench.timing.ran`` says what held while it ran. Raises MeasureError where this
        machine cannot run it.
        """
        check_device(self.device)
        switches = [*_precisions(self.dtype), (torch.backends.cudnn, "benchmark", True)]
        settings = (attribute(place, name) for place, name, _ in switches)
        with put_back((torch.get_num_threads, torch.set_num_threads), *settings):
            if self.threads:
                torch.set_num_threads(self.threads)
            for place, name, value in switches:
                setattr(place, name, value)
            yield


def _precisions(dtype: Dtype) -> list[tuple[Any, str, Any]]:
    """Return what makes a float32 product run in float32, or in tf32, whatever the program asked for before."""
    backends, tf32 = torch.backends, dtype == "tf32"
    if not hasattr(backends.cuda.matmul, "fp32_precision"):  # torch before 2.9
        return [(backends.cuda.matmul, "allow_tf32", tf32), (backends.cudnn, "allow_tf32", tf32)]
    nvidia = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)  # type: ignore[attr-defined]
    intel = (backends.mkldnn.matmul, backends.mkldnn.conv)  # type: ignore[attr-defined]
    return [
        *((place, "fp32_precision", "tf32" if tf32 else "ieee") for place in nvidia),
        *((place, "fp32_precision", "ieee") for place in intel),
    ]


def wants_gradients(error: BaseException) -> bool:
    """Tell whether a forward failed because it takes gradients itself (a force from an energy), and there were none."""
    return "not require grad" in message(error)


def check_device(device: str) -> None:
    """Raise MeasureError unless torch can run there."""
    kind, index = device_name(device)
    if kind == "cuda" and not torch.cuda.is_available():
        why = "torch is a CPU build" if torch.version.cuda is None else "torch sees no NVIDIA GPU"
        raise MeasureError(f"no CUDA here ({why}); `resbench doctor` says more; use --device cpu")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise MeasureError(f"no {device}: there are {torch.cuda.device_count()} GPUs, counted from 0")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise MeasureError(f"no Apple GPU here ({platform.system()}); use --device cpu")


@contextmanager
def repeatable(device: str, threads: int | None = None) -> Iterator[None]:
    """Make the same numbers again, in full precision; the program's own draws go on as if none had been made.

    A sum depends in its last bits on the ``threads`` that share it.
    """
    cudnn, devices = torch.backends.cudnn, [torch.device(device)] if device.startswith("cuda") else []
    with (
        torch.random.fork_rng(devices),
        Setup(device, threads=threads).applied(),
        put_back(attribute(cudnn, "deterministic")),
    ):
        cudnn.benchmark, cudnn.deterministic = False, True
        yield


def own_threads(device: str, threads: int | None = None) -> int | None:
    """Return the threads that are asked for, or torch's own number; on a GPU the answer is None, for nothing depends
    on them."""
    return (torch.get_num_threads() if threads is None else threads) if device == "cpu" else None


class Workload:
    """A workload is a model on its device, with inputs; its ``phases`` run in this order, and are timed apart.

    ``inputs``: the shape (N, C, H, W) of random numbers, or arguments in their order or by name; tensors on the meta
    device among them get random values. The model is moved, its mode set. Training is one step of the optimiser on the
    mean of the outputs, at a learning rate of 0: all of the work, and the weights stay where they were however often it
    runs. ``own_threads``: torch's own choice, where making the model may
    have changed it.
    """

    batched: bool = True
    """The first axis of its first input is the batch."""

    def __init__(
        self,
        model: nn.Module,
        inputs: tuple[Any, ...] | Mapping[str, Any],
        setup: Setup,
        own_threads: int | None = None,
    ) -> None:
        check_device(setup.device)
        self.setup = setup
        self.asked_threads: int = setup.threads or own_threads or torch.get_num_threads()
        self.model = model.to(setup.device)
        placed = tree_map_only(Tensor, self._placed, called_with(inputs, model, setup.device))
        self.inputs: tuple[Any, ...] = placed[0]
        self.named: dict[str, Any] = placed[1]
        if any(isinstance(m, LazyModuleMixin) and m.has_uninitialized_params() for m in model.modules()):
            with torch.no_grad():
                model(*self.inputs, **self.named)
        _lay_out(model, setup.memory_format)
        model.train(setup.mode == "training")
        self.call: Callable[..., Any] = torch.compile(model) if setup.compile else model
        self.loss: Tensor | None = None
        if setup.mode == "training":
            trained = [p for p in model.parameters() if p.requires_grad]
            if not trained:
                raise MeasureError(f"{type(model).__name__} has no parameter to train; use --mode inference")
            self.optimizer = standing(setup.optimizer, trained)

    @property
    def phases(self) -> tuple[tuple[str, Callable[[], object]], ...]:
        """Return what a run does, in this order, by name; kept, they would keep the model."""
        if self.setup.mode == "training":
            return ("forward", self._forward), ("backward", self._backward), ("step", self._step)
        return (("forward", self._infer),)

    @property
    def called(self) -> tuple[Any, ...] | dict[str, Any]:
        """Return the arguments, by name where they have names."""
        return self.named or self.inputs

    @property
    def tensors(self) -> list[Tensor]:
        """Return the tensors among the inputs."""
        return [leaf for leaf in tree_leaves((self.inputs, self.named)) if isinstance(leaf, Tensor)]

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Apply the setup, and record gradients only where they are needed."""
        with self.setup.applied(), torch.set_grad_enabled(self.setup.mode == "training"):
            yield

    def run(self) -> None:
        """Run every phase once."""
        for _, phase in self.phases:
            phase()

    def finish(self) -> None:
        """Wait until the device has done what it was given."""
        if self.setup.kind == "cuda":
            torch.cuda.synchronize(self.setup.device)
        elif self.setup.kind == "mps":
            torch.mps.synchronize()

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.detach().to(self.setup.device)
        return tensor.contiguous(memory_format=FORMATS[self.setup.memory_format]) if tensor.dim() == 4 else tensor

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which the forward pass runs."""
        dtype = AUTOCAST.get(self.setup.dtype)
        return torch.autocast(self.setup.kind, dtype) if dtype else nullcontext()

    def _infer(self) -> Any:
        with self.autocast():
            try:
                return self.call(*self.inputs, **self.named)
            except RuntimeError as error:
                if torch.is_grad_enabled() or not wants_gradients(error):
                    raise
            self.call = torch.enable_grad()(self.call)
            return self.call(*self.inputs, **self.named)

    def _forward(self) -> None:
        outputs = self._infer()
        answers = [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.requires_grad]
        if not answers:
            raise MeasureError(f"{type(self.model).__name__} gives nothing that has a gradient; use --mode inference")
        self.loss = torch.stack([answer.float().mean() for answer in answers]).sum()

    def _backward(self) -> None:
        assert self.loss is not None
        self.loss.backward()  # type: ignore[no-untyped-call]
        self.loss = None

    def _step(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Call(Workload):
    """A function is a workload of one phase, without layers."""

    def __init__(self, function: Callable[[], object], setup: Setup) -> None:
        self.setup, self.model, self.inputs, self.named, self.loss = setup, nn.Module(), (), {}, None
        self.asked_threads = setup.threads or torch.get_num_threads()
        self.call = function

    @property
    def phases(self) -> tuple[tuple[str, Callable[[], object]], ...]:
        """Return the function alone."""
        return (("forward", self.call),)


def _lay_out(model: nn.Module, memory_format: MemoryFormat) -> None:
    """Lay the weights out in that format. Raises OptionError where they cannot be."""
    name = type(model).__name__
    with foreign(OptionError, lambda e: f"{name} cannot be in {memory_format} ({first_line(e)}): expected contiguous"):
        model.to(memory_format=FORMATS[memory_format])  # type: ignore[call-overload]


def called_with(
    inputs: tuple[Any, ...] | Mapping[str, Any], model: nn.Module, device: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return positional and named arguments: random numbers of that shape, in the model's precision, or the tensors
    that are given, where they have no values with those that are drawn for them."""
    if isinstance(inputs, tuple) and inputs and all(type(size) is int for size in inputs):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        return (drawn(inputs, device, dtype),), {}
    filled = tree_map_only(
        Tensor, lambda one: drawn(tuple(one.shape), device, one.dtype) if one.is_meta else one, inputs
    )
    return ((), dict(filled)) if isinstance(filled, Mapping) else (tuple(filled), {})


def drawn(shape: tuple[int, ...], device: str, dtype: torch.dtype, below: int | None = None) -> Tensor:
    """Draw the same random numbers each time; torch's own generator is left alone.

    Masks are true. Integers are drawn from 0 to one less than ``below``, and are 1 where that is not known.
    """
    generator = torch.Generator(device).manual_seed(0)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, device=device).to(dtype)
    if dtype.is_complex:
        return torch.randn(shape, generator=generator, device=device, dtype=dtype)
    if dtype == torch.bool or below is None:
        return torch.ones(shape, dtype=dtype, device=device)
    limit = min(below, torch.iinfo(dtype).max + 1)
    return torch.randint(limit, shape, generator=generator, device=device).to(dtype)
