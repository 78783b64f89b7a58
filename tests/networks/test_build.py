"""What build() promises: the architecture's names and numbers, seeds, devices, and torch's own tools."""

import copy
import pickle

import pytest
import torch
from torch import nn
from variants import CATALOG, LARGE, VARIANTS

from resbench.arch import (
    ELU,
    GELU,
    Add,
    Aux,
    Conv2d,
    Flatten,
    Hardsigmoid,
    Hardswish,
    Identity,
    LeakyReLU,
    Linear,
    ReLU,
    ReLU6,
    Seq,
    Sigmoid,
    SiLU,
    Tanh,
    select,
    stack,
)
from resbench.arch.catalog import architecture
from resbench.costs.trace import trace
from resbench.errors import ArchitectureError
from resbench.networks.build import build

DEPTHS = ["plain20", "resnet20", "preact_resnet20", "cifar_resnet50", "resnet110"]
OTHERS = ["resnet14,norm=none", "preact_resnet14,norm=none", "resnet14,se=4", "preact_resnet20,block=bottleneck"]
OTHERS += ["googlenet,norm=bn,aux=yes", "inception_v3,aux=yes"]


@pytest.mark.parametrize("name", [*sorted(LARGE.intersection(CATALOG)), *DEPTHS, *VARIANTS, *OTHERS])
def test_names_shapes_and_parameters_are_the_architectures(name):
    """Of the rest of the catalog these are in the traced rows, which are held against the fold's."""
    arch = architecture(name)
    report = arch.cost(batch=2)
    net = build(arch, device="meta").eval()
    shapes = {}

    def note(path):
        return lambda module, inputs, output: shapes.update({path: tuple(output.shape)})

    for path, module in net.named_modules():
        module.register_forward_hook(note(path))
    net(torch.empty(2, *arch.input, device="meta"))
    for row in report.layers:
        module = net.get_submodule(row.name)
        assert type(module).__name__ == row.type
        assert sum(p.numel() for p in module.parameters()) == row.params
        if row.activations:
            assert shapes[row.name] == row.output
    assert sum(p.numel() for p in net.parameters()) == report.params


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    one, two, other = build("resnet20", seed=3), build("resnet20", seed=3), build("resnet20", seed=4)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert not torch.equal(one.get_parameter("conv1.weight"), other.get_parameter("conv1.weight"))


def test_convolutions_start_from_hes_distribution():
    net = build("resnet56")
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("layer3"):
            expected = (2 / (module.out_channels * 9)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.03)


def test_gates_start_where_the_paper_says():
    net = build("resnet20,shortcut=exclusive-gate,gate_bias=-7")
    assert net.get_parameter("layer1.0.gate.conv.bias").unique().tolist() == [-7]


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20", "resnet18", "resnet50"])
def test_zero_init_residual_starts_every_branch_at_zero(name):
    net = build(name, zero_init_residual=True).eval()
    arch = architecture(name)
    seen = []
    for module in net.modules():
        if type(module).__name__ == "Add":
            module.register_forward_hook(lambda m, inputs, output: seen.append(torch.equal(output, inputs[1])))
            module.inplace = False
    with torch.no_grad():
        net(torch.randn(1, *arch.input))
    assert seen
    assert all(seen)


def test_meta_allocates_nothing():
    net = build("resnet56", device="meta")
    assert all(p.is_meta for p in [*net.parameters(), *net.buffers()])


TOOLS = ["resnet8", "preact_resnet8", "resnet8,order=relu-only-preact,shortcut=B", "inception_a", "se_block"]


@pytest.mark.parametrize("name", [*TOOLS, "resnet8,shortcut=exclusive-gate", "resnet8,order=relu-before-add"])
def test_copies_pickles_exports_and_compiles(name):
    arch = architecture(name)
    net = build(arch).eval()
    x = torch.randn(1, arch.input[0], 32, 32)
    with torch.no_grad():
        y = net(x)
        assert torch.equal(copy.deepcopy(net)(x), y)
        assert torch.equal(pickle.loads(pickle.dumps(net))(x), y)
        torch.compiler.reset()
        assert torch.equal(torch.compile(net, fullgraph=True, backend="eager")(x), y)
        exported = torch.export.export(net, (x,)).module()
        torch.testing.assert_close(exported(x), y, rtol=1e-4, atol=1e-4)
        channels_last = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(channels_last, y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", VARIANTS)
def test_writing_in_place_changes_neither_output_nor_gradient(name):
    net = build(name)
    plain = copy.deepcopy(net)
    for module in plain.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    x = torch.randn(2, 3, 16, 16)
    outputs = []
    for each in (net, plain):
        inputs = x.clone().requires_grad_()
        torch.manual_seed(0)
        y = each(inputs)
        y.square().sum().backward()
        outputs.append([y, inputs.grad, *(p.grad for p in each.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*outputs, strict=True))


def test_in_place_is_used_where_it_is_right_and_only_there():
    def inplace(name):
        return {path: m.inplace for path, m in build(name, device="meta").named_modules() if hasattr(m, "inplace")}

    assert all(inplace("resnet20").values())
    shared = inplace("resnet20,order=relu-only-preact")  # this ReLU reads the x that the shortcut still needs
    assert not shared["layer1.1.relu1"]
    assert shared["layer1.1.relu2"]
    assert not inplace("resnet20,order=relu-before-add")["layer1.1.add"]  # ReLU's backward reads its output


def test_auxiliary_heads_answer_in_training_only():
    net = build("googlenet,norm=bn,aux=yes,classes=10")
    x = torch.randn(2, 3, 224, 224)
    assert [tuple(y.shape) for y in net(x)] == [(2, 10)] * 3
    assert net.eval()(x).shape == (2, 10)


def test_a_single_layer_and_a_hand_made_block_build():
    assert build(Conv2d(3, 8, 3))(torch.randn(1, 3, 8, 8)).shape == (1, 8, 6, 6)
    block = Seq(Add(Seq(conv=Conv2d(4, 4, 3, padding=1)), Identity()), relu=ReLU())
    x = torch.randn(1, 4, 8, 8)
    net = build(block)
    assert torch.equal(net(x), torch.relu(x + net.conv(x)))


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("kind", [ELU, GELU, Hardsigmoid, Hardswish, LeakyReLU, ReLU, ReLU6, SiLU, Sigmoid, Tanh])
def test_every_activation_is_counted_alike_in_the_expression_and_in_the_module(kind, mode):
    net = select(architecture("resnet8"), ReLU).replace(kind())
    module = build(net)
    traced, folded = trace(module, (2, *net.input), training=mode == "training"), net.cost(batch=2, mode=mode)
    assert [row[:5] for row in traced.layers] == [row[:5] for row in folded.layers]
    assert (traced.elementwise, traced.backward_macs) == (folded.elementwise, folded.backward_macs)
    assert sum(type(part).__name__ == kind.__name__ for part in module.modules()) == 7


@pytest.mark.parametrize(
    "node",
    [Seq(forward=ReLU()), stack(Seq(Aux(head=Linear(4, 2)))), Seq(Flatten(), flatten=ReLU())],
    ids=["a taken name", "aux below the top", "a name twice"],
)
def test_what_torch_cannot_hold_is_refused(node):
    with pytest.raises(ArchitectureError):
        build(node)
