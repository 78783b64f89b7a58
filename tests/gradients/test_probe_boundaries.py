"""Where the probe listens: whatever happens to a value afterwards, whatever is wrapped around a block."""

import copy
import gc
import weakref
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from resbench import GradientProbe
from resbench.errors import OptionError
from resbench.networks.build import build


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return self.bn(self.conv(x)) + x


class Viewed(Block):
    def forward(self, x):
        return super().forward(x).transpose(2, 3)


class Net(nn.Module):
    def __init__(self, inplace, block=Block):
        super().__init__()
        torch.manual_seed(0)
        self.inplace = inplace
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(block() for _ in range(4))
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x, self.kept = self.stem(x), []
        for block in self.blocks:
            x = block(x)
            if not self.inplace:
                x.retain_grad()
                self.kept.append(x)
            x = nn.functional.relu(x, inplace=self.inplace)
        return self.fc(x.mean((2, 3)))


def images():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 8, 8, generator=draw), torch.randint(0, 10, (4,), generator=draw)


def rows_of(model, *statistics, called=None, **options):
    probe = GradientProbe(model if called is None else called, **options)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = images()
    nn.functional.cross_entropy(probe(x), y).backward()
    optimizer.step()
    probe.read(optimizer)
    statistics = statistics or ("gradient", "first_to_last")
    return {(row.statistic, row.name): row.value for row in probe.rows if row.statistic in statistics}


@pytest.mark.parametrize("block", [Block, Viewed])
def test_an_operation_in_place_behind_a_block_changes_no_gradient(block):
    truth = Net(False, block)
    plain, inplace = rows_of(truth), rows_of(Net(True, block))
    assert len(plain) == 6
    assert inplace == plain
    for i, value in enumerate(truth.kept):
        assert inplace["gradient", f"blocks.{i}"] == pytest.approx(value.grad.norm().item(), rel=1e-6)


def test_the_ratio_of_the_net_in_place_is_that_of_the_net():
    assert rows_of(Net(True))["first_to_last", ""] == pytest.approx(3.9185, rel=1e-4)


class Half(Block):
    """Its output is a part of a larger value: in place, nothing tells what gradient came to it."""

    def forward(self, x):
        x = super().forward(x)
        return torch.cat((x, x), 1)[:, :8]


def test_a_gradient_that_cannot_be_known_is_left_out_and_so_is_the_ratio():
    plain, inplace = rows_of(Net(False, Half)), rows_of(Net(True, Half))
    assert ("first_to_last", "") in plain
    assert inplace == {("gradient", "stem"): pytest.approx(plain["gradient", "stem"])}


def chain(wrap=lambda block: block):
    torch.manual_seed(0)
    parts = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(4)]
    stem = nn.Conv2d(3, 8, 3, padding=1)
    return nn.Sequential(stem, *map(wrap, parts), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).train()


WRAPPERS = {
    "compiled": lambda block: torch.compile(block, backend="eager"),
    "checkpointed": checkpoint_wrapper,
    "parallel": nn.DataParallel,
    "both": lambda block: torch.compile(checkpoint_wrapper(block), backend="eager"),
}
ALL = ("gradient", "first_to_last", "weight_gradient", "growth", "deviation", "dead", "moved", "weight_growth")


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_wrapper_is_no_block_and_adds_no_name(wrap):
    expected = rows_of(chain(), *ALL)
    assert expected["first_to_last", ""] == pytest.approx(0.2873, rel=1e-3)
    for model, called in ((chain(wrap), None), (chain(), wrap)):
        found = rows_of(model, *ALL, called=model if called is None else called(model))
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_a_residual_block_that_calls_its_branch_module_is_a_block():
    class Residual(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            return x + self.module(x)

    found = rows_of(chain(Residual))
    assert [name for statistic, name in found if statistic == "gradient"] == ["0", "1", "2", "3", "4"]


def test_any_arguments_are_the_models():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
            self.head = nn.Linear(8, 4)

        def forward(self, a, b=None, *, watch=1.0):
            hidden = self.body(a) if b is None else self.body(a) + self.body(b)
            return {"logits": self.head(hidden) * watch}

    model = Two()
    x = torch.randn(4, 8)
    for args, kwargs in (((x,), {}), ((x, -x), {}), ((x,), {"watch": 2.0}), ((), {"a": x, "b": x})):
        probe = GradientProbe(model)
        output = probe(*args, **kwargs)["logits"]
        assert torch.equal(output, model(*args, **kwargs)["logits"])
        output.square().mean().backward()
        probe.read()
        assert sum(row.statistic == "gradient" and row.value > 0 for row in probe.rows) == 2 + 2 * (
            "b" in kwargs or len(args) > 1
        )


def test_a_loss_in_an_object_is_followed():
    @dataclass
    class Output:
        logits: torch.Tensor

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = chain()

        def forward(self, x):
            return Output(self.net(x))

    model = Wrapped()
    optimizer, probe = torch.optim.SGD(model.parameters(), 0.1), GradientProbe(model)
    x, y = images()
    for scale in (3.0, 1.0):  # the first is thrown away after its backward pass
        optimizer.zero_grad()
        (scale * nn.functional.cross_entropy(probe(x).logits, y)).backward()
    optimizer.step()
    probe.read(optimizer)
    found = {row.name: row.value for row in probe.rows if row.statistic == "gradient"}
    expected = {f"net.{name}": value for (_, name), value in rows_of(chain(), "gradient").items()}
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("model", [Net(False), build("resnet20").train()], ids=["anyone's", "ours"])
def test_the_modules_to_watch_can_be_chosen(model):
    first, second = ("blocks.1.bn", "blocks.3") if isinstance(model, Net) else ("layer1.1.bn2", "layer3.0")
    found = rows_of(model, watch=[model.get_submodule(second), first])
    assert [name for statistic, name in found if statistic == "gradient"] == [first, second]
    assert found["first_to_last", ""] == pytest.approx(found["gradient", first] / found["gradient", second])
    with pytest.raises(OptionError, match="did you mean"):
        GradientProbe(model, watch=[second[:-1] + "9"])
    with pytest.raises(OptionError, match="received another Linear"):
        GradientProbe(model, watch=[nn.Linear(1, 1)])


def test_the_first_tensor_of_a_watched_tuple_is_watched():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells, self.head = nn.LSTM(3, 8), nn.Linear(8, 10)

        def forward(self, x):
            return self.head(self.cells(x)[0].mean(0))

    model = Recurrent()
    probe = GradientProbe(model, watch=["cells"])
    probe(torch.randn(5, 2, 3)).sum().backward()
    probe.read()
    (row,) = [row for row in probe.rows if row.statistic == "gradient"]
    assert row.value == pytest.approx((model.head.weight.sum(0) / 5).norm().item() * 10**0.5, rel=1e-5)


def hooks_of(model):
    tables = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = sum(len(getattr(module, table)) for module in model.modules() for table in tables)
    weights = sum(len(p._backward_hooks or ()) for p in model.parameters())
    return own + weights + len(_global_optimizer_pre_hooks) + len(_global_optimizer_post_hooks)


@pytest.mark.parametrize("make", [lambda: Net(True), lambda: build("resnet20").train()], ids=["anyone's", "ours"])
def test_training_goes_on_bit_for_bit_and_no_hook_is_left(make):
    plain = make()
    probed = copy.deepcopy(plain)
    gc.collect()  # probes that are no longer used
    before = hooks_of(probed)
    probe = GradientProbe(probed)
    x, y = images()
    for run, model in ((plain, plain), (probe, probed)):
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        run(-x)  # no part of it
        for _ in range(3):
            optimizer.zero_grad()
            for part in (x, x + 1):
                nn.functional.cross_entropy(run(part), y).backward()
            optimizer.step()
            if run is probe:
                probe.read(optimizer)
    assert len(probe.readings) == 3
    for key, value in plain.state_dict().items():
        assert torch.equal(value, probed.state_dict()[key]), key
    assert hooks_of(probed) == before
    probe(x)
    del probe, run
    gc.collect()
    assert hooks_of(probed) == before


@pytest.mark.parametrize("make", [lambda: Net(True), lambda: build("resnet20").train()], ids=["anyone's", "ours"])
def test_no_value_and_no_graph_is_held(make):
    model = make()
    alive = []

    def remember(module, args, output):
        alive.append(weakref.ref(output))
        alive.append(weakref.ref(output.untyped_storage()))

    probe = GradientProbe(model)
    hooks = [module.register_forward_hook(remember) for module in model.modules() if not list(module.children())]
    gc.disable()
    try:
        output = probe(images()[0])
        node = weakref.ref(output.grad_fn) if hasattr(output.grad_fn, "__weakref__") else None
        del output
        model.kept = []
        assert len(alive) >= 20
        assert not any(one() is not None for one in alive)
        assert node is None or node() is None
    finally:
        gc.enable()
        for hook in hooks:
            hook.remove()


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which the compiler looks at
def test_compiled_parts_stay_compiled_and_are_not_compiled_again():
    torch.compiler.reset()
    made = []

    def counting(graph, inputs):
        made.append([0])
        count = made[-1]

        def run(*args):
            count[0] += 1
            return graph.forward(*args)

        return run

    model = Net(True).train()
    for block in model.blocks[:3]:  # nn.Sequential would not be compiled in place: torch leaves its own frames out
        block.compile(backend=counting)
    model.blocks[3] = torch.compile(model.blocks[3], backend=counting)
    probe = GradientProbe(model, every=2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = images()
    ran = []
    for _ in range(24):
        before = sum(count[0] for count in made)
        optimizer.zero_grad()
        nn.functional.cross_entropy(probe(x), y).backward()
        optimizer.step()
        probe.read(optimizer)
        ran.append(sum(count[0] for count in made) - before)
    assert ran == [0, 4] * 12
    assert len(made) == 1  # that all four blocks share
