"""The backward pass as the tracer follows it: against the fold, the counters of a real run, torch, and by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from variants import CATALOG, VARIANTS

from resbench.arch.catalog import architecture
from resbench.costs.holdings import bytes_of
from resbench.costs.measure import cost
from resbench.costs.trace import trace
from resbench.counters.watch import count
from resbench.networks.build import build
from resbench.workers.workload import Setup, Workload

IMAGE = (2, 3, 8, 8)


class Call(nn.Module):
    """A function of the input and of the modules given as keywords."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args):
        return self.function(self, *args)


def trained(net, inputs=IMAGE):
    report = trace(net, inputs, training=True)
    assert report.uncounted == ()
    return {row.name: (row.macs, row.backward_macs) for row in report.layers if row.macs or row.backward_macs}


def weight(*shape):
    return nn.Parameter(torch.randn(*shape))


# -- two routes -----------------------------------------------------------------------------------------------

FAST = ["resnet20", "preact_resnet20,shortcut=B", "resnet14,shortcut=exclusive-gate", "resnext50_32x4d", "vgg11"]
FAST += ["googlenet,aux=yes", "inception_naive", "conv1x1"]


def hold_fold_and_trace(name):
    arch = architecture(name)
    traced = trace(build(arch, device="meta"), (2, *arch.input), training=True)
    assert traced.layers == arch.cost(batch=2, mode="training").layers
    assert traced.uncounted == ()


@pytest.mark.parametrize("name", FAST)
def test_fold_and_trace_take_the_same_gradients(name):
    hold_fold_and_trace(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CATALOG, *VARIANTS, "inception_v3,aux=yes", "googlenet,norm=bn,aux=yes"])
def test_fold_and_trace_take_the_same_gradients_in_the_whole_catalog(name):
    hold_fold_and_trace(name)


def mixed():
    """Grouped, depthwise and transposed convolutions, a frozen layer in the middle, a squeeze and a linear layer."""
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=4, padding=1), nn.SiLU()]
    layers += [nn.Conv2d(16, 16, 3, groups=16), nn.GELU(), nn.Conv2d(16, 16, 1), nn.ConvTranspose2d(16, 6, 2, groups=2)]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 10))
    return net.requires_grad_(True)


@pytest.mark.parametrize("frozen", [(), ("0", "1", "3"), ("7",), ("12",)])
def test_a_real_step_takes_the_same_gradients_layer_by_layer(frozen):
    net = mixed()
    for name in frozen:
        net.get_submodule(name).requires_grad_(False)
    work = Workload(copy.deepcopy(net), IMAGE, Setup(batch=2, mode="training"))
    with work.ready():
        layers = count(work, graph=False).layers
    ran = {name: (book.get("macs", 0), book.get("macs_backward", 0)) for name, book in layers.items()}
    assert trained(net) == {name: both for name, both in ran.items() if any(both)}


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_groups_cost_what_as_many_convolutions_cost_in_torchs_own_counter(groups):
    """torch's counter is right for one group; grouped, it takes all channels for each."""
    width = 8 // groups
    parts = nn.ModuleList([nn.Conv2d(width, 2 * width, 3) for _ in range(groups)])
    stem = nn.Conv2d(3, 8, 1)
    split = Call(
        lambda self, x: torch.cat([p(c) for p, c in zip(self.parts, self.stem(x).chunk(groups, 1), strict=True)], 1),
        stem=stem,
        parts=parts,
    )
    with FlopCounterMode(display=False) as theirs:
        split(torch.randn(IMAGE)).sum().backward()
    ours = trained(nn.Sequential(stem, nn.Conv2d(8, 16, 3, groups=groups)))
    assert sum(map(sum, ours.values())) == theirs.get_total_flops() // 2


# -- by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "weights", "shape", "forward", "backward"),
    [
        (lambda s, x: x @ s.w, {"w": (4, 5)}, (3, 4), 60, 60),
        (lambda s, x: torch.addbmm(s.b, x, s.w), {"b": (3, 5), "w": (2, 4, 5)}, (2, 3, 4), 120, 120),
        (lambda s, x: torch.mv(s.w, x), {"w": (5, 4)}, (4,), 20, 20),
        (lambda s, x: torch.mv(x, s.w), {"w": (4,)}, (5, 4), 20, 20),
        (lambda s, x: torch.dot(s.w, x), {"w": (4,)}, (4,), 4, 4),
        (lambda s, x: torch.dot(s.w, s.v), {"w": (4,), "v": (4,)}, (4,), 4, 8),
        (lambda s, x: torch.mv(s.w, s.v), {"w": (5, 4), "v": (4,)}, (4,), 20, 40),
        (lambda s, x: torch.einsum("bi,oij,bj->bo", x, s.w, x), {"w": (5, 4, 4)}, (3, 4), 15 * 4 * 5, None),
        (lambda s, x: F.conv1d(x, s.w, groups=2), {"w": (6, 2, 3)}, (2, 4, 8), 2 * 6 * 6 * 6, 2 * 6 * 6 * 6),
        (lambda s, x: F.bilinear(x, x, s.w), {"w": (5, 4, 4)}, (3, 4), 3 * 80, 3 * 80),
    ],
)
def test_a_product_costs_its_macs_for_each_gradient_that_is_needed(function, weights, shape, forward, backward):
    net = Call(function, **{name: weight(*sizes) for name, sizes in weights.items()})
    macs, gradients = map(sum, zip(*trained(net, shape).values(), strict=True))
    if backward is not None:
        assert (macs, gradients) == (forward, backward)
    assert gradients >= macs


def test_attention_takes_two_gradients_of_each_product():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(8, 24)

        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, -1)
            return F.scaled_dot_product_attention(q, k, v)

    rows = trained(Block(), (2, 5, 8))
    products = 2 * 5 * 5 * 16
    assert rows.pop("qkv") == (2 * 5 * 8 * 24, 2 * 5 * 8 * 24)
    assert tuple(map(sum, zip(*rows.values(), strict=True))) == (products, 2 * products)


def test_an_lstm_and_an_embedding_need_no_gradient_of_the_words():
    net = Call(lambda self, x: self.lstm(self.words(x))[0], words=nn.Embedding(9, 4), lstm=nn.LSTM(4, 6))
    words, (forward, backward) = torch.zeros(3, 2, dtype=torch.long), (3 * 2 * 24 * 10, 2 * 3 * 2 * 24 * 10)
    first_state = 2 * 24 * 6  # that is zero, and no parameter
    assert trained(net, (words,)) == {"lstm": (forward, backward - first_state)}


def test_a_frozen_prefix_takes_no_gradient_and_a_frozen_layer_only_its_inputs():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    net[0].requires_grad_(False)
    net[2].requires_grad_(False)
    each = 2 * 64 * 16
    assert [backward for _, backward in trained(net).values()] == [0, each, each, 2 * each]
    report = trace(net, IMAGE)
    assert (report.params, report.trainable) == (16 + 3 * 20, 40)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_runs_its_forward_again_and_that_counts(reentrant):
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    stem, head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)
    plain = Call(lambda self, x: self.head(self.block(self.stem(x))), stem=stem, block=block, head=head)
    again = Call(
        lambda self, x: self.head(checkpoint(self.block, self.stem(x), use_reentrant=reentrant)),
        **dict(plain.named_children()),
    )
    expected = trained(plain)
    for name in ("block.0", "block.2"):
        forward, backward = expected[name]
        expected[name] = forward, backward + forward
    assert trained(again) == expected


class Strange(torch.autograd.Function):
    """Its backward pass runs an operator that nobody has a rule for."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.linalg.matrix_exp(gradient)


def test_an_operator_of_the_backward_pass_without_a_rule_is_named():
    report = trace(nn.Sequential(nn.Linear(4, 4), Call(lambda self, x: Strange.apply(x))), (4, 4), training=True)
    assert [name for name, _ in report.uncounted] == ["aten.linalg_matrix_exp"]
    assert report.backward_macs == 64


def test_a_forward_that_looks_at_values_is_followed_backwards_on_real_ones():
    net = Call(lambda self, x: self.conv(x) if x.sum() < 1e9 else x, conv=nn.Conv2d(3, 4, 3))
    assert trained(net) == {"conv": (2 * 36 * 4 * 27, 2 * 36 * 4 * 27)}
    assert net.conv.weight.grad is None


def test_the_model_has_no_gradient_afterwards_and_its_statistics_are_as_they_were():
    net = mixed()
    before = copy.deepcopy(net.state_dict())
    trained(net)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


# -- bytes ----------------------------------------------------------------------------------------------------


def test_bytes_are_those_of_the_models_own_types():
    net = Call(lambda self, x: self.wide(self.narrow(x).double()), narrow=nn.Linear(64, 32, bias=False).bfloat16())
    net.wide = nn.Linear(32, 16, bias=False).double()
    net.register_buffer("table", torch.zeros(100, dtype=torch.int8))
    report = cost(net, (1, 1, 64))
    rows = {row.name: row for row in report.layers}
    assert (rows["narrow"].param_bytes, rows["narrow"].activation_bytes) == (2 * 64 * 32, 2 * 32)
    assert (rows["wide"].param_bytes, rows["wide"].activation_bytes) == (8 * 32 * 16, 8 * 16)
    assert (report.param_bytes, report.buffer_bytes) == (4096 + 4096, 100)


def test_tied_weights_and_shared_buffers_are_held_once():
    net = Call(lambda self, x: self.b(self.a(x)), a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    net.b.weight = net.a.weight
    for layer in (net.a, net.b):
        layer.register_buffer("mask", net.a._buffers.get("mask", torch.ones(8)))
    report = trace(net, (2, 8))
    assert (report.params, report.param_bytes, report.buffer_bytes) == (80, 320, 32)


def test_complex_and_sparse_numbers_have_the_bytes_that_they_take():
    values = torch.eye(4).to_sparse()
    assert bytes_of(torch.zeros(3, dtype=torch.complex64)) == 24
    assert bytes_of(values) == 4 * 4 + 2 * 4 * 8
    assert bytes_of(torch.eye(4).to_sparse_coo()) == bytes_of(values)


def test_a_lazy_batch_normalisation_holds_what_a_plain_one_does():
    lazy, plain = nn.LazyBatchNorm2d(), nn.BatchNorm2d(3)
    ours, theirs = trace(lazy, IMAGE).total, trace(plain, IMAGE).total
    assert (ours.params, ours.param_bytes, ours.buffer_bytes) == (theirs.params, theirs.param_bytes, 32)
