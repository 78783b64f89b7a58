"""In every kind of loop the probe has the numbers of autograd's own retained gradients and of the weights' way."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from resbench import GradientProbe


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)

    def forward(self, x):
        return self.bn(self.conv(x)) + x


class Net(nn.Module):
    """``kept`` gets the values between the blocks of every pass, where it is a list."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(6, 5)
        self.again, self.kept = None, None

    def forward(self, x):
        values = [self.stem(x)]
        x = values[0].relu()
        for block in self.blocks:
            values.append(block(x) if self.again is None else checkpoint(block, x, use_reentrant=self.again))
            x = values[-1].relu()
        if self.kept is not None:
            for value in values:
                value.retain_grad()
            self.kept.append(values)
        return self.head(x.mean((2, 3)))


NAMES = ("stem", "blocks.0", "blocks.1", "blocks.2")
LAYERS = ("stem", "blocks.0.conv", "blocks.1.conv", "blocks.2.conv", "head")


def net(dtype=torch.float64):
    torch.manual_seed(0)
    return Net().to(dtype).train()


def batches(n, dtype=torch.float64):
    draw = torch.Generator().manual_seed(1)
    for _ in range(n):
        yield torch.randn(4, 3, 6, 6, generator=draw).to(dtype), torch.randint(0, 5, (4,), generator=draw)


class Truth:
    """What autograd retains, and how far the weights go; it knows nothing of hooks."""

    def __init__(self, model):
        self.model, self.steps, self.scale, self.rate = model, [], 1.0, None
        model.kept = []
        self.weights = {name: model.get_submodule(name).weight for name in LAYERS}
        self.remember()

    def __call__(self, x):
        return self.model(x)

    def remember(self):
        self.before = {name: weight.detach().clone() for name, weight in self.weights.items()}

    def forget(self):
        self.model.kept.clear()

    def read(self, optimizer):
        found = {}
        for i, name in enumerate(NAMES):
            came = [values[i].grad for values in self.model.kept if values[i].grad is not None]
            found["gradient", name] = torch.stack([g / self.scale for g in came]).norm().item()
        found["first_to_last", ""] = found["gradient", NAMES[0]] / found["gradient", NAMES[-1]]
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        for name, weight in self.weights.items():
            size, change = self.before[name].norm().item(), (weight - self.before[name]).norm().item()
            found["weight", name] = size
            found["moved", name] = found["update", name] = change / size
            found["effective_lr", name] = rates[id(weight)] / size**2
            if isinstance(optimizer, torch.optim.SGD):
                found["weight_gradient", name] = change / rates[id(weight)]
            else:
                found["weight_gradient", name] = weight.grad.norm().item()
        self.steps.append(found)
        self.forget()
        self.remember()


class Probed:
    """The probe where the truth stands."""

    scale = 1.0

    def __init__(self, called):
        self.probe = GradientProbe(called)
        self.read = self.probe.read

    def __call__(self, x):
        return self.probe(x)

    def forget(self):
        pass


def agree(loop, called=lambda model: model, dtype=torch.float64, within=1e-6, prepare=None):
    models = [net(dtype), net(dtype)]
    if prepare:
        prepare(models[0], models[1])
    truth, probed = Truth(models[0]), Probed(called(models[1]))
    for run, model in ((truth, models[0]), (probed, models[1])):
        torch.manual_seed(2)
        loop(run, model, dtype)
    rows = {(row.step, row.statistic, row.name): row.value for row in probed.probe.rows}
    assert len(truth.steps) == len(probed.probe.readings) >= 3
    for step, found in enumerate(truth.steps):
        for key, value in found.items():
            assert rows[step, *key] == pytest.approx(value, rel=within), (step, *key)
    if dtype == torch.float64:
        for key, value in models[0].state_dict().items():
            assert torch.equal(value, models[1].state_dict()[key]), key


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr)


def plain(run, model, dtype):
    optimizer = sgd(model)
    for x, y in batches(3, dtype):
        loss = cross_entropy(run(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.read(optimizer)


def test_plain():
    agree(plain)


@pytest.mark.parametrize("to_none", [True, False])
def test_accumulation(to_none):
    def loop(run, model, dtype):
        optimizer = sgd(model)
        for i, (x, y) in enumerate(batches(12), 1):
            (cross_entropy(run(x), y) / 4).backward()
            if i % 4 == 0:
                optimizer.step()
                run.read(optimizer)
                optimizer.zero_grad(set_to_none=to_none)

    agree(loop)


@pytest.mark.parametrize("unscale", [False, True])
def test_scaler(unscale):
    def loop(run, model, dtype):
        optimizer = sgd(model)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
        for x, y in batches(3):
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            run.scale = scaler.get_scale()
            if unscale:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            run.read(optimizer)

    agree(loop)


def test_clipping():
    def loop(run, model, dtype):
        optimizer = sgd(model)
        for x, y in batches(3):
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            assert nn.utils.clip_grad_norm_(model.parameters(), 0.01) > 0.01
            optimizer.step()
            run.read(optimizer)

    agree(loop)


def test_two_rates():
    def loop(run, model, dtype):
        head = {"params": model.head.parameters(), "lr": 0.5}
        optimizer = torch.optim.SGD([{"params": [*model.stem.parameters(), *model.blocks.parameters()]}, head], 0.01)
        for x, y in batches(3):
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.read(optimizer)

    agree(loop)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam(kind):
    def loop(run, model, dtype):
        optimizer = kind(model.parameters(), 1e-3)
        for x, y in batches(3):
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.read(optimizer)

    agree(loop)


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("to_none", [True, False])
def test_skipped_batch(backward, to_none):
    """Before its backward pass or after it; the loss is at hand until the next one takes its name."""

    def loop(run, model, dtype):
        optimizer = sgd(model)
        for i, (x, y) in enumerate(batches(5)):
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad(to_none)
            if i in (1, 2):
                if backward:
                    (3 * loss).backward()
                run.forget()
                continue
            loss.backward()
            optimizer.step()
            run.read(optimizer)

    agree(loop)


def test_validation():
    def loop(run, model, dtype):
        optimizer = sgd(model)
        for x, y in batches(3):
            model.eval()
            kept = [cross_entropy(run(x + i), y) for i in range(3)]  # with gradients on, and held on to
            run.forget()
            model.train()
            loss = cross_entropy(run(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.read(optimizer)
            assert all(one.requires_grad for one in kept)

    agree(loop)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointing(reentrant):
    def set_on(truth, probed):
        truth.again = False
        probed.again = reentrant

    agree(plain, prepare=set_on)


def compiled_blocks(model):
    for block in model.blocks[:2]:
        block.compile(backend="aot_eager")
    model.blocks[2] = torch.compile(model.blocks[2], backend="aot_eager")
    return model


def compiled_in_place(model):
    model.compile(backend="aot_eager")
    return model


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which the compiler looks at
@pytest.mark.parametrize(
    "called",
    [compiled_blocks, compiled_in_place, lambda model: torch.compile(model, backend="aot_eager")],
    ids=["blocks", "whole in place", "whole"],
)
def test_compiled(called):
    torch.compiler.reset()
    agree(plain, called, torch.float32, 1e-4)


@pytest.fixture
def alone(tmp_path):
    dist.init_process_group("gloo", store=dist.FileStore(str(tmp_path / "store"), 1), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_distributed_data_parallel(alone):
    agree(plain, nn.parallel.DistributedDataParallel)


def test_several_backward_passes_through_one_forward_add_up():
    def loop(run, model, dtype):
        optimizer = sgd(model)
        for x, y in batches(3):
            output = run(x)
            optimizer.zero_grad()
            cross_entropy(output, y).backward(retain_graph=True)
            output.square().mean().backward()
            optimizer.step()
            run.read(optimizer)

    agree(loop)


def test_two_forward_passes_under_one_loss_are_one_step():
    def loop(run, model, dtype):
        optimizer = sgd(model)
        for x, y in batches(3):
            loss = cross_entropy(run(x), y) + cross_entropy(run(-x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.read(optimizer)

    agree(loop)


def test_the_truth_is_that_of_a_plain_loop():
    """The truth of accumulation, at least, by another way: one batch of all images has the same numbers."""
    model, whole = net(), copy.deepcopy(net())
    for one in (model, whole):
        one.eval()  # else a BN sees another batch
    truth, other = Truth(model), Truth(whole)
    parts = list(batches(4))
    for x, y in parts:
        (cross_entropy(truth(x), y) / 4).backward()
    cross_entropy(other(torch.cat([x for x, _ in parts])), torch.cat([y for _, y in parts])).backward()
    for run, one in ((truth, model), (other, whole)):
        optimizer = sgd(one)
        optimizer.step()
        run.read(optimizer)
    for key, value in other.steps[0].items():
        assert truth.steps[0][key] == pytest.approx(value, rel=1e-9), key


def test_sharded_weights_have_the_numbers_of_whole_ones(alone):
    """FSDP's second version: a layer's weights are others in its forward pass than in the optimiser."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    found = []
    for sharded in (False, True):
        model = net()
        for part in (*model.blocks, model) if sharded else ():
            fully_shard(part, mesh=init_device_mesh("cpu", (1,)))
        run = Probed(model)
        plain(run, model, torch.float64)
        found.append({(row.step, row.statistic, row.name): row.value for row in run.probe.rows if row.place != "norm"})
        assert len(run.probe.readings) == 3
    assert {name for _, statistic, name in found[1] if statistic == "update"} == set(LAYERS)
    assert found[1] == pytest.approx(found[0], rel=1e-6)
