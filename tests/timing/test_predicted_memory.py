"""What is predicted to be kept for the backward pass is what autograd keeps, counted tensor by tensor."""

import json

import pytest
import torch
from commands import called
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, gelu, scaled_dot_product_attention

from resbench.arch import (
    ELU,
    GELU,
    Add,
    AvgPool2d,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    GlobalAvgPool,
    Hardsigmoid,
    Hardswish,
    Highway,
    Identity,
    LeakyReLU,
    LocalResponseNorm,
    MaxPool2d,
    Mul,
    ReLU,
    ReLU6,
    Scale,
    Seq,
    Sigmoid,
    SiLU,
    Tanh,
)
from resbench.arch.kinds import KINDS, Kind
from resbench.arch.layers import Layer
from resbench.costs.measure import cost
from resbench.costs.table import cost_table
from resbench.counters.watch import saved
from resbench.errors import OptionError
from resbench.networks.build import build
from resbench.networks.load import load
from resbench.operators.boundaries import Modules
from resbench.timing.memory.fits import size_of
from resbench.timing.memory.measure import memory, peak_bytes
from resbench.timing.memory.prediction import predicted
from resbench.workers.workload import Setup, Workload

TRAINING = Setup(batch=2, mode="training")
SIZE = (8, 16, 16)


class Gaussian(nn.GELU):
    """A GELU under another name."""


class Rows(nn.LayerNorm):
    """A layer normalisation under another name, over the channels of maps."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Whitening(nn.Module):
    """A normalisation that is written out."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        return self.gain * centred * (centred.pow(2).mean(1, keepdim=True) + 1e-5).rsqrt()


class Swish(nn.Module):
    """x sigmoid(1.7 x), of two operators."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.7 * x)


class Turned(nn.Module):
    """Another look at the same elements, no longer in one piece."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 3)


class Squeezed(nn.Module):
    """A block whose joints are operators: a gate, a concatenation, a residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.wide = nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        gated = x * torch.sigmoid(self.gate(adaptive_avg_pool2d(x, 1)))
        return x + self.wide(torch.cat([gated, gelu(x)], 1))


class Attending(nn.Module):
    """Attention of one head over positions, which torch takes apart on the meta device alone."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.behind = nn.Linear(8, 3 * 64), nn.Linear(64, 8)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.before(x.flatten(2).transpose(1, 2)).unflatten(2, (3, 1, 64)).permute(2, 0, 3, 1, 4)
        y = scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.behind(y).transpose(1, 2).reshape(x.shape)


def kept(module, size=SIZE):
    """Bytes that the forward pass keeps, each storage once; the statistics of batches left out."""
    work = Workload(module, (2, *size), TRAINING)
    with work.ready():
        work.run()
        total = sum(saved(work, Modules(work.model)).values())
    return total - sum(8 * norm.num_features for norm in module.modules() if isinstance(norm, nn.BatchNorm2d))


def between(middle):
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), middle, nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())


MIDDLES = [
    *(nn.GELU(), nn.SiLU(), nn.SiLU(inplace=True), nn.Hardswish(), nn.Hardswish(inplace=True), nn.Mish()),
    *(
        nn.ReLU(),
        nn.ReLU6(inplace=True),
        nn.LeakyReLU(),
        nn.LeakyReLU(inplace=True),
        nn.ELU(),
        nn.PReLU(),
        nn.Softplus(),
    ),
    *(nn.Sigmoid(), nn.Tanh(), nn.Softmax(1), nn.Hardsigmoid(), nn.Identity()),
    *(nn.GroupNorm(4, 8), nn.InstanceNorm2d(8), nn.BatchNorm2d(8), nn.LayerNorm([8, 16, 16]), nn.LocalResponseNorm(3)),
    *(nn.Dropout(), nn.Dropout(0.0), nn.Dropout2d(), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4)),
    *(nn.AdaptiveAvgPool2d(1), nn.Upsample(scale_factor=2), nn.ZeroPad2d(2), nn.PixelShuffle(1)),
    *(Gaussian(), Rows(8), Whitening(), Swish(), Squeezed(), Attending()),
    nn.Sequential(nn.BatchNorm2d(8), nn.SiLU(inplace=True), nn.Dropout(), nn.GELU(approximate="tanh")),
]


@pytest.mark.parametrize("middle", MIDDLES, ids=repr)
def test_what_a_traced_layer_keeps_is_what_autograd_keeps(middle):
    net = between(middle)
    report = cost(net, SIZE, batch=2)
    expected = predicted(report, TRAINING)
    assert expected.unknown == ()
    assert kept(net) == pytest.approx(expected.saved, rel=0.02)


X = Conv2d(8, 8, 1)
ACTIVATIONS = [
    *(ReLU(), ReLU6(), Sigmoid(), Tanh(), SiLU(), Hardswish(), Hardsigmoid(), LeakyReLU(), ELU()),
    *(GELU(), GELU(approximate="tanh")),
]
NETS = [
    Seq(a=X, add=Seq(Add(Seq(b=X, bn=BatchNorm2d(8)), Identity())), relu=ReLU()),
    Seq(a=X, se=Seq(Mul(Identity(), Seq(pool=GlobalAvgPool(), fc=X, sigmoid=Sigmoid()))), b=X),
    Seq(a=X, way=Seq(Highway(Seq(g=X, s=Sigmoid()), Seq(f=X, bn=BatchNorm2d(8)), Identity())), b=X),
    Seq(a=X, norm=LocalResponseNorm(3), pool=MaxPool2d(2), scale=Scale(0.5), b=X, avg=AvgPool2d(2), c=X),
    Seq(a=X, cat=Seq(Concat(Seq(b=X, r=ReLU()), Seq(pool=MaxPool2d(3, 1, 1)))), drop=Dropout(0.2), c=Conv2d(16, 4, 1)),
    Seq(pool=MaxPool2d(2), relu=ReLU(), a=X, last=Sigmoid()),
    *(Seq(a=X, bn=BatchNorm2d(8), act=act, b=X) for act in ACTIVATIONS),
    *(Seq(a=X, add=Seq(Add(Seq(b=X, act=act), Identity())), relu=ReLU(), c=X) for act in ACTIVATIONS),
]


@pytest.mark.parametrize("net", NETS, ids=range(len(NETS)))
def test_what_a_folded_layer_keeps_is_what_autograd_keeps(net):
    module = build(net)
    folded, traced = cost(net, SIZE, batch=2), cost(module, SIZE, batch=2)
    assert [row[-5:] for row in folded.layers] == [row[-5:] for row in traced.layers]  # from kind to sees
    assert kept(module) == predicted(folded, TRAINING).saved


def test_a_flatten_that_copies_is_read_through():
    net = nn.Sequential(nn.Conv2d(8, 4, 1), nn.Unflatten(1, (2, 2)), Turned(), nn.Flatten(), nn.Linear(1024, 3))
    rows = cost(net, SIZE, batch=2).layers
    assert [(row.name, row.reads, row.keeps) for row in rows] == [("0", (), ()), ("2", (0,), ()), ("4", (0,), (0,))]
    assert kept(net) == predicted(cost(net, SIZE, batch=2), TRAINING).saved


def test_a_row_reads_the_rows_that_made_what_its_operators_read():
    rows = cost(Squeezed(), SIZE).layers
    reads = {row.name: [rows[place].name for place in row.reads] for row in rows}
    assert reads["sigmoid"] == ["gate"]
    assert reads["mul"] == ["sigmoid"]
    assert reads["concat"] == ["mul", "gelu"]
    assert reads["wide"] == ["concat"]


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (Gaussian(), "function"),
        (Rows(8), "normalisation"),
        (Swish(), "activation"),
        (nn.ReLU6(), "function"),
        (nn.LSTM(16, 4), "recurrent"),
        (nn.Embedding(3, 4), "embedding"),
        (nn.Bilinear(8, 8, 4), "matrix product"),
        (nn.MultiheadAttention(16, 2), "attention"),
        (nn.PixelUnshuffle(2), "rearrangement"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_a_kind_is_told_by_the_operators_or_by_torchs_class_not_by_a_name(module, kind):
    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            match module:
                case nn.Embedding():
                    return module(torch.zeros(2, dtype=torch.long, device=x.device))
                case nn.LSTM():
                    return module(x[0])
                case nn.MultiheadAttention():
                    return module(x[0], x[0], x[0])
                case nn.Bilinear():
                    return module(x[..., :8], x[..., :8])
            return module(x)

    (row,) = (row for row in cost(Whole(), SIZE).layers if row.name == "inner")
    assert (row.type, row.kind) == (type(module).__name__, kind)


def test_every_layer_and_operator_of_the_algebra_states_its_kind():
    def below(one):
        return {one, *(inner for each in one.__subclasses__() for inner in below(each))}

    leaves = {one for one in below(Layer) if one.__module__ in ("resbench.arch.activations", "resbench.arch.layers")}
    assert len(leaves) > 20
    assert [one.__name__ for one in leaves if one.kind == "unknown"] == []
    assert {Add.kind, Mul.kind, Concat.kind, Highway.kind} == {"sum", "product", "concatenation"}
    assert set(KINDS) == set(Kind.__args__)


# -- the most that is held at one time ------------------------------------------------------------------------


class Dense(nn.Module):
    """A layer that hands on all that it was given, behind what it adds."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm, self.act, self.conv = (
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(inputs, 8, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.act(self.norm(x)))], 1)


class Residual(nn.Module):
    """x + F(x), added in place."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out = self.branch(x)
        out += x
        return out


class Shuffled(nn.Module):
    """Half of the channels go through, and the halves are mixed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        one, other = x.chunk(2, 1)
        return torch.cat([one, self.conv(other)], 1).unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)


WHOLE = [
    nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.SiLU(inplace=True), nn.Conv2d(8, 32, 1), nn.Hardswish()),
    nn.Sequential(nn.Conv2d(8, 8, 1), Dense(8), Dense(16), Dense(24), nn.BatchNorm2d(32)),
    nn.Sequential(
        nn.Conv2d(8, 8, 1), Residual(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1)
    ),
    nn.Sequential(nn.Conv2d(8, 8, 1), Residual(Rows(8), nn.Conv2d(8, 32, 1), nn.GELU(), nn.Conv2d(32, 8, 1))),
    nn.Sequential(nn.Conv2d(8, 8, 1), Shuffled(), Shuffled(), nn.Conv2d(8, 32, 1), nn.MaxPool2d(2)),
    nn.Sequential(nn.Conv2d(8, 8, 1), Squeezed(), Squeezed()),
]


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("net", WHOLE, ids=range(len(WHOLE)))
def test_the_most_at_one_time_is_what_the_ledger_of_tensors_measures(net, mode):
    setup = Setup(batch=2, mode=mode)
    expected = predicted(cost(net, SIZE, batch=2, mode=mode), setup)
    assert peak(net, setup) == pytest.approx(expected.peak, rel=0.02)


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    "name", ["resnet20", "plain20", "resnet20,shortcut=A", "preact_resnet20", "resnext50_32x4d", "googlenet"]
)
def test_the_fold_predicts_the_peak_that_the_ledger_measures(name, mode):
    loaded, setup = load(name, "3x32x32"), Setup(batch=2, mode=mode)
    expected = predicted(cost(name, "3x32x32", batch=2, mode=mode), setup)
    assert peak(loaded.module, setup, (3, 32, 32)) == pytest.approx(expected.peak, rel=0.02)


def peak(module, setup, size=SIZE):
    work = Workload(module, (setup.batch, *size), setup)
    with work.ready():
        work.run()
        return peak_bytes(work)


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_largest_batch_that_fits_is_the_last_whose_measured_peak_is_in_the_budget(mode):
    net = between(nn.SiLU(inplace=True))
    budget = peak(net, Setup(batch=11, mode=mode), SIZE) + 2048
    (one,) = memory(net, SIZE, mode=mode, fits=budget).reports
    assert one.batch == 11
    assert peak(net, Setup(batch=12, mode=mode), SIZE) > budget


def test_a_network_that_fits_with_no_batch_fits_with_none():
    (one,) = memory("resnet20", fits="1MB").reports
    assert (one.batch, one.peak_bytes) == (0, None)
    assert one.next_peak_bytes > 10**6


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("1.5KiB", 1536), ("3 MB", 3 * 10**6), ("7B", 7), (9, 9)]
)
def test_a_size_is_read_with_its_unit(text, size):
    assert size_of(text) == size


@pytest.mark.parametrize("text", ["8", "GB", "-1GB", "0GB", "8gb", "8 parsecs", "", "1e3GB", 0, True])
def test_what_is_no_size_is_said(text):
    with pytest.raises(OptionError, match="expected a size such as 8GB"):
        size_of(text)


def test_the_command_answers_for_several_networks_and_both_modes(cli):
    for mode in ("inference", "training"):
        done = cli("latency", "resnet20", "plain20", "--memory", "--fits", "64MiB", "--mode", mode, "-f", "json")
        table = json.loads(done.stdout)["reports"]
        assert [row["model"] for row in table] == ["resnet20", "plain20"]
        assert all(row["peak_bytes"] <= 2**26 < row["next_peak_bytes"] for row in table)
    wrong = cli("latency", "resnet20", "--memory", "--fits", "8 parsecs")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert cli("latency", "resnet20", "--fits", "8GB").returncode == 2


# -- what nobody knows ----------------------------------------------------------------------------------------


torch.library.define("kinds::scan", "(Tensor x) -> Tensor")
torch.library.impl("kinds::scan", "CompositeExplicitAutograd", lambda x: x.clone())


class Scan(nn.Module):
    """An operator of one's own, of which nothing is known."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.kinds.scan(x)


def test_what_cannot_be_classified_is_said_and_never_taken_as_nothing():
    report = cost(between(Scan()), SIZE, batch=2)
    without = predicted(cost(between(nn.Identity()), SIZE, batch=2), TRAINING)
    expected = predicted(report, TRAINING)
    said = "Sequential: 1 is of no known kind: what it keeps for the backward pass is unknown."
    assert expected.unknown == ("1",)
    assert expected.saved > without.saved
    assert said in cost_table(report).warnings
    assert not any("no known kind" in line for line in cost_table(cost("resnet20")).warnings)


def test_the_largest_batch_that_is_tried_is_not_said_to_be_the_largest_that_fits():
    done = called("latency", "resnet8", "--input", "3x1x1", "--memory", "--fits", "900TB")
    assert "1,048,576" in done.stdout
    assert "no more than 1,048,576 images were tried: more may fit" in done.stdout + done.stderr
