"""Rules of single operators, each against a second route; and the kind under which a product stands."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it

from resbench.costs.trace import trace
from resbench.counters.watch import count
from resbench.operators.dispatch import operator_of
from resbench.workers.workload import Setup, Workload

aten = torch.ops.aten


class Call(nn.Module):
    """A function of the input and of the modules given as keywords."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *args):
        return self.function(self, *args)


def macs(function, *shapes, dtype=torch.float32):
    """Of one call, on the meta device."""
    report = trace(Call(lambda self, *args: function(*args)), tuple(torch.zeros(s, dtype=dtype) for s in shapes))
    assert report.uncounted == ()
    return report.macs


# -- matrix products under other names ----------------------------------------------------------------


def by_group(rows, weights):
    """The products of a mixture of experts, one after another."""
    return sum(n * weight.shape[0] * weight.shape[1] for n, weight in zip(rows, weights, strict=True))


@pytest.mark.parametrize(
    ("a", "b", "ends", "expected"),
    [
        ((32, 16), (3, 16, 8), (20, 27, 32), 20 * 16 * 8 + 7 * 16 * 8 + 5 * 16 * 8),  # each expert's rows
        ((16, 32), (32, 8), (16, 32), 16 * 16 * 8 + 16 * 16 * 8),  # the inner dimension, as for weights' gradients
        ((2, 16, 32), (32, 16), (8, 16), 16 * 32 * 8 + 16 * 32 * 8),  # the columns
        ((2, 24, 16), (2, 16, 8), None, 2 * 24 * 16 * 8),  # none: a batch
    ],
)
def test_a_grouped_product_is_the_sum_over_its_groups(a, b, ends, expected):
    def product(a, b):
        offsets = None if ends is None else torch.tensor(ends, dtype=torch.int32, device=a.device)
        return torch._grouped_mm(a, b, offs=offsets)

    assert macs(product, a, b, dtype=torch.bfloat16) == expected


@pytest.mark.parametrize("experts", ["eager", "grouped_mm", "batched_mm"])
def test_experts_of_hugging_face_count_the_same_whatever_runs_them(experts):
    pytest.importorskip("transformers")
    from zoos import import_torchvision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_torchvision()  # transformers imports it where it is installed
        from transformers import MixtralConfig, MixtralModel

        width, inner, tokens, heads, chosen = 32, 64, 16, 4, 2
        sizes = {"vocab_size": 100, "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": 1}
        config = MixtralConfig(**sizes, num_attention_heads=heads, num_key_value_heads=2, num_local_experts=4)
        config._experts_implementation = experts
        model = MixtralModel(config)
        report = trace(model, {"input_ids": torch.zeros(1, tokens, dtype=torch.long)})
    projections = 2 * width * width + 2 * width * width // 2
    each = 2 * inner * width + inner * width  # gate and up, down
    attention = 2 * heads * tokens * tokens * (width // heads)
    assert report.macs == tokens * (projections + 4 * width + chosen * each) + attention
    assert report.uncounted == ()


SAME_AS_MM = {
    "scaled, fp8": lambda a, b: torch._scaled_mm(
        a.to(torch.float8_e4m3fn),
        b.t().contiguous().to(torch.float8_e4m3fn).t(),
        torch.ones((), device=a.device),
        torch.ones((), device=a.device),
        out_dtype=torch.bfloat16,
    ),
    "int8 weights": lambda a, b: torch._weight_int8pack_mm(
        a.bfloat16(), b.t().contiguous().to(torch.int8), torch.ones(16, dtype=torch.bfloat16, device=a.device)
    ),
    "int8": lambda a, b: torch._int_mm(a.to(torch.int8), b.to(torch.int8)),
    "with an activation": lambda a, b: torch._addmm_activation(torch.ones(16, device=a.device), a, b, use_gelu=True),
    "into another": lambda a, b: torch.mm(a, b, out=a.new_empty(24, 16)),
    "in place": lambda a, b: a.new_empty(24, 16).addmm_(a, b),
    "of a list": lambda a, b: torch.ops.aten._foreach_mm([a], [b])[0],
}


@pytest.mark.parametrize("case", SAME_AS_MM)
def test_a_product_under_another_name_is_the_plain_one(case):
    if case == "of a list" and not hasattr(aten, "_foreach_mm"):
        pytest.skip("this torch has no such operator")
    assert macs(SAME_AS_MM[case], (24, 32), (32, 16)) == macs(torch.mm, (24, 32), (32, 16)) == 24 * 32 * 16


def test_a_convolution_over_time_is_the_one_over_channels_last():
    over_time = macs(lambda x, w, b: torch.conv_tbc(x, w, b, 1), (8, 3, 6), (3, 6, 4), (4,))
    assert over_time == macs(lambda x, w: F.conv1d(x, w, padding=1), (3, 6, 8), (4, 6, 3)) == 8 * 3 * 4 * 6 * 3


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_euclidean_distances_accumulate_squares(power):
    net = Call(lambda self, a, b: torch.cdist(a, b, p=power))
    report = trace(net, (torch.zeros(2, 5, 7), torch.zeros(2, 6, 7)))
    terms = 2 * 5 * 6 * 7
    expected = (terms, terms + 2 * 5 * 6) if power == 2 else (0, 3 * terms)
    assert (report.macs, report.elementwise) == expected
    for_real = trace(Call(lambda self, a, b: net(a, b) if bool(a.sum() == 0) else a), (torch.zeros(2, 30, 7),) * 2)
    assert for_real.macs == (2 * 30 * 30 * 7 if power == 2 else 0)  # torch has another operator there


def test_distances_between_rows_are_half_of_all():
    assert macs(torch.pdist, (6, 7)) == 6 * 5 // 2 * 7


# -- sparse -------------------------------------------------------------------------------------------

PLACES = torch.tensor([[0, 0, 1, 2, 4, 4, 4], [1, 2, 0, 3, 0, 1, 4]])


def sparse(layout):
    matrix = torch.sparse_coo_tensor(PLACES, torch.ones(7), (5, 6), check_invariants=True).coalesce()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that compressed layouts are in beta
        return matrix if layout == "coo" else matrix.to_sparse_csr()


def multiplied(a, b):
    """Products of stored elements, one by one."""
    a, b = (t.to_dense() for t in (a, b))
    return sum(int(a[i, k] != 0 and b[k, j] != 0) for i in range(5) for k in range(6) for j in range(b.shape[1]))


SPARSE = {
    "sparse.mm": (lambda a, x: torch.sparse.mm(a, x), 7 * 4),
    "@": (lambda a, x: a @ x, 7 * 4),
    "addmm": (lambda a, x: torch.addmm(torch.ones(5, 4), a, x), 7 * 4),
    "sparse.addmm": (lambda a, x: torch.sparse.addmm(torch.ones(5, 4), a, x), 7 * 4),
    "a vector": (lambda a, x: a @ x[:, 0], 7),
    "dense by sparse": (lambda a, x: torch.ones(3, 5) @ a, 3 * 7),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("case", SPARSE)
def test_a_sparse_product_counts_its_non_zeros(case, layout):
    function, expected = SPARSE[case]
    net = Call(lambda self, x: function(self.a, x))
    net.register_buffer("a", sparse(layout))
    report = trace(net, torch.ones(6, 4))
    assert (report.macs, report.uncounted) == (expected, ())


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_of_two_sparse_matrices_only_what_meets_is_multiplied(layout):
    a, b = (
        sparse(layout),
        torch.eye(6)[:, [0, 0, 3]].to_sparse(layout={"coo": torch.sparse_coo, "csr": torch.sparse_csr}[layout]),
    )
    net = Call(lambda self, x: torch.sparse.mm(self.a, self.b).to_dense() + x)
    net.register_buffer("a", a)
    net.register_buffer("b", b)
    assert trace(net, torch.ones(5, 3)).macs == multiplied(a, b) == 5


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_a_sampled_product_computes_the_pattern_alone():
    net = Call(lambda self, x: torch.sparse.sampled_addmm(self.a, x, x[:, :6].T @ x.new_ones(5, 6)).to_dense())
    net.register_buffer("a", sparse("csr"))
    assert trace(net, torch.ones(5, 6)).macs == 6 * 5 * 6 + 7 * 6


def test_places_that_are_named_twice_are_added():
    twice = torch.cat([PLACES, PLACES[:, :3]], 1)

    def forward(self, x):
        return self.relu(x + torch.sparse_coo_tensor(twice, torch.ones(10), (5, 6)).coalesce().to_dense().to(x.device))

    report = trace(Call(forward, relu=nn.ReLU()), torch.ones(5, 6))
    assert [row.elementwise for row in report.layers if row.type == "Coalesce"] == [3]


# -- quantised layers -----------------------------------------------------------------------------------


def test_a_quantised_layer_has_the_macs_of_the_one_that_it_was_made_from():
    plain = nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.ConvTranspose2d(8, 6, 3, groups=2), nn.Linear(8, 5)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves its quantisation into a package of its own
        import torch.ao.quantization as ao

        dynamic = ao.quantize_dynamic(nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 3, bias=False)), {nn.Linear})
        net = nn.Sequential(ao.QuantStub(), *plain, ao.DeQuantStub()).eval()
        net.qconfig = ao.get_default_qconfig("x86")
        net[3].qconfig = ao.QConfig(activation=ao.default_observer, weight=ao.default_weight_observer)
        prepared = ao.prepare(net)
        prepared(torch.rand(1, 4, 8, 8))
        static = ao.convert(prepared)
        report = trace(static, torch.rand(1, 4, 8, 8))
        assert (report.macs, report.uncounted) == (trace(plain, (1, 4, 8, 8)).macs, ())
        report = trace(dynamic, torch.rand(4, 8))
    assert (report.macs, report.elementwise, report.uncounted) == (4 * 8 * 5 + 4 * 5 * 3, 4 * 5, ())


# -- operators of other devices, by their shapes ----------------------------------------------------------


@pytest.mark.parametrize(("cell", "mode"), [(nn.RNN, 1), (nn.LSTM, 2), (nn.GRU, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_cudnns_recurrent_layer_is_torchs_own(cell, mode, bias):
    net = cell(6, 5, num_layers=2, bidirectional=True, bias=bias, device="meta")
    x = torch.empty(7, 3, 6, device="meta")
    args = (x, list(net.parameters()), 4, None, None, None, mode, 5, 0, 2, False, 0.0, False, True, [], None)
    work = operator_of(aten._cudnn_rnn.default).work(args, (x,))
    report = trace(net, (7, 3, 6))
    assert work == (report.macs, report.elementwise)
    assert operator_of(aten._cudnn_rnn_backward.default).work(args, (x,))[0] == 2 * report.macs


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_cudnns_convolutions_are_torchs_own(groups):
    x, w = torch.empty(2, 4, 9, 9, device="meta"), torch.empty(8, 4 // groups, 3, 3, device="meta")
    out = F.conv2d(x, w, groups=groups)
    plain = operator_of(aten.convolution.default).work((x, w, None, [1], [0], [1], False, [0], groups), out)
    assert operator_of(aten.cudnn_convolution.default).work((x, w), out) == plain
    assert operator_of(aten._conv_depthwise2d.default).work((x, w, [3, 3], None), out) == plain
    back = operator_of(aten.cudnn_convolution_transpose.default).work((out, w), x)
    assert back == operator_of(aten.convolution.default).work((out, w, None, [1], [0], [1], True, [0], groups), x)


def test_attentions_backward_pass_is_torchs_count_on_every_device():
    q, k, v = (torch.empty(2, 3, n, 4, device="meta") for n in (5, 7, 7))
    ours = operator_of(aten._scaled_dot_product_flash_attention_for_cpu_backward.default)
    theirs = operator_of(aten._scaled_dot_product_flash_attention_backward.default)
    assert theirs.own  # torch's formula
    out = (q, k, v)
    assert ours.work((q, q, k, v), out)[0] == theirs.work((q, q, k, v, None, None), out)[0] == 5 * 2 * 3 * 5 * 7 * 4


# -- the kind of a product -------------------------------------------------------------------------------


class Twice(nn.Linear):
    def forward(self, x):
        return super().forward(x) @ self.weight.new_ones(self.out_features, 2)


KINDS = {
    "plain": (nn.Linear(8, 5), (2, 3, 8), {"linear": 240}),
    "transposed view": (Call(lambda self, x: self.fc(x.mT), fc=nn.Linear(3, 5)), (2, 3, 8), {"linear": 240}),
    "without bias": (Call(lambda self, x: self.fc(x.mT), fc=nn.Linear(3, 5, bias=False)), (2, 3, 8), {"linear": 240}),
    "subclass": (Twice(8, 5), (2, 3, 8), {"linear": 240 + 60}),
    "x @ w": (Call(lambda self, x: x @ x.new_ones(8, 5)), (2, 3, 8), {"matrix product": 240}),
    "x.mT @ w": (Call(lambda self, x: x.mT @ x.new_ones(3, 5)), (2, 3, 8), {"matrix product": 240}),
    "F.linear": (Call(lambda self, x: F.linear(x, x.new_ones(5, 8))), (2, 3, 8), {"matrix product": 240}),
    "recurrent": (nn.GRU(8, 5), (2, 3, 8), {"matrix product": 6 * (15 * 8 + 15 * 5)}),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_product_stands_under_the_kind_of_its_module_whatever_the_memory_layout(case):
    model, shape, kinds = KINDS[case]
    assert dict(trace(model, shape).kinds) == kinds


def test_products_that_a_convolution_makes_for_its_weights_are_of_its_kind():
    report = trace(nn.utils.parametrizations.spectral_norm(nn.Conv1d(3, 4, 1)), (2, 3, 8), training=True)
    assert [kind for kind, _ in report.kinds] == ["convolution"]
    assert report.macs > 2 * 8 * 3 * 4


def test_the_rows_of_products_keep_their_names():
    net = Call(lambda self, x: self.relu((x @ x.new_ones(8, 5)) @ x.new_ones(2, 5, 3)), relu=nn.ReLU())
    assert [row.type for row in trace(net, (2, 3, 8)).layers] == ["Linear", "MatMul", "ReLU"]


# -- counted in a run --------------------------------------------------------------------------------------


def test_a_run_counts_by_the_same_rules():
    net = Call(lambda self, x: torch.sparse.mm(self.a, self.fc(x[0])), fc=nn.Linear(4, 3, bias=False))
    net.register_buffer("a", sparse("coo"))
    work = Workload(net, (1, 6, 4), Setup(batch=1))
    with work.ready():
        assert count(work, graph=False).totals["macs"] == 6 * 4 * 3 + 7 * 3
