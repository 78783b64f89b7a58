"""`build` reads an architecture as a ``torch.nn.Module`` under the same names.

>>> net = build("resnet20", seed=1)
>>> net.get_submodule("layer1.0.conv1")
Conv2d(16, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)
>>> sum(p.numel() for p in net.parameters())
269722
"""

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import torch
from torch import Tensor, nn

from resbench.arch import activations, algebra, channels, layers, normalisation, padding, pools, transposed
from resbench.arch.algebra import Aux, Combinator, Layer, Node, Operator, dotted, walk
from resbench.arch.catalog import Architecture, architecture
from resbench.errors import ArchitectureError
from resbench.networks import modules
from resbench.networks.blank import blank

Steps = tuple[Any, ...]
"""A level does these in order: the name of a part; (operator, a tuple of Steps per operand) where paths
meet; or (None, name) for an auxiliary head."""

LEAVES: dict[type[Layer], Callable[..., nn.Module]] = {
    layers.Conv2d: lambda inputs, outputs, kernel, stride, padding, groups, dilation, bias, _: nn.Conv2d(
        inputs, outputs, kernel, stride, padding, dilation, groups, bias
    ),
    transposed.ConvTranspose2d: nn.ConvTranspose2d,
    layers.Linear: nn.Linear,
    layers.BatchNorm2d: nn.BatchNorm2d,
    activations.ReLU: nn.ReLU,
    activations.ReLU6: nn.ReLU6,
    activations.LeakyReLU: nn.LeakyReLU,
    activations.PReLU: nn.PReLU,
    activations.ELU: nn.ELU,
    activations.GELU: nn.GELU,
    activations.SiLU: nn.SiLU,
    activations.Hardswish: nn.Hardswish,
    activations.Sigmoid: nn.Sigmoid,
    activations.Hardsigmoid: nn.Hardsigmoid,
    activations.Tanh: nn.Tanh,
    layers.Scale: modules.Scale,
    pools.MaxPool2d: lambda kernel, stride, padding, ceil: nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil),
    pools.AvgPool2d: lambda kernel, stride, padding, ceil, counted: nn.AvgPool2d(
        kernel, stride, padding, ceil, counted
    ),
    pools.AdaptiveAvgPool2d: nn.AdaptiveAvgPool2d,
    layers.LocalResponseNorm: nn.LocalResponseNorm,
    layers.Dropout: nn.Dropout,
    layers.DropPath: modules.DropPath,
    layers.Identity: nn.Identity,
    layers.Flatten: nn.Flatten,
    padding.SamePad: modules.SamePad,
    channels.PadChannels: modules.PadChannels,
    channels.ChannelSlice: modules.ChannelSlice,
    channels.ChannelShuffle: nn.ChannelShuffle,
    channels.SplitSoftmax: modules.SplitSoftmax,
    channels.LayerScale: modules.LayerScale,
    normalisation.LayerNorm2d: modules.LayerNorm2d,
    normalisation.GroupNorm: nn.GroupNorm,
    normalisation.GlobalResponseNorm: modules.GlobalResponseNorm,
}
"""Each makes the module of a layer of the layer's fields in their order."""

OPERATORS: dict[type[Operator], type[nn.Module]] = {
    algebra.Add: modules.Add,
    algebra.Mul: modules.Mul,
    algebra.Concat: modules.Concat,
    algebra.Highway: modules.Highway,
}

REWRITABLE = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, modules.Add)
"""Their backward does not read their output: what follows may write over it."""


class Level(nn.Module):
    """A level is one level of names. Its parts are its children; ``steps`` says how they are run."""

    def __init__(self, node: Node, top: bool = False) -> None:
        super().__init__()
        self.steps: Steps = _place(node, self, top)

    def forward(self, x: Tensor) -> Any:
        """Return the level's output; in training with auxiliary heads, (output, head outputs in order)."""
        return Interpreter().run(self, x)


class Network(Level):
    """A network is the outermost level."""


class Interpreter:
    """An interpreter runs a level step by step. A subclass that observes overrides ``part`` and ``join``.

    ``path`` is the name of the level with its dot; of the level that is run, the empty name.
    """

    def __init__(self) -> None:
        self.heads: list[Tensor] = []

    def run(self, level: Level, x: Tensor) -> Any:
        """Return the level's output; in training with auxiliary heads, (output, head outputs in order)."""
        y = self.follow(level, level.steps, x, "")
        return (y, *self.heads) if self.heads else y

    def follow(self, level: Level, steps: Steps, x: Tensor, path: str) -> Tensor:
        """Return the value behind the last step."""
        for step in steps:
            if isinstance(step, str):
                x = self.part(level._modules[step], path + step, x)  # type: ignore[arg-type]
            elif step[0] is not None:
                x = self.join(level, step, x, path)
            elif level.training:
                self.heads.append(level._modules[step[1]](x))  # type: ignore[misc]
        return x

    def part(self, module: nn.Module, name: str, x: Tensor) -> Tensor:
        """Call a layer, or a level with its own steps, with x."""
        return module(x)  # type: ignore[no-any-return]

    def join(self, level: Level, step: tuple[str, tuple[Steps, ...]], x: Tensor, path: str) -> Tensor:
        """Call an operator with what its paths make of x."""
        operator, paths = step
        return level._modules[operator](*[self.follow(level, one, x, path) for one in paths])  # type: ignore[misc,no-any-return]


def build(
    arch: str | Architecture | Node,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    zero_init_residual: bool = False,
) -> nn.Module:
    """Build a module that is initialised from ``seed`` alone; the global random state is not touched.

    Convolutions start from He's normal distribution over the fan-out (He et al. 2015b, eq. 14), linear layers
    from N(0, 1/in), BN from 1 and 0, biases from 0 or what the architecture says. ``zero_init_residual``
    starts the last BN (or convolution) of every residual branch at zero (Goyal et al. 2017, sec. 5.1).
    The same seed gives the same weights on every device; ``device="meta"`` allocates nothing.
    """
    body = arch.body if isinstance(arch, Architecture) else architecture(arch).body if isinstance(arch, str) else arch
    if isinstance(body, Layer):
        body = algebra.Seq(**{type(body).__name__.lower(): body})
    with blank():
        net = Network(body, top=True)
    if torch.device(device).type == "meta":
        return net
    net.to_empty(device="cpu")
    _initialise(net, body, seed)
    if zero_init_residual:
        _zero_branches(net, body)
    return net.to(device)


def _place(node: Node, level: Level, top: bool) -> Steps:
    """Register what stands in place at this level, and return the steps that run it."""
    if isinstance(node, Layer):
        assert node.silent, "a layer in place has no name only when it does nothing"
        name = "_".join(map(str, (type(node).__name__.lower(), *astuple(node))))
        return () if isinstance(node, layers.Identity) else (_register(level, name, _leaf(node)),)
    assert isinstance(node, Combinator)
    if isinstance(node, Operator):
        paths = tuple(_part(name, part, level, False) for name, part in node.parts)
        operator = OPERATORS[type(node)]()
        if isinstance(operator, modules.Add):
            operator.inplace = _rewritable(level, paths[0])
        return ((_register(level, node.operation, operator), paths),)
    if isinstance(node, Aux):
        (name, head) = node.parts[0]
        if not top or not name:
            raise ArchitectureError("an auxiliary head needs a name and stands at the top level of a network")
        _part(name, head, level, False)
        return ((None, name),)
    steps: list[Any] = []
    for name, part in node.parts:
        added = _part(name, part, level, top)
        if isinstance(part, activations.ReLU) and _rewritable(level, tuple(steps)):
            level.get_submodule(added[0]).inplace = True  # type: ignore[assignment]
        steps += added
    return tuple(steps)


def _part(name: str, node: Node, level: Level, top: bool) -> Steps:
    if not name:
        return _place(node, level, top)
    if isinstance(node, Layer):
        return (_register(level, name, _leaf(node)),)
    empty = isinstance(node, algebra.Seq) and not node.parts
    return (_register(level, name, nn.Identity() if empty else Level(node)),)


def _register(level: Level, name: str, module: nn.Module) -> str:
    held = level._modules.get(name)
    if held is not None and not (isinstance(held, modules.SILENT) and repr(held) == repr(module)):
        raise ArchitectureError(f"two parts are called {name!r} in one torch module; give one another name")
    try:
        level.add_module(name, module)
    except KeyError as error:
        raise ArchitectureError(f"the name {name!r} cannot be used in a torch module: {error.args[0]}") from None
    return name


def _rewritable(level: Level, steps: Steps) -> bool:
    """Was the last value made here, by a module whose backward can do without it?"""
    last = steps[-1] if steps else None
    name = last if isinstance(last, str) else last[0] if last else None
    return name is not None and isinstance(level._modules[name], REWRITABLE)


def _leaf(layer: Layer) -> nn.Module:
    return LEAVES[type(layer)](*astuple(layer))


def _initialise(net: nn.Module, body: Node, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, layer in walk(body):
            module = net.get_submodule(name)
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=draw)
            elif isinstance(module, nn.ConvTranspose2d):  # its weights lie the other way round
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu", generator=draw)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(0, module.in_features**-0.5, generator=draw)
            elif isinstance(layer, Layer) and hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator]
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and module.bias is not None:
                module.bias.fill_(layer.bias_init if isinstance(layer, layers.Conv2d) else 0)


def _zero_branches(net: nn.Module, body: Node) -> None:
    for path, node in walk(body):
        if isinstance(node, algebra.Add):
            name, branch = node.parts[0]
            inner = walk(branch, dotted(path, name))
            weighted = [place for place, layer in inner if isinstance(layer, Layer) and layer.params]
            if weighted:
                nn.init.zeros_(net.get_submodule(weighted[-1]).weight)  # type: ignore[arg-type]
