"""Everything reachable from some roots in words, to tell before and after apart: a recursive walk of the tests' own."""

import collections
import functools
import gc
import itertools
import random
import types
import weakref

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device, torch.Size, type(...))


def account(*roots):
    """Everything reachable in words: numbers for identities in order of discovery, and bytes for contents."""
    lines, numbers, alive = [], {}, []

    def tell(path, thing):
        if isinstance(thing, PLAIN):
            lines.append((path, repr(thing)))
            return
        if id(thing) in numbers:
            lines.append((path, "see", numbers[id(thing)]))
            return
        numbers[id(thing)] = path
        alive.append(thing)
        lines.append(
            (path, type(thing).__qualname__, id(thing) if not isinstance(thing, itertools.count) else repr(thing))
        )
        for step, part in parts(thing, lines, path):
            tell(f"{path}{step}", part)

    for at, root in enumerate(roots):
        tell(str(at), root)
    return lines, alive


def parts(thing, lines, path):
    """What it holds, each with the step that leads there."""
    if isinstance(thing, Tensor):
        yield from of_tensor(thing, lines, path)
    elif isinstance(thing, np.ndarray):
        lines.append((path, thing.dtype, thing.shape, thing.tobytes()))
    elif isinstance(thing, bytearray):
        lines.append((path, bytes(thing)))
    elif isinstance(thing, (random.Random, np.random.RandomState, np.random.Generator, torch.Generator)):
        lines.append((path, state(thing)))
    elif isinstance(thing, (dict, types.MappingProxyType)):
        yield from ((f"[{key!r:.60}]", value) for key, value in thing.items())
        yield from (("(key)", key) for key in thing)
    elif isinstance(thing, (list, tuple, collections.deque)):
        yield from ((f"[{at}]", value) for at, value in enumerate(thing))
    elif isinstance(thing, (set, frozenset)):
        yield from (("{}", value) for value in sorted(thing, key=repr))
    elif isinstance(thing, types.FunctionType):
        for name, cell in zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True):
            if gc.get_referents(cell):
                yield f"<{name}>", cell.cell_contents
        yield from ((f".{name}", getattr(thing, name)) for name in ("__defaults__", "__kwdefaults__", "__dict__"))
    elif isinstance(thing, types.MethodType):
        yield from ((".self", thing.__self__), (".func", thing.__func__))
    elif isinstance(thing, functools.partial):
        yield from ((".func", thing.func), (".args", thing.args), (".keywords", thing.keywords))
    elif isinstance(thing, weakref.ref):
        yield "()", thing()
    elif not isinstance(thing, (type, types.ModuleType)):
        yield from ((f".{name}", value) for name, value in getattr(thing, "__dict__", {}).items())
        for kind in type(thing).__mro__:
            slots = vars(kind).get("__slots__", ())
            names = (slots,) if isinstance(slots, str) else slots
            yield from ((f".{name}", getattr(thing, name)) for name in names if hasattr(thing, name))
        if isinstance(thing, nn.Module):
            for kind in type(thing).__mro__[:-1]:
                yield from ((f"<{kind.__name__}>.{n}", v) for n, v in list(vars(kind).items()) if n != "__weakref__")


def of_tensor(thing, lines, path):
    with torch._C.DisableTorchFunctionSubclass():  # a lazy parameter says nothing of itself
        raw = thing.detach()
        lines.append((path, raw.dtype, raw.size(), raw.stride(), raw.device, thing.requires_grad, thing._version))
    if raw.layout == torch.strided and not raw.is_meta:
        lines.append((path, raw.data_ptr(), bytes(raw.contiguous().view(-1).view(torch.uint8).numpy())))
    yield ".__dict__", thing.__dict__
    yield ".grad", thing.grad if thing.is_leaf else None
    yield from ((name, getattr(thing, name)) for name in ("_backward_hooks", "_post_accumulate_grad_hooks"))


def state(generator):
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, torch.Generator):
        return bytes(generator.get_state().numpy())
    return repr(generator.bit_generator.state if isinstance(generator, np.random.Generator) else generator.get_state())


def process():
    """What all models share."""
    tables = [table for name, table in vars(hooks).items() if name.startswith("_global_")]
    return account(*tables)[0], (
        random.getstate(),
        repr(np.random.get_state()),
        bytes(torch.get_rng_state().numpy()),
        *(torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_device()),
        *(torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu"), torch.is_anomaly_enabled()),
        *(torch.are_deterministic_algorithms_enabled(), torch.backends.mkldnn.enabled),
        torch.backends.mha.get_fastpath_enabled(),
    )


def compare(before, after):
    """Line by line, so that a failure names the path."""
    for one, other in zip(before, after, strict=False):
        assert one == other
    assert len(before) == len(after)


def kept(*roots):
    """A check that all of it, and what all models share, is as it is now."""
    lines, alive = account(*roots)
    shared = process()

    def as_before():
        compare(lines, account(*roots)[0])
        compare(shared[0], process()[0])
        assert shared[1] == process()[1]
        assert alive  # so that nothing new takes an old identity

    return as_before
