"""Observing changes nothing, splits the gradient exactly, and finds the blocks of anyone's network."""

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from resbench.arch.blocks import basic_block
from resbench.errors import MeasureError
from resbench.gradients.observe import boundaries, observe
from resbench.gradients.probe import GradientProbe
from resbench.gradients.statistics import STATISTICS
from resbench.networks.build import build

SHORTCUTS = ["A", "B", "C", "scaling", "exclusive-gate", "shortcut-gate", "conv1x1"]
ORDERS = ["original", "bn-after-add", "relu-before-add", "relu-only-preact", "full-preact"]
NETS = [
    "plain20",
    "resnet20",
    "preact_resnet20",
    *(f"resnet20,shortcut={s}" for s in SHORTCUTS),
    *(f"resnet20,order={o}" for o in ORDERS),
    "resnet20,se=4",
    "resnet20,norm=none",
    "googlenet,classes=10",
]


def batch(n=4, size=32, dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, size, size, generator=draw, dtype=dtype)
    return x, torch.randint(0, 10, (n,), generator=draw)


def loss_of(output, labels):
    outputs = output if isinstance(output, tuple) else (output,)
    return sum(nn.functional.cross_entropy(one, labels) for one in outputs)


def step(model, run, x, labels):
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        loss_of(run(x), labels).backward()
        optimizer.step()
        if isinstance(run, GradientProbe):
            run.read(0.1)


@pytest.mark.parametrize("name", NETS)
def test_training_with_the_probe_is_bit_for_bit_training_without(name):
    size = 64 if name.startswith("googlenet") else 32
    x, labels = batch(size=size)
    plain = build(name).train()
    probed = copy.deepcopy(plain)
    step(plain, plain, x, labels)
    probe = GradientProbe(probed)
    step(probed, probe, x, labels)
    assert len(probe.readings) == 2
    for key, value in plain.state_dict().items():
        assert torch.equal(value, probed.state_dict()[key]), key
    assert all(not module._forward_hooks for module in probed.modules())


def split(model, x, labels):
    """The places by name, with the gradients of a backward pass as their numbers: boundaries, and sums."""
    output, seen = observe(model, (x,))
    for passing in seen.passings:
        passing.numbers_of = lambda *gradients: dict(enumerate(gradients))
    loss_of(output, labels).backward()
    return [{one.name: one.numbers for one in seen.places if one.place == kind} for kind in ("boundary", "sum")]


def values_of(model, x, labels):
    """A copy after a backward pass, and what went into and came out of every module; by plain hooks."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False
    values = {}
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda m, a, name=name: values.update({f"into {name}": a[0]}))
        module.register_forward_hook(lambda m, a, y, name=name: values.update({name: y}))
    output = model(x)
    for value in values.values():
        if isinstance(value, torch.Tensor) and value.requires_grad:
            value.retain_grad()
    loss_of(output, labels).backward()
    return model, values


@pytest.mark.parametrize("name", [n for n in NETS if n.startswith(("resnet", "preact"))])
def test_the_two_paths_are_the_whole_gradient(name):
    x, labels = batch(dtype=torch.float64)
    model = build(name).double().train()
    _, values = values_of(model, x, labels)
    _, sums = split(model, x, labels)
    assert len(sums) == 9
    for name, numbers in sums.items():
        block = name.rpartition(".")[0]
        before = [step for step in model.get_submodule(block).steps if isinstance(step, str)]
        opened = isinstance(model.get_submodule(block).steps[0], str)  # a projection that reads the activated x
        relu = [step for step in before if step.startswith("relu")]
        whole = values[f"{block}.{relu[0]}" if opened else f"into {block}"].grad
        got = sum(numbers.values())
        assert (got - whole).abs().max() <= 1e-12 * whole.abs().max(), name


def test_a_pre_activation_shortcut_hands_the_gradient_on_exactly():
    x, labels = batch(dtype=torch.float64)
    model = build("preact_resnet20").double().train()
    gradients, sums = split(model, x, labels)
    checked = 0
    for name, numbers in sums.items():
        block = name.rpartition(".")[0]
        if not block.endswith(".0") or block.startswith("layer1"):
            assert torch.equal(numbers[1], gradients[block][0])
            checked += 1
    assert checked == 7


def zero(block):
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    return block


def test_a_block_of_zero_weights_is_the_identity_but_for_the_last_relu():
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    preact = zero(build(basic_block(8, 8, order="full-preact"))).eval()
    assert torch.equal(preact(x), x)
    original = zero(build(basic_block(8, 8))).eval()
    assert torch.equal(original(x.abs()), x.abs())
    assert not torch.equal(original(x), x)  # the ReLU behind the sum cuts what is negative
    assert torch.equal(original(x), x.relu())


def test_branches_that_start_at_zero_have_no_gradient_in_their_convolutions():
    x, labels = batch()
    model = build("resnet20", zero_init_residual=True).train()
    probe = GradientProbe(model)
    loss_of(probe(x), labels).backward()
    probe.read(0.1)
    gradients = {row.name: row.value for row in probe.rows if row.statistic == "weight_gradient"}
    assert all(value == 0 for name, value in gradients.items() if name.startswith("layer"))
    assert gradients["conv1"] > 0
    assert gradients["fc"] > 0
    assert not any(row.statistic == "cosine" for row in probe.rows)  # of no gradient with another: none
    assert all(row.value == 0 for row in probe.rows if row.statistic == "share")


def test_every_statistic_is_that_of_a_naive_second_implementation():
    x, labels = batch(8)
    model = build("resnet20", seed=3).train()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    naive, outputs = values_of(model, x, labels)
    probe = GradientProbe(model, name="net")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss_of(probe(x), labels).backward()
    optimizer.step()
    probe.read(0.1)
    rows = {(row.statistic, row.name): row.value for row in probe.rows}

    def size(tensor):
        return tensor.double().pow(2).sum().sqrt().item()

    near = pytest.approx
    for name in ("relu", "layer1.0", "layer2.1", "layer3.2"):
        assert rows["gradient", name] == near(size(outputs[name].grad), rel=1e-5)
    assert rows["first_to_last", ""] == near(size(outputs["relu"].grad) / size(outputs["layer3.2"].grad), rel=1e-5)
    after = dict(model.named_parameters())
    for name in ("conv1", "layer2.0.conv1", "fc"):
        w, g = before[f"{name}.weight"], naive.get_submodule(name).weight.grad
        assert rows["weight", name] == near(size(w), rel=1e-5)
        assert rows["weight_gradient", name] == near(size(g), rel=1e-5)
        assert rows["relative_gradient", name] == near(size(g) / size(w), rel=1e-5)
        assert rows["update", name] == near(0.1 * size(g) / size(w), rel=1e-5)
        assert rows["moved", name] == near(size(after[f"{name}.weight"].detach() - w) / size(w), rel=1e-4)
        assert rows["moved", name] == near(rows["update", name], rel=1e-4)  # plain SGD
        assert rows["weight_growth", name] == 1
        assert rows["effective_lr", name] == near(0.1 / size(w) ** 2, rel=1e-5)
    branch, shortcut = outputs["layer1.1.bn2"], outputs["layer1.0"]
    assert rows["strength", "layer1.1.add"] == near(size(branch) / size(shortcut), rel=1e-5)
    share = size(shortcut) ** 2 / (size(branch) ** 2 + size(shortcut) ** 2)
    assert rows["identity_share", "layer1.1.add"] == near(share, rel=1e-5)
    # the shortcut's gradient is that of the sum; the branch's is the rest
    g_id = outputs["layer1.1.add"].grad
    g_res = outputs["layer1.0"].grad - g_id
    r = size(g_res) / size(g_id)
    assert rows["identity", "layer1.1.add"] == near(size(g_id), rel=1e-5)
    assert rows["residual", "layer1.1.add"] == near(size(g_res), rel=1e-4)
    assert rows["ratio", "layer1.1.add"] == near(r, rel=1e-4)
    assert rows["share", "layer1.1.add"] == near(r**2 / (1 + r**2), rel=1e-4)
    cosine = (g_id.double() * g_res.double()).sum().item() / size(g_id) / size(g_res)
    assert rows["cosine", "layer1.1.add"] == near(cosine, abs=1e-5)
    assert rows["effective_depth", ""] == near(sum(v for (s, _), v in rows.items() if s == "share"))
    assert rows["deviation", "layer2.0.bn1"] == near(
        outputs["layer2.0.bn1"].double().std(correction=0).item(), rel=1e-5
    )
    silent = (outputs["layer3.0.relu1"] <= 0).flatten(2).all(2).all(0).double().mean().item()
    assert rows["dead", "layer3.0.relu1"] == near(silent)
    assert all(row.place == STATISTICS[row.statistic].place for row in probe.rows)


def test_dead_channels_are_counted():
    model = build("plain20").train()
    probe = GradientProbe(model)
    x, labels = batch()
    with torch.no_grad():
        model.get_submodule("layer1.0.bn1").bias[:4] = -100
    loss_of(probe(x), labels).backward()
    probe.read(0.1)
    rows = {row.name: row.value for row in probe.rows if row.statistic == "dead"}
    assert rows["layer1.0.relu1"] == pytest.approx(4 / 16)


def test_boundaries_stand_around_blocks():
    found = boundaries(build("resnet20", device="meta"))
    assert found == {"relu", *(f"layer{i}.{j}" for i in (1, 2, 3) for j in (0, 1, 2))}
    assert {"features.3", "features.24", "flatten"} < boundaries(build("vgg11_bn", device="meta"))
    assert "inception3a" in boundaries(build("googlenet", device="meta"))


def test_boundaries_of_a_chain_stand_before_its_layers():
    chain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert boundaries(chain) == {"1", "4"}
    assert boundaries(nn.Sequential(nn.Linear(4, 2))) == frozenset()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x):
        return torch.relu(x + self.bn(self.conv(x)))


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.encoder = nn.Module()
        self.encoder.blocks = nn.ModuleList(Block() for _ in range(5))
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.encoder.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


def test_someone_elses_network_has_boundaries_too_and_no_split():
    torch.manual_seed(0)
    model = Wrapped()
    probe = GradientProbe(model)
    x, labels = batch()
    loss_of(probe(x), labels).backward()
    probe.read(0.1)
    assert [row.name for row in probe.rows if row.statistic == "gradient"] == [
        "stem",
        *(f"encoder.blocks.{i}" for i in range(5)),
    ]
    places = {row.place for row in probe.rows}
    assert places == {"boundary", "layer", "norm", "stage", "network"}
    assert next(row.name for row in probe.rows if row.statistic == "gradient") == "stem"


def read_once(model, size=32):
    probe = GradientProbe(model)
    x, labels = batch(size=size)
    loss_of(probe(x), labels).backward()
    probe.read(0.1)
    return probe.rows


def test_blocks_are_taken_in_the_order_in_which_they_run():
    class Late(Wrapped):
        def __init__(self):
            super().__init__()
            self.unused = nn.Sequential(Block(), Block(), nn.Linear(4, 10))

    class HeadFirst(nn.Module):
        def __init__(self):
            super().__init__()
            net = Wrapped()
            self.head, self.encoder, self.stem = net.head, net.encoder, net.stem
            self.forward = lambda x: Wrapped.forward(self, x)

    found = []
    for kind in (Wrapped, Late, HeadFirst):
        torch.manual_seed(0)
        found.append([row.value for row in read_once(kind()) if row.statistic in ("gradient", "first_to_last")])
    assert found[0] == found[1] == found[2]


def test_a_block_that_runs_twice_is_there_twice():
    class Twice(Wrapped):
        def forward(self, x):
            x = self.stem(x)
            for block in (*self.encoder.blocks, *self.encoder.blocks):
                x = block(x)
            return self.head(x.mean((2, 3)))

    assert sum(row.statistic == "gradient" for row in read_once(Twice())) == 11


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.spectral_norm, nn.utils.parametrizations.weight_norm])
def test_parametrised_layers_are_left_out_and_trained_as_ever(norm):
    def make():
        model = build("resnet20").train()
        norm(model.get_submodule("layer1.0.conv1"))
        return model

    x, labels = batch()
    torch.manual_seed(1)
    plain = make()
    probed = copy.deepcopy(plain)
    step(plain, plain, x, labels)
    step(probed, GradientProbe(probed), x, labels)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, probed.state_dict()[key]), key
    assert "layer1.0.conv1" not in {row.name for row in read_once(make()) if row.place == "layer"}


def test_what_is_hung_on_a_level_is_called():
    model = build("resnet20").train()
    calls = []
    model.get_submodule("layer1.0").register_forward_hook(lambda m, a, y: calls.append(1) or 2 * y)
    x, _ = batch()
    expected = model(x)
    assert torch.equal(GradientProbe(model)(x), expected)
    assert len(calls) == 2


def test_accumulated_gradients_are_one_step():
    model = build("resnet20").train()
    probe = GradientProbe(model, every=2)
    x, labels = batch()
    for _ in range(4):
        model.zero_grad()
        for _ in range(3):
            loss_of(probe(x), labels).backward()
        probe.read(0.1)
    assert [reading.step for reading in probe.readings] == [0, 2]


def test_what_is_taken_is_kept_no_longer_and_steps_share_their_places():
    model = build("resnet20").train()
    probe, writer = GradientProbe(model), []
    x, labels = batch()

    def steps(count, rate):
        for _ in range(count):
            model.zero_grad()
            loss_of(probe(x), labels).backward()
            probe.read(rate)

    steps(2, 0.1)
    steps(1, 0.01)
    rates = {row.step: row.value * weight.value**2 for row, weight in rated(probe.rows)}
    assert rates == pytest.approx({0: 0.1, 1: 0.1, 2: 0.01})
    assert len({id(reading.places) for reading in probe.readings}) == 1
    whole = probe.rows
    assert probe.take() == whole
    assert probe.rows == [] == probe.take()
    steps(1, 0.1)
    probe.write(SimpleNamespace(add_scalar=lambda *scalar: writer.append(scalar)))
    assert {step for *_, step in writer} == {3} == {row.step for row in probe.rows}


def rated(rows):
    """Pairs of the effective rate of the first layer, and of its weight, step by step."""
    first = [row for row in rows if row.place == "layer" and row.name == "conv1"]
    return [
        (row, next(one for one in first if (one.step, one.statistic) == (row.step, "weight")))
        for row in first
        if row.statistic == "effective_lr"
    ]


def test_the_channels_behind_a_linear_layer_are_the_last_dimension():
    layer = nn.Linear(8, 6)
    with torch.no_grad():
        layer.bias[:3] = -1000
    model = nn.Sequential(nn.Flatten(2), nn.Linear(1024, 8), layer, nn.ReLU(), nn.Flatten(), nn.Linear(18, 10))
    assert [row.value for row in read_once(model) if row.statistic == "dead"] == [0.5]


def test_torchvisions_resnet_has_the_numbers_of_ours(torchvision):
    ours, theirs = build("resnet18", seed=1).train(), torchvision.models.resnet18().train()
    theirs.load_state_dict(ours.state_dict())
    x, labels = batch(size=64)
    found = []
    for model in (ours, theirs):
        probe = GradientProbe(model)
        loss_of(probe(x), labels).backward()
        probe.read(0.1)
        found.append({(row.statistic, row.name): row.value for row in probe.rows})
    shared = [key for key in found[1] if key in found[0] and key[0] not in ("dead", "growth")]
    assert sum(statistic == "gradient" for statistic, _ in shared) == 9
    for key in shared:
        assert found[0][key] == pytest.approx(found[1][key], rel=1e-3), key


def test_reading_without_a_backward_pass_is_refused():
    probe = GradientProbe(build("resnet20").train())
    probe(batch()[0])
    with pytest.raises(MeasureError, match="call read after backward"):
        probe.read(0.1)


def test_between_its_steps_the_probe_only_calls_the_model():
    model = build("resnet20").train()
    probe = GradientProbe(model, every=4)
    x, labels = batch()
    for _ in range(6):
        model.zero_grad()
        loss_of(probe(x), labels).backward()
        probe.read(0.1)
    assert [reading.step for reading in probe.readings] == [0, 4]


def test_the_probe_writes_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    probe = GradientProbe(build("resnet20").train())
    x, labels = batch()
    for _ in range(2):
        loss_of(probe(x), labels).backward()
        probe.read(0.1)
    with SummaryWriter(tmp_path) as writer:
        probe.write(writer)
        probe.write(writer)  # nothing new
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("gradient/layer1.0")] == [0, 1]
    assert "first_to_last/Network" in events.Tags()["scalars"]
