"""A model is loaded by its name: the catalog's architecture, or what a source gives, with its input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from resbench.arch.algebra import Node
from resbench.arch.catalog import Architecture
from resbench.errors import MeasureError, OptionError, SourceError, first_line, foreign, message
from resbench.networks.inputs import Input, ModelInput, is_tensors, parse_input, parse_inputs
from resbench.networks.name import ModelName

if TYPE_CHECKING:
    from torch import Tensor, nn

    from resbench.arch.published import PublishedCost
    from resbench.graphs.graph import Graph
    from resbench.graphs.reading import GraphFile
    from resbench.networks.arguments import Called
    from resbench.networks.sources import Found


@dataclass(frozen=True)
class Model:
    """A model is a network with its name, its input, and all that is known of it without running it.

    ``inputs`` are those of one image; they are empty where it runs on ``tensors``, batch and all, which an exported
    program brings along or a caller gives. What the module is built from is its ``architecture``: None for a module
    that somebody else has written. ``published`` are figures that the source itself prints for this input.
    """

    name: ModelName
    inputs: tuple[ModelInput, ...]
    source: str
    make: Callable[[], nn.Module]
    architecture: Architecture | None = None
    published: tuple[PublishedCost, ...] = ()
    tensors: tuple[Tensor, ...] | Mapping[str, Any] = ()
    graph: GraphFile | None = None
    """It is read from this file, and has no module; ``inputs`` are those that a user says."""

    @classmethod
    def of(cls, given: nn.Module | Architecture | Node, input: Input, seed: int = 0) -> Model:
        """Take a module of the caller's, named as its class is, or what a module is built from with ``seed``.

        Raises OptionError without an input, which an architecture alone has itself.
        """
        if isinstance(given, Architecture):
            arch = given if input is None else replace(given, input=parse_input(input))
            return _built(ModelName(arch.name), arch, arch.source, "cpu", seed)
        if input is None:
            raise OptionError(
                "a module or an expression has no input of its own: expected input=(C, H, W), received none"
            )
        if isinstance(given, Node):
            return cls.of(Architecture("expression", given, parse_input(input), "expression"), None, seed)
        name = ModelName(type(given).__name__)
        if is_tensors(input):
            several: Any = tuple(input) if isinstance(input, list) else input
            tensors = several if isinstance(several, Mapping | tuple) else (several,)
            return cls(name, (), "module", lambda: given, tensors=tensors)
        return cls(name, parse_inputs(input), "module", lambda: given)

    @cached_property
    def module(self) -> nn.Module:
        """The module is built when it is first asked for."""
        self.check_runs()
        return self.make()

    @property
    def input(self) -> tuple[int, ...]:
        """The model takes an image (C, H, W). Raises MeasureError for one that takes other inputs, or several, and
        SourceError for a graph."""
        self.check_runs()
        if len(self.inputs) != 1 or not self.inputs[0].is_image:
            texts = [one.text for one in self.inputs]
            taken = f"it takes {', '.join(texts)}" if texts else "it runs on tensors that came with it"
            raise MeasureError(
                f"{self.name}: expected a network of one image CxHxW; {taken}; "
                "put resbench.GradientProbe into a training loop of your own"
            )
        return self.inputs[0].shape

    @property
    def batched(self) -> bool:
        """Tell whether an input has a batch; tensors have one."""
        return not self.inputs or any(one.batched for one in self.inputs)

    def arguments(self, batch: int = 1) -> Called:
        """The forward takes the shape (batch, C, H, W), or arguments: tensors without values, or the model's own.

        Raises OptionError for an input that the forward does not have, and SourceError for another batch than that of
        the tensors, and for a graph.
        """
        self.check_runs()
        if self.tensors:
            return self._own_tensors(batch)
        first = self.inputs[0]
        if len(self.inputs) == 1 and not (first.name or first.dtype) and first.batched:
            return (batch, *first.shape)
        if batch != 1 and not self.batched:
            raise OptionError(f"{self.name}: its inputs have no batch (batch=none); drop the batch of {batch}")
        from resbench.networks.arguments import arguments

        return arguments(self.module, self.inputs, batch)

    def check_runs(self) -> None:
        """Raise SourceError for a graph, which has no module."""
        if self.graph:
            raise SourceError(
                f"{self.name}: a graph of ONNX has no module that could run here; expected one of the commands that "
                "count (flops, show, field, compare with metrics of flops, report --parts cost), or latency --runtime "
                "onnxruntime,openvino"
            )

    def sized(self, batch: int = 1) -> Graph:
        """The graph has shapes for a batch of its inputs. Raises as ``sizes`` and ``GraphFile.sized`` do."""
        assert self.graph
        from resbench.networks.sizes import sizes

        return self.graph.sized(sizes(str(self.name.head), self.graph.inputs, self.inputs, batch))

    def _own_tensors(self, batch: int) -> Called:
        """Return the tensors; of a single one of floating numbers, also the shape with another batch."""
        from torch import Tensor
        from torch.utils._pytree import tree_leaves

        first, *others = (leaf for leaf in tree_leaves(self.tensors) if isinstance(leaf, Tensor))
        if batch in (1, *first.shape[:1]):
            return self.tensors
        if others or isinstance(self.tensors, Mapping) or not first.is_floating_point():
            what = "exported with" if self.name.source else "given"
            raise SourceError(f"{self.name}: {what} {1 + len(others)} inputs, it runs on those; drop the batch")
        return (batch, *first.shape[1:])


def load(name: str | ModelName, input: Input = None, *, device: str = "cpu", seed: int = 0) -> Model:
    """Load the model of any name: its architecture where it has one, and its module, from ``seed`` or its source.

    ``input`` is for a name that is still text. ``device="meta"`` allocates no weights where that is possible. Raises
    what ``ModelName.parse`` raises, and SourceError: an unknown source or name, a package that is missing or does not
    fit, a factory that fails, weights of another architecture.
    """
    if isinstance(name, str):
        name = ModelName.parse(name, input)
    if name.norm == "none":
        whole = load(replace(name, norm="bn"), device=device, seed=seed)
        whole.check_runs()
        return replace(whole, name=name, make=lambda: without_norm(whole.module), architecture=None, published=())
    if not name.source:
        return _built(name, name.architecture(), "catalog", device, seed)
    found = _found(name, device)
    made = found.made
    if found.graph:
        return Model(name, name.inputs, found.source, lambda: made, graph=found.graph)
    if isinstance(made, Node):
        made = Architecture("", made, found.shape, found.source)
    if isinstance(made, Architecture):
        size = parse_input(name.inputs) if name.inputs else made.input
        return _built(name, replace(made, name=str(name), input=size), found.source, device, seed)
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(made, torch.nn.Module):
        raise SourceError(
            f"{name.head}: expected a torch.nn.Module, an Architecture or an expression, "
            f"received {type(made).__name__}; make the factory return one of them"
        )
    if not name.inputs:
        inputs = () if found.tensors else found.inputs or (ModelInput("", found.shape),)
        return Model(name, inputs, found.source, lambda: made, None, found.published, found.tensors)
    if len(found.tensors) > 1:
        raise SourceError(f"{name}: exported with {len(found.tensors)} inputs, it runs on those; drop the input")
    return Model(name, name.inputs, found.source, lambda: made)


def build(model: str | Architecture | Node, input: Input = None, *, device: str = "cpu", seed: int = 0) -> nn.Module:
    """Build the ``torch.nn.Module`` of a name, an architecture or an expression, from ``seed``.

    Raises OptionError for anything else, what ``load`` raises, and MeasureError for a device that is not here.
    """

    def say(error: BaseException) -> str:
        return f"cannot build {model} on {device}: {type(error).__name__}: {first_line(error)}; use 'cpu' or 'meta'"

    if not isinstance(model, str | ModelName | Architecture | Node):
        raise OptionError(f"expected a model's name, an architecture or an expression, received {type(model).__name__}")
    with foreign(MeasureError, say):
        if isinstance(model, Architecture | Node):
            from resbench.networks.build import build

            return build(model, device=str(device), seed=seed)
        return load(model, input, device=str(device), seed=seed).module


def result_name(text: str, input: Input = None, *, classes: int | None = None) -> str:
    """Name a model's results as they are kept, once it is known that the weights in the name fit.

    >>> result_name("resnet56,shortcut=A", "3x32x32"), result_name("resnet56", "3x64x64")
    ('resnet56', 'resnet56,input=3x64x64')
    >>> result_name("resnet20", classes=100), result_name("resnet20,classes=7", classes=100)
    ('resnet20,classes=100', 'resnet20,classes=7')
    """
    name = ModelName.parse(text, input, classes=classes)
    if name.weights:
        load(name, device="meta")
    return name.title


def without_norm(model: nn.Module) -> nn.Module:
    """Replace every BN of a module by the identity; what a BN holds besides (an activation) stays."""
    from torch import nn

    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                parent._modules[name] = nn.Sequential(*child.children()) if list(child.children()) else nn.Identity()
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010  # it wrote over what a BN gave, and would now over what others keep
    return model


def _built(name: ModelName, arch: Architecture, source: str, device: str, seed: int) -> Model:
    """Make the model of an architecture. Weights from a file are read at once: they may be of another one."""

    def make() -> nn.Module:
        from resbench.networks.build import build

        return build(arch, device=device, seed=seed)

    model = Model(name, (ModelInput("", arch.input),), source, make, arch)
    if name.weights:
        from resbench.networks.weights import load_weights

        load_weights(model.module, name.weights)
    return model


def _found(name: ModelName, device: str) -> Found:
    """Ask the source; on the CPU where its factory needs values that the meta device does not have."""
    from resbench.networks.sources import find

    try:
        return find(name, device)
    except SourceError as error:
        if device != "meta" or "meta" not in message(error.__cause__).lower():
            raise
    return find(name, "cpu")
