"""The tracer: each operator counted once, in the right row, and the model as it was."""

import copy
import random
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it
from torch.nn.modules import module as hooks
from torch.utils.flop_counter import FlopCounterMode
from variants import CATALOG, LARGE, rows

from resbench.arch import LocalResponseNorm
from resbench.arch.catalog import architecture
from resbench.arch.cost import cost
from resbench.arch.windows import Sight
from resbench.costs.trace import trace
from resbench.errors import TraceError
from resbench.networks.build import build

IMAGE = (2, 3, 8, 8)


class Call(nn.Module):
    """A function of the input and of the modules given as keywords."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args, **kwargs):
        return self.function(self, *args, **kwargs)


def looks_at_values(module):
    """The same module, in a forward that the meta device cannot follow."""

    def forward(self, *args):
        return self.inner(*args) if bool(args[0].sum() == args[0].sum()) else None

    return Call(forward, inner=module)


def named(report):
    assert len({row.name for row in report.layers}) == len(report.layers)
    return {row.name: row for row in report.layers}


def names(report):
    return [(row.name, row.type) for row in report.layers]


# -- against the fold ---------------------------------------------------------------------------------

VARIANTS = [f"resnet14,order={order}" for order in ("original", "bn-after-add", "relu-before-add", "full-preact")]
VARIANTS += [f"resnet14,shortcut={kind}" for kind in ("none", "A", "B", "C", "scaling", "exclusive-gate", "dropout")]
VARIANTS += ["resnet14,norm=none", "resnet14,se=4", "preact_resnet20,block=bottleneck"]


@pytest.mark.parametrize("name", [*sorted(LARGE.intersection(CATALOG)), *VARIANTS])
def test_fold_and_trace_give_the_same_rows(name):
    """For the rest of the catalog this is held where fvcore counts too."""
    arch = architecture(name)
    traced = trace(build(arch, device="meta"), (2, *arch.input))
    assert traced.uncounted == ()
    assert rows(traced) == rows(arch.cost(batch=2))


def with_names(report):
    """The rows with names where there are places: what does not run stands elsewhere in a trace."""
    names = [row.name for row in report.layers]

    def named(row):
        edges = {key: [names[i] for i in getattr(row, key)] for key in ("reads", "keeps")}
        return row._replace(
            **edges, sees=[(names[one.place] if one.place >= 0 else "", one[1:]) for one in row.sees or ()]
        )

    return list(map(named, report.layers))


@pytest.mark.parametrize("name", ["googlenet,norm=bn,aux=yes", "inception_v3,aux=yes"])
def test_what_does_not_run_keeps_its_parameters_only(name):
    arch = architecture(name)
    fold, traced = arch.cost(), trace(build(arch, device="meta"), (1, *arch.input))
    idle = [row for row in traced.layers if not row.activations]
    assert [row for row in with_names(traced) if row.activations] == [
        row for row in with_names(fold) if row.activations
    ]
    assert [(row.name, row.params) for row in idle] == [
        (row.name, row.params) for row in fold.layers if row.params and not row.activations
    ]
    assert {row[4:7] for row in idle} == {(0, 0, 0)}


def test_local_response_norm_is_the_folds():
    ours, theirs = cost(LocalResponseNorm(5), (16, 8, 8)), trace(nn.LocalResponseNorm(5), (1, 16, 8, 8))
    assert theirs.elementwise == ours.elementwise == 10 * 16 * 8 * 8


# -- against torch's counter --------------------------------------------------------------------------


def sdpa(heads, **options):
    def forward(self, x):
        q, k = x.view(2, 6, 4, 4).transpose(1, 2), x[:, :4].view(2, heads, -1, 4)
        return F.scaled_dot_product_attention(q, k, k, **options)

    return Call(forward)


MATRICES = {
    "conv1d, dilated": (nn.Conv1d(16, 8, 3, dilation=2), (2, 16, 9)),
    "conv2d, grouped": (nn.Conv2d(16, 8, (3, 1), stride=2, groups=4), (2, 16, 9, 7)),
    "conv3d, no bias": (nn.Conv3d(4, 8, 3, padding=1, bias=False), (2, 4, 5, 6, 7)),
    "conv2d, unbatched": (nn.Conv2d(3, 8, 3), (3, 9, 9)),
    "transposed": (nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1), (2, 16, 5, 7)),
    "transposed, grouped": (nn.ConvTranspose2d(16, 8, 4, stride=2, groups=4, dilation=2), (2, 16, 5, 7)),
    "linear": (nn.Linear(16, 8), (6, 16)),
    "linear on tokens": (nn.Linear(16, 8, bias=False), (2, 5, 16)),
    "einsum": (Call(lambda self, x: torch.einsum("bij,bkj->bik", x, x)), (2, 6, 16)),
    "matmul, broadcast": (Call(lambda self, x: x.unsqueeze(1) @ x.mT), (2, 6, 16)),
    "baddbmm": (Call(lambda self, x: torch.baddbmm(x[:, :, :6], x, x.mT)), (2, 6, 16)),
    "attention": (sdpa(4), (2, 6, 16)),
    "attention, causal": (sdpa(4, is_causal=True), (2, 6, 16)),
    "attention, grouped queries": (sdpa(2, enable_gqa=True), (2, 6, 16)),
    "transformer": (nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), (2, 6, 16)),
    "lstm": (nn.LSTM(16, 5, num_layers=2, bidirectional=True, batch_first=True), (2, 6, 16)),
    "lstm, projected": (nn.LSTM(16, 5, proj_size=3), (2, 6, 16)),
    "gru": (nn.GRU(16, 5, bias=False), (2, 6, 16)),
    "rnn": (nn.RNN(16, 5, nonlinearity="relu"), (2, 6, 16)),
    "lstm cell": (nn.LSTMCell(16, 5), (6, 16)),
    "gru cell": (nn.GRUCell(16, 5), (6, 16)),
}


@pytest.mark.parametrize("case", MATRICES)
def test_macs_are_those_of_torchs_counter(case):
    model, shape = MATRICES[case]
    meta = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as theirs:
        meta(torch.empty(shape, device="meta"))
    report = trace(model, shape)
    assert report.flops == theirs.get_total_flops() > 0
    assert report.params == sum(p.numel() for p in model.parameters())
    assert report.uncounted == ()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("case", MATRICES)
def test_a_real_run_counts_the_same_macs(case):  # other kernels: fused attention, mkldnn's LSTM
    model, shape = MATRICES[case]
    report = trace(looks_at_values(model), shape)
    assert report.macs == trace(model, shape).macs
    assert report.uncounted == ()


@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_lstm_does_the_elementwise_work_of_its_steps(bias):
    lstm = nn.LSTM(16, 5, bias=bias)
    fused = named(trace(looks_at_values(lstm), (2, 6, 16)))["inner"]
    steps = named(trace(lstm, (2, 6, 16)))["lstm"]
    assert fused == steps._replace(name="inner", kept_bytes=fused.kept_bytes)  # what lies between the steps differs


@pytest.mark.parametrize(("heads", "options"), [(4, {}), (2, {"enable_gqa": True})])
def test_attention_is_two_products_for_every_query_head(heads, options):
    q, k = torch.randn(2, 4, 5, 16), torch.randn(2, heads, 7, 16)
    net = Call(lambda self, q, k: F.scaled_dot_product_attention(q, k, k, **options))
    assert trace(net, (q, k)).macs == trace(looks_at_values(net), (q, k)).macs == 2 * (2 * 4 * 5 * 7 * 16)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_multihead_attention_is_one_row_with_all_its_parameters(need_weights, training):
    model, x = nn.MultiheadAttention(16, 4, batch_first=True), torch.randn(2, 5, 16)
    inputs = {"query": x, "key": x, "value": x, "need_weights": need_weights}
    (row,) = trace(Call(lambda self, **k: self.mha(**k), mha=model), inputs, training=training).layers
    assert row[:4] == ("mha", "MultiheadAttention", (2, 5, 16), sum(p.numel() for p in model.parameters()))
    assert row.macs == 4 * (2 * 5 * 16 * 16) + 2 * (2 * 5 * 5 * 16)


def test_vector_products_are_counted():
    net = Call(lambda self, x: torch.addmv(x @ x[0], x, x[1]).dot(x[0]))
    assert trace(net, (4, 4)).macs == 16 + 16 + 4


# -- elementwise --------------------------------------------------------------------------------------

SIZE = 2 * 4 * 8 * 8
ELEMENTWISE = [
    *[(m, 1) for m in (nn.ReLU(), nn.ReLU6(), nn.GELU(), nn.SiLU(), nn.Hardswish(), nn.Sigmoid(), nn.PReLU())],
    *[(m, 1) for m in (nn.LogSigmoid(), nn.Softplus(), nn.LeakyReLU(), nn.Hardtanh(), nn.Mish(), nn.RReLU())],
    *[(m, 0) for m in (nn.Dropout(), nn.PixelShuffle(2), nn.ChannelShuffle(2), nn.ZeroPad2d(1), nn.Upsample((9, 9)))],
    *[(m, 1) for m in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.AdaptiveAvgPool2d(4), nn.GLU())],
    *[(m, 2) for m in (nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.InstanceNorm2d(4))],
    *[(nn.LayerNorm(8), 5), (nn.GroupNorm(2, 4), 5), (nn.GroupNorm(2, 4, affine=False), 4), (nn.Softmax(1), 3)],
    *[(nn.MaxPool2d(3, stride=1, padding=1), 9), (nn.Upsample(scale_factor=2, mode="bilinear"), 16)],
]


@pytest.mark.parametrize(("module", "operations"), ELEMENTWISE, ids=str)
def test_operations_an_element(module, operations):
    (row,) = trace(module, (2, 4, 8, 8)).layers
    assert (row.macs, row.elementwise) == (0, operations * SIZE)


def test_an_operator_without_a_formula_is_listed_with_its_calls():
    report = trace(Call(lambda self, x: torch.linalg.qr(torch.linalg.qr(x).Q).Q + torch.fft.fft(x).real), (4, 4))
    assert report.uncounted == (("aten._fft_r2c", 1), ("aten.linalg_qr", 2))
    assert report.elementwise == 16


def test_a_custom_operator_is_listed():
    with torch.library._scoped_library("resbench_test", "DEF") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: torch.empty_like(x), "CompositeExplicitAutograd")
        report = trace(Call(lambda self, x: torch.ops.resbench_test.twice(x)), (4, 4))
    assert report.uncounted == (("resbench_test.twice", 1),)


# -- rows -----------------------------------------------------------------------------------------------


def test_functional_operators_of_a_container_are_rows_below_it():
    def block(self, x):
        y = F.relu(self.conv(x))
        y += x
        y = torch.cat([y * x, F.linear(y, self.weight)], 1)
        return (y + 1).flatten(1).view(2, -1)

    inner = Call(block, conv=nn.Conv2d(3, 3, 1), weight=nn.Parameter(torch.ones(8, 8)))
    report = trace(nn.Sequential(nn.Sequential(inner, nn.Flatten()), nn.Identity()), IMAGE)
    assert names(report) == [
        ("0.0.conv", "Conv2d"),
        ("0.0.relu", "ReLU"),
        ("0.0.add", "Add"),
        ("0.0.mul", "Mul"),
        ("0.0.linear", "Linear"),
        ("0.0.concat", "Concat"),
        ("0.0.add_1", "Add"),
        ("0.0", "Call"),  # the parameter that is its own
    ]
    rows = named(report)
    assert rows["0.0.concat"][2:7] == ((2, 6, 8, 8), 0, 0, 0, 768)
    assert rows["0.0"][2:7] == ((), 64, 0, 0, 0)
    assert rows["0.0.linear"].macs == 384 * 8


def test_an_operator_never_takes_the_name_of_a_module():
    net = Call(lambda self, x: self.add(x) + x, add=nn.ReLU())
    assert names(trace(net, IMAGE)) == [("add", "ReLU"), ("add_1", "Add")]


def test_a_module_called_twice_works_twice_and_has_its_parameters_once():
    net = Call(lambda self, x: self.conv(self.conv(x)), conv=nn.Conv2d(3, 3, 1))
    first, second = trace(net, IMAGE).layers
    assert (first.name, first.params) == ("conv", 12)
    assert second == first._replace(params=0, trainable=0, param_bytes=0, reads=(0,), keeps=(0,), sees=(Sight(0),))


def test_tied_weights_count_once():
    for device in ("cpu", "meta"):
        net = nn.Sequential(nn.Linear(4, 4, device=device), nn.Linear(4, 4, device=device))
        net[1].weight = net[0].weight
        report = trace(net, (1, 4))
        assert (report.params, report.macs) == (24, 32)
        assert [row.params for row in report.layers] == [20, 4]


def test_parametrized_weights_belong_to_their_layer():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 1, bias=False)), nn.ReLU())
    row, relu = trace(net, IMAGE).layers
    assert (row.name, row.params, row.macs) == ("0", 24 + 8, 24 * 2 * 64)
    assert relu.name == "1"


def test_modules_that_the_model_does_not_register_belong_to_their_caller():
    hidden = [nn.Conv2d(3, 3, 1)]
    net = Call(lambda self, x: self.relu(hidden[0](x)), relu=nn.ReLU())
    report = trace(net, IMAGE)
    assert names(report) == [("conv", "Conv"), ("relu", "ReLU")]
    assert report.params == 0


# -- inputs -----------------------------------------------------------------------------------------------


def test_every_form_of_input():
    x, net = torch.randn(IMAGE), nn.Conv2d(3, 8, 1)
    report = trace(net, IMAGE, name="n", source="s")
    assert (report.model, report.source, report.input) == ("n", "s", IMAGE)
    for inputs in (x, (x,), {"input": x}, x.to("meta")):
        assert trace(net, inputs).layers == report.layers
    nested = Call(lambda self, a, *, b: self.conv(a[0] + b["c"][0]), conv=net)
    assert trace(nested, {"a": [x], "b": {"c": (x, 1)}}).macs == report.macs
    assert trace(Call(lambda self, i: self.table(i), table=nn.Embedding(9, 4)), torch.tensor([[1, 8]])).params == 36


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("wrap", [lambda m: m, looks_at_values])
def test_a_shape_becomes_an_input_in_the_models_precision(dtype, wrap):
    def forward(self, x):
        assert x.dtype == dtype
        return self.conv(x)

    net = wrap(Call(forward, conv=nn.Conv2d(3, 8, 1).to(dtype)))
    assert trace(net, IMAGE).macs == 24 * 2 * 64


def test_the_callers_tensor_is_not_written_into():
    x = torch.zeros(IMAGE)
    trace(looks_at_values(Call(lambda self, x: x.add_(1))), x)
    assert not x.any()


# -- forwards that look at values ---------------------------------------------------------------------------

LOOKS = {
    "item": lambda self, x: self.conv(x * x.sum().item()),
    "branch": lambda self, x: self.conv(x) if x.sum() != 0 else x,
    "numpy": lambda self, x: self.conv(x + float(x.numpy().sum())),
    "mask": lambda self, x: self.conv(x) + x[x > 0].sum(),
    "buffer": lambda self, x: self.conv(x) if self.buffer.item() == 1 else x,
}


def looking(case):
    net = Call(LOOKS[case], conv=nn.Conv2d(3, 8, 1))
    net.register_buffer("buffer", torch.ones(()))
    return net


@pytest.mark.parametrize("case", LOOKS)
def test_control_flow_runs_for_real(case):
    assert named(trace(looking(case), IMAGE))["conv"].macs == 24 * 2 * 64


@pytest.mark.parametrize("case", [case for case in LOOKS if case != "numpy"])
def test_control_flow_without_values_says_what_to_do(case):
    with pytest.raises(TraceError, match=r"^Call \(Call\) failed on 2x3x8x8: .*give the model weights") as error:
        trace(looking(case).to("meta"), IMAGE)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_that_the_forward_makes_need_no_values(device):
    net = Call(lambda self, x: self.fc(x + torch.arange(4) * torch.ones(4)), fc=nn.Linear(4, 4)).to(device)
    assert trace(net, (1, 4)).macs == 16


# -- lazy, compiled, wrapped ----------------------------------------------------------------------------------


def test_a_lazy_model_stays_lazy():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(10))
    kinds, weight = [type(m) for m in net], net[0].weight.clone()
    same = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 10))
    assert trace(net, IMAGE).layers == trace(same, IMAGE).layers
    assert [type(m) for m in net] == kinds
    assert all(m.has_uninitialized_params() for m in (net[1], net[2], net[4]))
    assert torch.equal(net[0].weight, weight)


def test_compiled_models_count_as_what_they_compile():
    block = Call(
        lambda self, x: F.relu(self.conv(x)), conv=nn.Conv2d(3, 8, 1)
    )  # torch skips a frame of its own classes
    plain = trace(nn.Sequential(block, nn.Flatten()), IMAGE)
    whole = torch.compile(nn.Sequential(block, nn.Flatten()), backend="eager")
    part = nn.Sequential(torch.compile(block, backend="eager", fullgraph=True), nn.Flatten())
    in_place = nn.Sequential(copy.deepcopy(block), nn.Flatten())
    in_place[0].compile(backend="eager", fullgraph=True)
    for net in (whole, part, in_place):
        net(torch.zeros(IMAGE))  # it has run compiled before
        assert trace(net, IMAGE).layers == plain.layers
        assert trace(looks_at_values(net), IMAGE).macs == plain.macs
    assert type(part[0]).__name__ == "OptimizedModule"


def test_a_parallel_wrapper_is_its_module():
    block = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
    assert trace(nn.DataParallel(block), IMAGE).layers == trace(block, IMAGE).layers


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(module)


def test_torchscript_is_refused_in_one_line():
    with pytest.raises(TraceError, match=r"^RecursiveScriptModule is TorchScript.*: trace the module it was made from"):
        trace(scripted(nn.Linear(4, 4)), (1, 4))


@pytest.mark.parametrize("training", [False, True])
def test_beside_a_torchscript_child_the_rest_is_counted_and_the_child_named(training):
    net = nn.Sequential(nn.Linear(4, 5), scripted(nn.Linear(5, 6)), nn.Linear(6, 7))
    cost = trace(net, (1, 4), training=training)
    assert [(row.name, row.params, row.macs) for row in cost.layers] == [("0", 25, 20), ("1", 36, 0), ("2", 49, 42)]
    assert cost.uncounted == (("1 in TorchScript", 1),)
    assert cost.backward_macs == (20 + 2 * 42 if training else None)
    assert (cost.layers[1].kind, cost.layers[1].reads, cost.layers[2].reads) == ("unknown", (0,), (1,))


# -- failures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_failure_names_the_module_its_input_and_the_reason(device):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.ReLU(), nn.Linear(4, 4))).to(device)
    wanted = r"^tiny\.1\.1 \(Linear\) failed on 2x8x6x6: RuntimeError: (mat1 and mat2 shapes|a and b must have)"
    with pytest.raises(TraceError, match=wanted) as error:
        trace(net, IMAGE, name="tiny")
    assert "\n" not in str(error.value)
    with pytest.raises(TraceError, match=r"^Sequential\.0 \(Conv2d\) failed on 4x8x8: "):
        trace(net, (1, 4, 8, 8))


def test_a_failure_between_modules_is_its_containers():
    net = nn.Sequential(Call(lambda self, x: self.relu(x) + torch.ones(7, device=x.device), relu=nn.ReLU()))
    with pytest.raises(TraceError, match=r"^Sequential\.0 \(Call\) failed on 2x3x8x8: RuntimeError: The size"):
        trace(net, IMAGE)


@pytest.mark.parametrize(
    "inputs", [(1, -3, 8, 8), (2**40, 2**40), "image", (), {"image": torch.zeros(1)}, None], ids=str
)
def test_inputs_that_no_model_takes(inputs):
    with pytest.raises(TraceError, match="failed"):
        trace(nn.Conv2d(3, 8, 3), inputs)


def test_what_a_model_catches_does_not_shift_the_rows():
    def forward(self, x):
        try:
            self.linear(x)
        except RuntimeError:
            x = self.conv(x)
        return x + 1

    inner = Call(forward, linear=nn.Linear(5, 5), conv=nn.Conv2d(3, 8, 1))
    report = trace(nn.Sequential(inner, nn.ReLU()), IMAGE)
    assert [row.name for row in report.layers] == ["0.linear", "0.conv", "0.add", "1"]
    assert report.params == 30 + 32


# -- the model as it was -------------------------------------------------------------------------------------------


def everything(model):
    """What a trace may not change, by identity and by value."""
    return (
        {key: value.clone() for key, value in model.state_dict().items()},
        [(path, id(m), m.training, dict(vars(m)).keys(), list(m._forward_hooks)) for path, m in model.named_modules()],
        [(id(p), p._version, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [(id(b), b._version) for b in model.buffers()],
        [[id(w) for w in m._flat_weights] for m in model.modules() if isinstance(m, nn.RNNBase)],
        torch.random.get_rng_state(),
        random.getstate(),
        [list(map(float, part)) if isinstance(part, np.ndarray) else part for part in np.random.get_state()],
        [len(table) for name, table in vars(hooks).items() if name.startswith("_global_") and isinstance(table, dict)],
        (torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled(), torch.get_default_device()),
    )


def untidy(look, fail):
    """A forward that writes wherever it can."""

    def forward(self, x):
        self.last, self.calls = x, self.calls + 1
        self.seen += 1
        self.added = nn.Linear(2, 2)
        random.random(), np.random.rand(), torch.rand(1)
        y = self.drop(self.norm(self.conv(x)))
        if look:
            assert y.sum().item() is not None
        if fail:
            raise KeyError("no")
        return self.rnn(y.flatten(2))[0]

    modules = {"conv": nn.Conv2d(3, 4, 1), "norm": nn.BatchNorm2d(4), "drop": nn.Dropout(), "rnn": nn.LSTM(64, 5)}
    net = Call(forward, **modules)
    net.calls = 0
    net.register_buffer("seen", torch.zeros(()))
    net.norm.eval()
    net.conv.register_forward_hook(lambda *args: None)
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    return net


@pytest.mark.parametrize("look", [False, True])
@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_trace_leaves_no_mark(look, fail, training):
    net = untidy(look, fail)
    before = everything(net)
    try:
        report = trace(net, IMAGE, training=training)
        assert report.params == sum(p.numel() for p in net.parameters())
    except TraceError:
        assert fail
    assert_same(everything(net), before)


def assert_same(one, other):
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other


@pytest.mark.parametrize("training", [False, True])
def test_every_module_runs_in_the_mode_asked_for(training):
    def forward(self, x):
        assert {m.training for m in self.modules()} == {training}
        return self.drop(x)

    net = Call(forward, drop=nn.Dropout().eval())
    assert named(trace(net, IMAGE, training=training))["drop"].activations == 384
    assert net.training
    assert not net.drop.training


def test_tracing_allocates_no_weights():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2**20, 2**20), nn.ReLU())  # 4 TiB in float32
    assert trace(net, (2**10, 2**20)).macs == 2**50
