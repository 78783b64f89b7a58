"""Any ``nn.Module`` gives cost rows: its forward is followed on the meta device, operator by operator.

>>> import torch
>>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU())
>>> for row in trace(net, (1, 3, 32, 32)).layers:
...     print(row.name, row.type, row.output, row.params, row.macs, row.elementwise)
0 Conv2d (1, 8, 32, 32) 224 221184 8192
1 ReLU (1, 8, 32, 32) 0 0 8192
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.nn.utils.stateless import _reparametrize_module
from torch.utils._pytree import tree_leaves, tree_map_only

from resbench.arch.rows import Cost, Mode
from resbench.costs.backward import with_backward
from resbench.costs.tracer import Tracer, shape_of
from resbench.costs.values import with_integers
from resbench.errors import TraceError, foreign
from resbench.networks.arguments import Called, refused, unwrapped
from resbench.restoring.unchanged import Snapshot, unchanged
from resbench.workers.compiled import as_written
from resbench.workers.threads import started
from resbench.workers.workload import drawn, wants_gradients

Inputs = Tensor | Called

META = torch.device("meta")


def trace(model: nn.Module, inputs: Inputs, *, training: bool = False, name: str = "", source: str = "module") -> Cost:
    """Count every operator of one forward; each belongs to the innermost module that runs. ``training``: in training
    mode, and the MACs of the backward pass too, whose loss is the sum of the outputs.

    ``inputs``: the shape of one input (N, C, H, W), a tensor, a tuple of arguments, or keyword arguments.
    The forward runs on the meta device. Where it has to look at values (``.item()``, a branch on data) and the
    model holds weights, it runs for real, once. Everything reachable from the model and the random states stay as they
    were, see ``unchanged``.

    A forward that takes gradients itself runs with them.
    A module that calls other modules gets rows for its own operators (``layer1.0.add``); any other module gets
    one row a call. A parameter counts where it is first used; ``Cost.uncounted`` names what has no formula.
    Raises TraceError: the module that failed, its input, and why.
    """
    inner = unwrapped(model)
    inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
    _check_visible(inner)
    params = list(inner.parameters())
    attempts: list[tuple[torch.device, Any]] = [(META, nullcontext()), (META, META)]  # then what it makes itself, too
    real = not any(p.is_meta or is_lazy(p) for p in params)
    if real:
        attempts.append((next((p.device for p in params), torch.device("cpu")), nullcontext()))
    gradients = training
    while True:
        device, default_device = attempts.pop(0)
        try:
            given = inputs if device == META else with_integers(inner, inputs)
            with unchanged(model, inputs, contents=False) as snapshot:
                traced = _traceable(inner)
                snapshot.include(traced)  # a twin is new
                with _counting(traced, training), default_device:
                    return _follow(traced, given, name, source, device, snapshot, training, gradients)
        except TraceError as error:
            if not gradients and wants_gradients(error):
                gradients = True
                attempts.insert(0, (device, default_device))
            elif not attempts and not real and "meta" in str(error).lower():
                raise TraceError(
                    f"{error}; it looks at values: give the model weights, not on the meta device"
                ) from error
            elif not attempts:
                raise


def _check_visible(model: nn.Module) -> None:
    if isinstance(model, torch.jit.ScriptModule):
        name = type(model).__name__
        raise TraceError(f"{name} is TorchScript, which hooks do not see into: trace the module it was made from")
    if any(kind.__name__ == "FSDPModule" for module in model.modules() for kind in type(module).__mro__):
        raise TraceError(f"{type(model).__name__} is sharded over processes: count it before fully_shard")


def _traceable(model: nn.Module) -> nn.Module:
    """Give the model itself; where it is lazy a twin on the meta device, so that it stays lazy."""
    if any(isinstance(module, LazyModuleMixin) and module.has_uninitialized_params() for module in model.modules()):
        return copy.deepcopy(model, {id(t): _weightless(t) for t in chain(model.parameters(), model.buffers())})
    return model


def _weightless(tensor: Tensor) -> Tensor:
    """Make the likeness of a tensor on the meta device, lazy if it is."""
    if is_lazy(tensor):
        return type(tensor)(device="meta", dtype=tensor.dtype)  # type: ignore[call-arg]
    likeness = torch.empty_like(tensor, device="meta")
    return nn.Parameter(likeness, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else likeness


@contextmanager
def _counting(model: nn.Module, training: bool) -> Iterator[None]:
    """Run in one mode, without gradients, fused fast paths and compiled code; ``unchanged`` puts all that back."""
    for module in list(model.modules()):
        if isinstance(module, torch.jit.ScriptModule):
            continue
        module.training = training  # not eval(): a subclass may do more there, such as merge weights
        module._modules.update({key: unwrapped(child) for key, child in module._modules.items() if child is not None})
    torch.backends.mha.set_fastpath_enabled(False)
    with torch.no_grad(), as_written():
        yield


def _follow(
    model: nn.Module,
    inputs: Inputs,
    name: str,
    source: str,
    device: torch.device,
    snapshot: Snapshot,
    training: bool,
    gradients: bool,
) -> Cost:
    """Watch one forward on the device, with ``gradients`` or without; in training with its backward pass."""
    tracer, stand_ins = Tracer(model, snapshot), _stand_ins(model, device, gradients)
    tracer.holdings.stand_for(stand_ins)
    named = name or type(model).__name__
    with closing(tracer), foreign(TraceError, lambda error: tracer.blame(named, error) + refused(model, inputs)):
        args, kwargs = _arguments(model, inputs, device)
        tracer.stack[0].received = shape = shape_of((args, kwargs))
        taken = sum(
            leaf.numel() * leaf.element_size() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)
        )
        tracer.origins.sights.receive((args, kwargs))
        # a checkpoint runs its forward again in the backward pass, with the same tensors standing in
        with _reparametrize_module(model, stand_ins, tie_weights=True):
            with (
                register_module_forward_pre_hook(tracer.enter),
                register_module_forward_hook(tracer.leave, always_call=True),
                torch.set_grad_enabled(gradients),
                tracer,
                tracer.whole,
                started() as threads,
            ):
                output = model(*args, **kwargs)
            tracer.uncounted.update(name for thread, name in threads.items() if thread not in tracer.elsewhere)
            rows, held = tracer.rows(output), tracer.held()
            if training:
                rows = with_backward(output, rows, tracer)
        uncounted, kinds = tuple(sorted(tracer.uncounted.items())), tuple(sorted(tracer.kinds.items()))
        mode: Mode = "training" if training else "inference"
        made, forks = tuple(tracer.made), tuple(tracer.whole.found)
        return Cost(name, source, shape, tuple(rows), uncounted, kinds, mode, tracer.complex, made, held, taken, forks)


def _arguments(model: nn.Module, inputs: Inputs, device: torch.device) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make positional and keyword arguments on that device, in the model's precision where a shape is given."""
    if isinstance(inputs, tuple) and inputs and all(type(size) is int for size in inputs):
        dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
        inputs = torch.empty(inputs, dtype=dtype, device="meta")
    moved = tree_map_only(Tensor, lambda tensor: _on(device, tensor), inputs)
    if isinstance(moved, Mapping):
        return (), dict(moved)
    return (moved if isinstance(moved, tuple) else (moved,)), {}


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    """Make a copy on the device, for the forward may write into it; one without values gets them."""
    if device == META:
        return tensor.detach().to(device)
    if not tensor.is_meta:
        return tensor.detach().to(device, copy=True)
    return drawn(tuple(tensor.shape), "cpu", tensor.dtype).to(device)


def _stand_ins(model: nn.Module, device: torch.device, gradients: bool) -> dict[str, Tensor]:
    """Make stand-ins on the meta device for all that is elsewhere; on a real one for buffers, which a forward may
    update. With gradients they are made also for the parameters, which would keep them."""
    learned = {path: _leaf(p, device) for path, p in model.named_parameters() if not is_lazy(p)} if gradients else {}
    if device != META:
        return {**learned, **{path: buffer.clone() for path, buffer in model.named_buffers()}}
    held = chain(model.named_parameters(), model.named_buffers())
    elsewhere = ((path, tensor) for path, tensor in held if tensor.device != META and path not in learned)
    return {**learned, **{path: _weightless(tensor) for path, tensor in elsewhere}}


def _leaf(parameter: nn.Parameter, device: torch.device) -> Tensor:
    """Make a tensor like it that takes a gradient where it does; a real one has its values."""
    twin = torch.empty_like(parameter, device=META) if device == META else parameter.detach()
    return nn.Parameter(twin, parameter.requires_grad)  # the forward may give it to another module
