"""Whatever a forward does, the model is afterwards bit for bit what it was: everything that can be reached from it."""

import collections
import functools
import itertools
import random
import weakref

import numpy as np
import pytest
import torch
from accounts import kept
from torch import nn
from torch.nn.modules import module as hooks
from zoos import import_torchvision

import resbench
from resbench.arch.catalog import architecture
from resbench.costs.trace import trace
from resbench.errors import ResbenchError
from resbench.networks.build import build
from resbench.restoring.unchanged import unchanged

IMAGE = (2, 3, 8, 8)

# -- a model that does one thing it should not, each in its own way ---------------------------------------

FILE_CACHE, FILE_COUNT = {}, 0


class Helper:
    __slots__ = ("calls", "seen")

    def __init__(self):
        self.calls, self.seen = 0, []


class Nasty(nn.Module):
    """Somebody's model: a small network whose forward calls ``deed`` before its last layer."""

    shared = {"calls": 0}  # noqa: RUF012 - of the class on purpose
    times = 0

    def __init__(self, deed, fail=None):
        super().__init__()
        self.deed, self.fail = deed, fail
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(256, 10)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.table, self.items, self.names, self.queue = {"a": 1}, [1, 2], {"x"}, collections.deque([1], maxlen=2)
        self.default, self.ordered = collections.defaultdict(list), collections.OrderedDict(b=1, a=2)
        self.helper, self.plain, self.grid, self.raw = Helper(), torch.ones(3), np.zeros(4), bytearray(b"abc")
        self.draw, self.generator, self.numpy = random.Random(1), torch.Generator(), np.random.default_rng(1)
        self.count, self.bound = itertools.count(3, 2), functools.partial(max, key=[])
        self.conv.weight.grad = torch.ones_like(self.conv.weight)
        self.norm.eval()
        closed = [0]
        number = 0

        def counter():
            nonlocal number
            number += 1
            closed[0] += 1
            closed.append(number)

        self.counter = counter

    def forward(self, x):
        y = self.norm(self.conv(x))
        self.deed(self, y)
        if self.fail:
            raise self.fail
        return self.fc(y.flatten(1))


def hook(*args):
    return None


def noop(self, x):
    return x


def fill_file(net, y):
    global FILE_COUNT
    FILE_COUNT += 1
    FILE_CACHE[tuple(y.shape)] = torch.zeros(3, device=y.device)


@functools.lru_cache
def positions(size, device):
    return torch.arange(size, device=device)


@torch.no_grad()
def write(net, y):
    net.conv.weight.mul_(2)
    net.plain.add_(1)
    net.fc.bias.copy_(torch.ones(10))


def half(net, y):
    net.fc.half()
    net.fc.float()
    net.norm.double()
    net.norm.float()


def replaced(net, y):
    net.fc = nn.Linear(256, 10)
    net.conv.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
    del net.table
    net.table = {}


def many_hooks(net, y):
    net.conv.register_forward_hook(hook)
    net.fc.register_forward_pre_hook(hook, with_kwargs=True)
    net.register_full_backward_hook(hook)
    net.norm.register_state_dict_post_hook(hook)
    net.fc.weight.register_hook(hook)
    net.fc.weight.register_post_accumulate_grad_hook(hook)


DEEDS = {
    "hooks": many_hooks,
    "hook for all modules": lambda net, y: hooks.register_module_forward_hook(hook),
    "dict": lambda net, y: net.table.update(a=2, b=y),
    "dict emptied": lambda net, y: net.table.clear(),
    "order": lambda net, y: net.ordered.move_to_end("b"),
    "default dict": lambda net, y: net.default["x"].append(1),
    "list": lambda net, y: (net.items.append(y), net.items.reverse()),
    "set": lambda net, y: net.names.add("y"),
    "deque": lambda net, y: net.queue.extend([2, 3]),
    "slots": lambda net, y: (setattr(net.helper, "calls", 1), net.helper.seen.append(y)),
    "keyword of a partial": lambda net, y: net.bound.keywords["key"].append(1),
    "array": lambda net, y: net.grid.__setitem__(0, 5.0),
    "bytes": lambda net, y: net.raw.extend(b"d"),
    "closure": lambda net, y: net.counter(),
    "counter": lambda net, y: next(net.count),
    "class attribute": lambda net, y: (setattr(type(net), "times", 7), setattr(type(net), "new", 1)),
    "table of the class": lambda net, y: type(net).shared.update(calls=1),
    "forward of the class": lambda net, y: setattr(nn.Linear, "forward", noop),
    "forward of an instance": lambda net, y: setattr(net.fc, "forward", functools.partial(noop, None)),
    "attribute of a function": lambda net, y: setattr(fill_file, "seen", y),
    "cache of the file": fill_file,
    "class of an instance": lambda net, y: setattr(net.norm, "__class__", nn.Identity),
    "module made": lambda net, y: setattr(net, "made", nn.Linear(2, 2)),
    "modules replaced": replaced,
    "buffer": lambda net, y: net.steps.add_(1),
    "buffer made": lambda net, y: net.register_buffer("late", torch.zeros(2)),
    "weights": write,
    "weights through data": lambda net, y: net.conv.weight.data.fill_(3),
    "data": lambda net, y: setattr(net.plain, "data", torch.zeros(7)),
    "gradient": lambda net, y: (net.conv.weight.grad.add_(1), setattr(net.fc.weight, "grad", torch.ones(10, 256))),
    "dtype": half,
    "flags": lambda net, y: (net.eval(), net.fc.requires_grad_(False)),
    "attribute of a tensor": lambda net, y: setattr(net.fc.weight, "note", y),
    "draws": lambda net, y: (random.random(), np.random.rand(), torch.rand(2)),
    "own draws": lambda net, y: (net.draw.random(), net.numpy.random(), torch.rand(2, generator=net.generator)),
    "threads": lambda net, y: torch.set_num_threads(torch.get_num_threads() % 2 + 1),
    "default dtype": lambda net, y: torch.set_default_dtype(torch.float64),
    "switches": lambda net, y: (torch.set_autocast_enabled("cpu", True), torch.use_deterministic_algorithms(True)),
    "a value looked at": lambda net, y: (y.sum().item(), write(net, y), net.items.append(1)),
}


@pytest.mark.parametrize("fail", [None, RuntimeError("no"), KeyboardInterrupt()], ids=["done", "failed", "interrupted"])
@pytest.mark.parametrize("deed", DEEDS)
def test_counting_leaves_everything_as_it_was(deed, fail):
    net = Nasty(DEEDS[deed], fail)
    parent = nn.Sequential(net, nn.ReLU())
    as_before = kept(parent, FILE_CACHE, FILE_COUNT, fill_file, nn.Linear.forward, vars(nn.Linear))
    try:
        trace(net, IMAGE)
        assert not isinstance(fail, KeyboardInterrupt)
    except (ResbenchError, KeyboardInterrupt):
        pass  # some deeds cannot be done on the meta device, or by a class that is no network any more
    as_before()
    assert FILE_COUNT == 0


@pytest.mark.parametrize("fail", [None, RuntimeError("no")], ids=["done", "failed"])
@pytest.mark.parametrize(
    "deed", [deed for deed in DEEDS if deed not in ("class of an instance", "forward of the class")]
)
def test_a_real_run_leaves_everything_as_it_was(deed, fail):
    net = Nasty(DEEDS[deed], fail)
    as_before = kept(nn.Sequential(net), FILE_CACHE, fill_file, vars(nn.Linear))
    with pytest.raises(RuntimeError, match="no") if fail else unchanged(), unchanged(net):
        loss = net(torch.zeros(IMAGE)).sum()
        if DEEDS[deed] is not write and deed != "a value looked at":  # what autograd needs would be gone
            loss.backward()
    as_before()


def test_a_child_that_hooks_its_parent_leaves_the_parent_as_it_was():
    class Child(nn.Module):
        def forward(self, x):
            self.parent().register_forward_hook(hook)
            return x

    parent = nn.Sequential(Child(), nn.ReLU())
    parent[0].parent = weakref.ref(parent)
    as_before = kept(parent)
    trace(parent[0], IMAGE)
    as_before()
    trace(parent, IMAGE)
    as_before()


def test_a_cache_that_nobody_can_read_does_not_keep_what_counting_put_there():
    class Net(nn.Module):
        def forward(self, x):
            return x + positions(x.shape[-1], x.device)

    net = Net()
    positions.cache_clear()
    trace(net, IMAGE)
    assert positions.cache_info().currsize == 0
    assert net(torch.zeros(IMAGE)).device.type == "cpu"


def test_a_model_that_is_its_own_deep_copy_is_as_it_was():
    class Single(Nasty):
        def __deepcopy__(self, memo):
            return self

    net = Single(lambda net, y: (net.conv.register_forward_hook(hook), net.items.append(1)))
    lazy = nn.Sequential(nn.LazyConv2d(3, 1), net)
    for model in (net, lazy):
        as_before = kept(net, *(vars(m) for m in lazy.modules()))
        assert trace(model, IMAGE).macs > 0
        as_before()


def test_what_counting_does_not_see_written_is_copied_only_before_it_is_written():
    net = nn.Linear(4, 4)
    with unchanged(net, contents=False) as snapshot:
        assert snapshot.bytes == {}
        snapshot.writing((net.weight,), {})
        assert len(snapshot.bytes) == 1


def test_latency_gradflow_and_profile_give_a_module_back_as_it_was(tmp_path, quick):
    net, failing = build(architecture("resnet8")), []
    net.items, net.seen = [], torch.zeros(())

    def untidy(module, args):
        module.items.append(len(module.items))
        module.seen += 1
        module.register_forward_hook(hook)
        module.made = nn.Linear(2, 2)
        if failing:
            raise RuntimeError("in the middle")

    net.register_forward_pre_hook(untidy)
    calls = (
        functools.partial(resbench.gradflow, steps=(0, 1), seeds=2, batch=8),
        functools.partial(resbench.profile, trace=tmp_path, steps=1, mode="training"),
        functools.partial(resbench.latency, mode="training", memory_format="channels_last"),
    )
    as_before = kept(net)
    for call in calls:
        assert call(net, (3, 32, 32))
        as_before()
    failing.append(True)
    as_before = kept(net)
    for call in calls:
        with pytest.raises(ResbenchError, match="in the middle"):
            call(net, (3, 32, 32))
        as_before()


# -- models of others -------------------------------------------------------------------------------------


def tiny(name, **options):
    """A Hugging Face model from its configuration alone."""
    import_torchvision()
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.AutoConfig.for_model(name, **{**sizes, **options})
    return transformers.AutoModel.from_config(config)


@pytest.mark.parametrize("fail", [False, True])
def test_hooks_that_hugging_face_installs_at_the_first_forward_are_gone(fail):
    net = tiny("vit", image_size=32, patch_size=8, output_hidden_states=True, output_attentions=True)
    x = torch.randn(1, 3, 32, 32)
    net.eval()
    if fail:
        net.layernorm.register_forward_hook(lambda *args: 1 / 0)
    as_before = kept(net)
    if fail:
        with pytest.raises(ResbenchError, match="division"):
            trace(net, {"pixel_values": x})
        as_before()
        return
    trace(net, {"pixel_values": x})
    as_before()
    states = net(x).hidden_states
    trace(net, {"pixel_values": x})
    assert all(map(torch.equal, net(x).hidden_states, states))


def test_what_an_ordered_dictionary_holds_is_put_back_and_so_are_its_attributes():
    net = nn.ReLU()
    net.kept = collections.OrderedDict(steps=[1])
    net.kept.note = [2]
    with unchanged(net):
        net.kept["steps"].append(3)
        net.kept.note.append(4)
        net.kept.more = net.kept["other"] = 5
    assert (net.kept, vars(net.kept)) == ({"steps": [1]}, {"note": [2]})
