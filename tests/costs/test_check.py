"""Three counters, one truth, for every line of the catalog."""

import pytest
import torch
from torch import nn
from variants import CATALOG, LARGE, VARIANTS, rows

from resbench.arch.catalog import architecture
from resbench.arch.published import PublishedCost, published_costs
from resbench.costs.check import check
from resbench.costs.measure import cost, verified
from resbench.costs.trace import trace
from resbench.networks.build import build

DEPTHS = ["plain20", "resnet56", "preact_resnet20", "cifar_resnet152", "plain110"]
OTHERS = ["resnet14,norm=none,se=4", "googlenet,norm=bn", "resnet50,stride=1x1", "resnet18,input=3x65x97"]
WITH_HEADS = ["googlenet,aux=yes", "googlenet,norm=bn,aux=yes", "inception_v3,aux=yes"]


@pytest.mark.parametrize("name", [*DEPTHS, *VARIANTS, *OTHERS])
def test_fold_and_trace_have_the_same_rows(name):
    """Name, type, shape, parameters, MACs, elementwise operations and activations of every layer."""
    arch = architecture(name)
    folded, traced = arch.cost(batch=2), trace(build(arch, device="meta"), (2, *arch.input))
    assert traced.uncounted == ()
    assert sorted(traced.layers) == sorted(folded.layers)


@pytest.mark.parametrize("name", WITH_HEADS)
def test_heads_that_do_not_run_keep_their_parameters_in_both(name):
    arch = architecture(name)
    folded, traced = arch.cost(), trace(build(arch, device="meta"), (1, *arch.input))
    for what in ("params", "macs", "elementwise"):
        assert getattr(folded, what) == getattr(traced, what)
    # in training they run
    assert trace(build(arch, device="meta"), (2, *arch.input), training=True).macs > 2 * folded.macs


def small(name):
    sides = {32: 16, 160: 64, 224: 64, 299: 75, 384: 96}
    side = architecture(name).input[-1]
    return f"{name},input=3x{sides[side]}x{sides[side]}" if side in sides else name


def zeroed(module):
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        tensor.detach().zero_()


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in (*CATALOG, *DEPTHS, *WITH_HEADS)]
)
def test_fvcore_agrees_to_the_last_mac(name):
    """With the fold and the tracer, which also have the same rows, but for heads that do not run. fvcore runs the
    network for real: on an image as small as all of its layers have room for."""
    arch = architecture(name if name in WITH_HEADS else small(name))
    module = build(arch, device="meta")
    folded, traced = arch.cost(), trace(module, (1, *arch.input))
    module.to_empty(device="cpu").apply(zeroed)
    if name not in WITH_HEADS:
        assert rows(traced) == rows(folded)
        assert traced.uncounted == ()
    result = check(arch.name, folded, traced, module)
    assert [line for line in result.lines if line.differs] == []
    lines = {line.kind: line for line in result.lines}
    assert lines["all MACs"].fold == lines["all MACs"].trace == lines["all MACs"].fvcore > 0
    assert lines["parameters"].fold == lines["parameters"].trace == lines["parameters"].fvcore


@pytest.mark.parametrize("name", published_costs())
def test_every_published_figure_agrees_or_says_why_not(name):
    from resbench.arch.published import agrees

    report = cost(name)
    for figure in published_costs()[name]:
        same = all(
            agrees(count, printed)
            for count, printed in ((report.params, figure.params), (report.macs, figure.macs))
            if printed
        )
        assert same == (not figure.remark)


def test_a_wrong_figure_or_a_wrong_counter_is_found():
    arch = architecture("resnet20")
    net = build(arch)
    right, traced = arch.cost(), trace(net, (1, 3, 32, 32))
    assert check("x", right, traced, net, (PublishedCost("0.27M", "40.55M", "right"),)).agrees
    assert not check("x", right, traced, net, (PublishedCost("0.28M", "", "wrong"),)).agrees
    assert check("x", right, traced, net, (PublishedCost("0.28M", "", "wrong", "a misprint"),)).agrees
    other = architecture("resnet20,shortcut=B").cost()
    assert {line.kind for line in check("x", other, traced, net).lines if line.differs} == {
        "convolution",
        "batch norm",
        "all MACs",
        "parameters",
    }


def test_attention_that_fvcore_passes_over_is_said(torchvision):
    result = verified("torchvision:vit_b_32")
    assert result.agrees
    assert any("scaled_dot_product_attention" in remark for remark in result.remarks)
    products = next(line for line in result.lines if line.kind in ("attention", "matrix product"))
    assert products.fvcore is None
    # its projections are matrix products too: the layer keeps them as functions
    assert products.trace == 12 * (2 * 50 * 50 * 768 + 50 * 768 * 4 * 768)


def test_verify_exits_1_when_counters_disagree(cli, tmp_path):
    (tmp_path / "odd.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Conv2d):\n"
        "    def forward(self, x):\n"  # fvcore counts what torch.jit records
        "        return super().forward(x[:, :, 1:] if torch.jit.is_tracing() else x)\n"
        "def net(): return Odd(3, 8, 1)\n"
    )
    done = cli("flops", f"file:{tmp_path}/odd.py:net", "--verify")
    assert done.returncode == 1, done.stderr
    assert "differs" in done.stdout
    assert cli("flops", "resnet20", "--verify").returncode == 0


def test_what_fvcore_passes_over_stays_blank_and_is_said(tmp_path):
    (tmp_path / "recurrent.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv, self.lstm = nn.Conv2d(3, 8, 3), nn.LSTM(8, 16, batch_first=True)\n"
        "    def forward(self, x):\n"
        "        return self.lstm(self.conv(x).flatten(2).transpose(1, 2))[0]\n"
    )
    result = verified(f"file:{tmp_path}/recurrent.py:Net,input=3x10x10")
    assert result.agrees
    assert any("lstm" in remark for remark in result.remarks)
    lines = {line.kind: line for line in result.lines}
    assert lines["convolution"].fvcore == lines["convolution"].trace == 8 * 64 * 27
    assert lines["all MACs"].fvcore is None
    assert lines["all MACs"].trace == 8 * 64 * 27 + 64 * 4 * 16 * (8 + 16)


def verified_forward(tmp_path, forward, **modules):
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        + "".join(f"        self.{name} = {made}\n" for name, made in modules.items())
        + f"    def forward(self, x):\n        return {forward}\n"
    )
    result = verified(f"file:{tmp_path}/mine.py:Net,input=3x224x224")
    return result, {line.kind: line for line in result.lines}


def test_einsum_that_fvcore_rounds_is_explained(tmp_path):
    result, lines = verified_forward(tmp_path, "torch.einsum('bchw,bdhw->bcd', x, x)")
    assert (lines["matrix product"].trace, lines["matrix product"].fvcore) == (9 * 224**2, 451_600)
    assert lines["matrix product"].verdict == lines["all MACs"].verdict == "explained"
    assert result.agrees
    assert any("four digits" in remark for remark in result.remarks)


def test_an_operator_without_a_formula_leaves_the_check_incomplete(tmp_path):
    result, lines = verified_forward(tmp_path, "self.c(torch.fft.fft2(x).abs())", c="nn.Conv2d(3, 2, 1)")
    assert lines["convolution"].verdict == "equal"
    assert lines["all MACs"].verdict == "incomplete"
    assert not result.agrees


def test_a_bilinear_layer_counts_each_weight_once_a_row(tmp_path):
    result, lines = verified_forward(tmp_path, "self.b(x[:, 0], x[:, 1])", b="nn.Bilinear(224, 224, 10)")
    assert lines["matrix product"].trace == 224 * 224 * 224 * 10
    assert lines["matrix product"].verdict == "alone"
    assert result.agrees


def test_a_module_counts_like_its_architecture():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    assert cost(net, (3, 32, 32)).macs == 8 * 30 * 30 * 27
    assert torch.is_grad_enabled()


def test_an_empty_level_has_no_row():
    from resbench.arch import ReLU, Seq
    from resbench.arch import cost as fold

    net = Seq(body=Seq(), relu=ReLU())
    assert trace(build(net), (1, 3, 8, 8)).layers == fold(net, (3, 8, 8)).layers
