"""`flops --verify`: what counters say of forms of one sum, and what fvcore is known not to count."""

import pytest
import torch
from torch import nn

from resbench.arch.catalog import architecture
from resbench.costs.check import check
from resbench.costs.measure import verified
from resbench.costs.trace import trace
from resbench.errors import TraceError
from resbench.networks.build import build


class Fn(nn.Module):
    """A function of the input and of these modules."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x):
        return self.function(x, *self.parts)


def checked(module, *shape):
    result = check("mine", None, trace(module, shape), module)
    return result, {line.kind: line for line in result.lines}


def of(line):
    return line.trace, line.fvcore, line.verdict


# -- kinds ------------------------------------------------------------------------------------------

LAYOUTS = {
    "rows": lambda x, layer: layer(x.flatten(1)),
    "a view that is transposed": lambda x, layer: layer(x.flatten(2).transpose(1, 2).repeat(1, 1, 64)),
    "channels last": lambda x, layer: layer(x.repeat(1, 64, 1, 1).permute(0, 2, 3, 1)),
    "one vector": lambda x, layer: layer(x[0].flatten()),
    "expanded": lambda x, layer: layer(x.flatten(1)[:, None].expand(-1, 5, -1)),
}
ROWS = {"rows": 1, "a view that is transposed": 64, "channels last": 64, "one vector": 1, "expanded": 5}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_linear_layer_is_linear_whatever_the_layout_of_its_input(layout, bias):
    result, lines = checked(Fn(LAYOUTS[layout], nn.Linear(192, 10, bias)), 1, 3, 8, 8)
    assert of(lines["linear"]) == (ROWS[layout] * 1920, ROWS[layout] * 1920, "equal")
    assert "matrix product" not in lines
    assert result.agrees
    assert result.remarks == ()


PRODUCTS = {
    "@": lambda x, w: x @ w,
    "mm": lambda x, w: torch.mm(x[0], w),
    "bmm": lambda x, w: torch.bmm(x, w[None]),
    "addmm": lambda x, w: torch.addmm(w[0], x[0], w),
    "einsum": lambda x, w: torch.einsum("bik,kj->bij", x, w),
    "F.linear": lambda x, w: nn.functional.linear(x, w.t()),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_product_outside_a_linear_layer_is_a_matrix_product_by_any_name(product):
    module = Fn(lambda x, *_: PRODUCTS[product](x, module.weight))
    module.weight = nn.Parameter(torch.ones(4, 5))
    result, lines = checked(module, 1, 6, 4)
    assert of(lines["matrix product"])[:2] == (120, 120)
    assert "linear" not in lines
    assert result.agrees


def test_a_subclass_and_a_root_linear_layer_are_linear():
    class Mine(nn.Linear):
        def forward(self, x):
            return x @ self.weight.t()

    for module in (Mine(4, 5), nn.Sequential(Mine(4, 5))):
        result, lines = checked(module, 1, 6, 4)
        assert of(lines["linear"]) == (120, 120, "equal")
        assert result.agrees


def test_a_parametrization_works_for_the_layer_that_it_is_in():
    class Turned(nn.Module):
        def forward(self, weight):
            return torch.eye(5, device=weight.device) @ weight

    layer = nn.utils.parametrize.register_parametrization(nn.Linear(4, 5), "weight", Turned())
    result, lines = checked(nn.Sequential(layer), 1, 6, 4)
    assert of(lines["linear"]) == (120 + 100, 120 + 100, "equal")
    assert result.agrees


CONVOLUTIONS = {
    "transposed in groups": (nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (1, 4, 5, 5), 25 * 4 * 3 * 9),
    "1-d": (nn.Conv1d(4, 6, 3, padding=1), (1, 4, 10), 10 * 6 * 12),
    "3-d": (nn.Conv3d(1, 2, 3), (1, 1, 5, 5, 5), 27 * 2 * 27),
    "no batch": (nn.Conv2d(4, 6, 1), (4, 5, 5), 25 * 24),
    "depthwise": (nn.Conv2d(4, 8, 3, groups=4, padding_mode="reflect", padding=1), (1, 4, 5, 5), 25 * 8 * 9),
}


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_every_convolution_agrees(form):
    module, shape, macs = CONVOLUTIONS[form]
    result, lines = checked(module, *shape)
    assert of(lines["convolution"]) == (macs, macs, "equal")
    assert result.agrees


# -- what fvcore is known not to count ----------------------------------------------------------------


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x @ x


KNOWN = {
    "same": (nn.Conv2d(3, 4, 3, padding="same"), "convolution", 8 * 8 * 4 * 27, "aten::_convolution_mode"),
    "vector": (Fn(lambda x: x[0, 0] @ x[0, 1, 0]), "matrix product", 64, "fails in its formula for aten::matmul"),
    "broadcast": (Fn(lambda x: x[0, 0] @ x), "matrix product", 3 * 512, "aten::matmul broadcasts"),
    "no sum": (Fn(lambda x: torch.einsum("bchw,bc->bchw", x, x[..., 0, 0])), "matrix product", 0, "as numpy would"),
    "recurrent": (Fn(lambda x, r: r(x[0])[0], nn.GRU(8, 5)), None, 3 * 8 * 15 * 13, "aten::gru"),
    "function": (Fn(lambda x: Squared.apply(x)), "matrix product", 3 * 512, "prim::PythonOp.Squared"),
}


@pytest.mark.parametrize("form", KNOWN)
def test_what_fvcore_does_not_count_is_its_gap_and_no_difference(form):
    module, kind, macs, reason = KNOWN[form]
    result, lines = checked(module, 1, 3, 8, 8)
    assert result.agrees
    assert any(remark.startswith("fvcore") and reason in remark for remark in result.remarks), result.remarks
    assert (lines["all MACs"].trace, lines["all MACs"].fvcore) == (macs, None)
    if kind in lines:
        assert (lines[kind].trace, lines[kind].fvcore) == (macs, None)


def test_a_gap_in_one_kind_leaves_the_other_kinds_their_figures():
    parts = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 3, padding="same"), nn.Linear(8, 5)
    module = Fn(lambda x, conv, same, linear: linear(same(conv(x))), *parts)
    result, lines = checked(module, 1, 3, 8, 8)
    assert of(lines["linear"]) == (4 * 64 * 5, 4 * 64 * 5, "equal")
    assert lines["convolution"].fvcore is None
    assert result.agrees


def test_a_complex_product_which_fvcore_takes_for_a_real_one_is_its_gap():
    module = Fn(lambda x: torch.view_as_real(torch.complex(x, x) @ torch.complex(x, x)))
    result, lines = checked(module, 1, 3, 8, 8)
    assert lines["matrix product"].fvcore is None
    assert "fvcore counts a complex product as a real one (1 call)" in result.remarks
    assert result.agrees


def test_a_complex_convolution_which_torch_takes_apart_is_its_gap():
    conv = nn.Conv2d(3, 4, 3, dtype=torch.complex64)
    result, lines = checked(Fn(lambda x, conv: torch.view_as_real(conv(torch.complex(x, x))), conv), 1, 3, 8, 8)
    assert lines["convolution"].fvcore is None
    assert "fvcore counts a complex convolution as three real ones (3 calls)" in result.remarks
    assert result.agrees


def test_what_only_sounds_like_a_product_is_not_named():
    def forward(x, conv):
        x = torch.cummax(nn.functional.interpolate(x[:, :, 0], 16, mode="linear"), 1).values[:, :, None]
        return conv(x)

    result, lines = checked(Fn(forward, nn.Conv2d(3, 3, 1)), 1, 3, 8, 8)
    assert of(lines["convolution"]) == (16 * 9, 16 * 9, "equal")
    assert not any("fvcore" in remark for remark in result.remarks)


NORMS = {
    "by the batch": (nn.BatchNorm2d(3, track_running_stats=False), "own statistics"),
    "without weights": (nn.BatchNorm2d(3, affine=False), "without weights"),
    "of instances": (nn.InstanceNorm2d(3), "instance norm"),
}


@pytest.mark.parametrize("form", NORMS)
def test_a_norm_that_fvcore_counts_by_another_rule_is_no_difference(form):
    module, reason = NORMS[form]
    result, lines = checked(nn.Sequential(nn.Conv2d(3, 3, 1), module), 2, 3, 8, 8)
    assert lines["batch norm"].fvcore is None
    assert any(reason in remark for remark in result.remarks)
    assert result.agrees


def test_pooling_windows_that_overlap_are_no_difference():
    for size, theirs in ((1, 192), (4, 192), (5, None)):
        for pool in (nn.AdaptiveAvgPool2d(size), Fn(lambda x, size=size: nn.functional.adaptive_avg_pool2d(x, size))):
            result, lines = checked(nn.Sequential(nn.Conv2d(3, 3, 1), pool), 1, 3, 8, 8)
            assert result.agrees
            if "adaptive pooling" in lines:
                assert lines["adaptive pooling"].fvcore == theirs


def test_a_pooling_of_one_dimension_and_distances_are_gaps_of_fvcore():
    pool = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(2), nn.AdaptiveAvgPool1d(4))
    result, lines = checked(pool, 1, 3, 8, 8)
    assert lines["adaptive pooling"].trace == 3 * 64
    assert "fvcore has no formula for aten::adaptive_avg_pool1d (1 call)" in result.remarks
    assert result.agrees
    result, lines = checked(Fn(lambda x, conv: conv(x) + torch.pdist(x[0, 0]).sum(), nn.Conv2d(3, 3, 1)), 1, 3, 8, 8)
    assert lines["matrix product"].trace == 28 * 8
    assert "fvcore has no formula for aten::pdist (1 call)" in result.remarks
    assert result.agrees


# -- code whose result is not used --------------------------------------------------------------------


def test_dead_code_that_fvcore_drops_is_said_with_its_macs():
    def forward(x, conv, dead):
        dead(x)
        torch.mm(x[0, 0], x[0, 1])
        return conv(x)

    result, lines = checked(Fn(forward, nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1)), 1, 3, 8, 8)
    assert of(lines["convolution"]) == (64 * 18, 64 * 12, "explained")
    assert of(lines["matrix product"]) == (512, 0, "explained")
    assert of(lines["all MACs"]) == (64 * 18 + 512, 64 * 12, "explained")
    assert result.agrees
    assert "fvcore drops 384 MACs (convolution): their result is not used" in result.remarks
    assert "fvcore drops 512 MACs (matrix product): their result is not used" in result.remarks


def test_a_write_into_a_view_keeps_what_was_written():
    def forward(x, conv, linear):
        y = conv(x)
        y[:, 0] = linear(x[:, 0])
        return y

    result, _ = checked(Fn(forward, nn.Conv2d(3, 4, 1), nn.Linear(8, 8)), 1, 3, 8, 8)
    assert result.agrees


class Unlike(nn.Module):
    """Does more where torch.jit does not look: nobody's gap."""

    def __init__(self):
        super().__init__()
        self.conv, self.dead, self.more = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        self.dead(x)
        return self.conv(x if torch.jit.is_tracing() else self.more(x))


def test_a_true_difference_beside_dead_code_stays_a_difference():
    result, lines = checked(Unlike(), 1, 3, 8, 8)
    assert of(lines["convolution"]) == (64 * 27, 64 * 12, "differs")
    assert not result.agrees


# -- a counter that fails ----------------------------------------------------------------------------


class NoJit(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        if torch.jit.is_tracing():
            raise ValueError("not under torch.jit")
        return self.conv(x)


def test_where_fvcore_fails_its_column_is_blank_and_says_why():
    result, lines = checked(NoJit(), 1, 3, 8, 8)
    assert {line.fvcore for line in result.lines} == {None}
    assert lines["all MACs"].trace == 64 * 12
    assert any("not under torch.jit" in remark for remark in result.remarks)
    assert result.agrees


MINE = """
import torch
from torch import nn

class NoTracer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        if not torch.jit.is_tracing():
            raise ValueError("only under torch.jit")
        return self.conv(x)

class Neither(NoTracer):
    def forward(self, x):
        raise ValueError("never")
"""


def test_where_the_tracer_fails_its_column_is_blank_and_the_check_incomplete(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    result = verified(f"file:{tmp_path}/mine.py:NoTracer,input=3x8x8")
    lines = {line.kind: line for line in result.lines}
    assert of(lines["convolution"]) == (None, 64 * 12, "alone")
    assert of(lines["all MACs"]) == (None, 64 * 12, "incomplete")
    assert any(remark.startswith("the tracer: ") and "only under" in remark for remark in result.remarks)
    assert not result.agrees
    with pytest.raises(TraceError, match="no counter"):
        verified(f"file:{tmp_path}/mine.py:Neither,input=3x8x8")


def test_where_the_fold_or_the_tracer_fails_the_others_are_held_together():
    arch = architecture("resnet20")
    net = build(arch)
    alone = check("resnet20", arch.cost(), None, net, inputs=(1, 3, 32, 32), failed=["the tracer: no"])
    lines = {line.kind: line for line in alone.lines}
    assert lines["convolution"].fold == lines["convolution"].fvcore > 0
    assert lines["convolution"].verdict == "equal"
    assert lines["all MACs"].verdict == "incomplete"
    assert alone.remarks == ("the tracer: no",)


class Late(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        x = self.conv(x).flatten(1)
        if not hasattr(self, "late"):
            self.late = nn.Linear(x.shape[1], 5)
        return self.late(x)


def test_a_layer_that_the_forward_makes_is_one_for_fvcore_too():
    from resbench.costs.fvcore_counts import fvcore_counts

    counts = fvcore_counts(Late(), (1, 3, 8, 8))
    assert counts.kinds == {"convolution": 64 * 12, "linear": 256 * 5}
    assert counts.params == 3 * 4 + 4 + 256 * 5 + 5


def test_a_branch_on_values_is_the_same_branch_for_both():
    def forward(x, one, other):
        return one(x) if x.sum() > 0 else other(other(x))

    result, lines = checked(Fn(forward, nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3, padding=1)), 1, 3, 8, 8)
    assert lines["convolution"].verdict == "equal"
    assert result.agrees
