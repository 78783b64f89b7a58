"""What moves, makes, draws or compares data is free; what multiplies is never taken for free."""

import re
from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it

from resbench.costs.trace import trace
from resbench.operators.dispatch import operator_of

SHAPE = (2, 4, 6, 8)
MACS = prod(SHAPE[:-1]) * 8 * 5


class Behind(nn.Module):
    """A function of the input in front of a linear layer."""

    def __init__(self, function):
        super().__init__()
        self.function, self.fc = function, nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.function(x))


def whole(x, *shape):
    return torch.zeros(shape, dtype=torch.long, device=x.device)


def looked(function):
    """The same behind a look at values, which the meta device does not have."""
    return lambda x: function(x) if bool(x.sum() == x.sum()) else x


MOVES = {
    "squeeze_": lambda x: x.clone().unsqueeze_(0).squeeze_(0),
    "transpose_": lambda x: x.clone().transpose_(1, 2).transpose_(1, 2),
    "t_": lambda x: x.flatten(0, 2).clone().t_().t().view(SHAPE),
    "swapaxes_": lambda x: x.clone().swapaxes_(0, 1).swapaxes(0, 1),
    "topk": lambda x: x.topk(8, -1).values,
    "sort": lambda x: x.sort(dim=-1, stable=True).values,
    "argsort": lambda x: x.gather(-1, x.argsort(-1)),
    "median of one": lambda x: x.median(-1, True).values.expand(SHAPE),
    "kthvalue": lambda x: x.kthvalue(2, -1, True).values.expand(SHAPE),
    "mode": lambda x: x.mode(-1, True).values.expand(SHAPE),
    "reflection in 3-d": lambda x: F.pad(x, (1, 1, 1, 1, 1, 1), mode="reflect")[:, 1:-1, 1:-1, 1:-1],
    "replication in 3-d": lambda x: F.pad(x, (1, 1, 1, 1, 1, 1), mode="replicate")[:, 1:-1, 1:-1, 1:-1],
    "nearest in 3-d": lambda x: F.interpolate(x[None], scale_factor=1)[0],
    "nearest-exact in 1-d": lambda x: F.interpolate(x[0], size=8, mode="nearest-exact").expand(SHAPE),
    "indices of a triangle": lambda x: x[:, torch.triu_indices(4, 4, device=x.device)[0][:4]],
    "diag_embed": lambda x: torch.diag_embed(x)[..., 0],
    "rot90": lambda x: x.rot90(4, (2, 3)),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x),
    "take": lambda x: x.take(whole(x, *SHAPE)),
    "put_": lambda x: x.clone().put_(whole(x, 1), x.new_ones(1)),
    "index_copy": lambda x: x.index_copy(0, whole(x, 2), x),
    "index_fill": lambda x: x.index_fill(0, whole(x, 1), 0.0),
    "multinomial": lambda x: x[:, torch.multinomial(x.new_ones(4), 4)],
    "normal": lambda x: torch.normal(0.0, 1.0, SHAPE, device=x.device),
    "normal of tensors": lambda x: torch.normal(x, torch.ones_like(x)),
    "exponential_": lambda x: torch.empty_like(x).exponential_(),
    "geometric_": lambda x: torch.empty_like(x).geometric_(0.5),
    "poisson": lambda x: torch.poisson(torch.ones_like(x)),
    "dropout": lambda x: F.dropout2d(x, training=False),
    "isin": lambda x: torch.where(torch.isin(x, x[0]), x, 0),
    "signbit": lambda x: torch.where(x.signbit(), x, 0),
    "complex": lambda x: torch.complex(x, x).real,
    "foreach copy": lambda x: (torch._foreach_copy_([y := torch.empty_like(x)], [x]), y)[1],
    "assert": lambda x: (torch._assert_async(torch.ones((), device=x.device)), x)[1],
    "sync of statistics": lambda x: (torch.result_type(x, 1), x)[1],
    "record_function": lambda x: inside_a_range(x),
    "equal": looked(lambda x: x if torch.equal(x, x) else -x),
    "unique": looked(lambda x: x.flatten()[x.flatten().unique(return_inverse=True)[1].view(SHAPE)]),
    "argwhere": looked(lambda x: x[torch.argwhere(torch.ones(2, device=x.device)).flatten()]),
}


def inside_a_range(x):
    with torch.profiler.record_function("mine"):
        return x.clone()


@pytest.mark.parametrize("case", MOVES)
def test_what_only_moves_draws_or_compares_is_free_and_not_named(case):
    report = trace(Behind(MOVES[case]), SHAPE)
    assert (report.macs, report.uncounted) == (MACS, ())
    assert {row.type for row in report.layers} - {"Linear"} <= {"Sum"}  # which the look takes


ELEMENTS = prod(SHAPE)
ARITHMETIC = {
    "cumprod": (lambda x: x.cumprod(-1), ELEMENTS),
    "logcumsumexp": (lambda x: x.logcumsumexp(-1), ELEMENTS),
    "cummax": (lambda x: x.cummax(-1).values, ELEMENTS),
    "scatter_add": (lambda x: x.new_zeros(SHAPE).scatter_add(-1, whole(x, 2, 4, 6, 3), x), ELEMENTS * 3 // 8),
    "scatter, which adds": (lambda x: x.scatter(-1, whole(x, *SHAPE), x, reduce="add"), ELEMENTS),
    "index_add": (lambda x: x.new_zeros(SHAPE).index_add(0, whole(x, 1), x[:1]), ELEMENTS // 2),
    "in-place without a tag": (lambda x: F.mish(x.clone(), inplace=True), ELEMENTS),
    "out=": (lambda x: torch.add(x, x, out=torch.empty_like(x)), ELEMENTS),
    "foreach": (lambda x: torch._foreach_mul([x, x], 2.0)[0], 2 * ELEMENTS),
    "foreach in place": (lambda x: (torch._foreach_mul_([y := x.clone()], 2.0), y)[1], ELEMENTS),
    "bicubic samples": (
        lambda x: F.grid_sample(x, x.new_zeros(2, 6, 8, 2), "bicubic", align_corners=False),
        16 * ELEMENTS,
    ),
    "nearest samples": (lambda x: F.grid_sample(x, x.new_zeros(2, 6, 8, 2), "nearest", align_corners=False), 0),
    "adaptive maximum in 3-d": (lambda x: F.adaptive_max_pool3d(x[None], (4, 6, 8))[0], ELEMENTS),
    "fake quantisation": (lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, 0, 255), ELEMENTS),
}


@pytest.mark.parametrize("case", ARITHMETIC)
def test_what_calculates_an_element_at_a_time_is_elementwise(case):
    function, operations = ARITHMETIC[case]
    report = trace(Behind(function), SHAPE)
    bias = prod(SHAPE[:-1]) * 5
    assert (report.macs, report.elementwise, report.uncounted) == (MACS, operations + bias, ())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialiasing_reads_every_pixel_of_a_window_that_grows(mode):
    read = 0
    for pixel in range(8):  # in how many places does an impulse there show?
        image = torch.zeros(1, 1, 1, 8, dtype=torch.float64)
        image[..., pixel] = 1
        read += int((F.interpolate(image, size=(1, 4), mode=mode, antialias=True) != 0).sum())
    report = trace(
        Behind(lambda x: F.interpolate(x, size=(4, 4), mode=mode, antialias=True).repeat(1, 1, 1, 2)), (1, 1, 8, 8)
    )
    assert [row.elementwise for row in report.layers if row.type == "Upsample"] == [read**2]


# -- over everything that torch registers ---------------------------------------------------------------


def overloads():
    for name in torch._C._dispatch_get_all_op_names():
        library, _, rest = name.partition("::")
        if library != "aten":
            continue
        packet, _, overload = rest.partition(".")
        try:
            yield getattr(getattr(torch.ops.aten, packet), overload or "default")
        except (AttributeError, RuntimeError):  # left out of this build
            continue


OVERLOADS = list(overloads())

MULTIPLIES = re.compile(
    r"(^|_)(mm|bmm|addmm|baddbmm|addbmm|spmm|smm|hspmm|sspaddmm|mv|addmv|dot|vdot|addr|matmul|linear|bilinear|trilinear"
    r"|einsum|cdist|pdist|rnn|lstm|gru|conv\w*|\w*convolution\w*|\w*attention\w*|fft|svd|qr|det|inv|solve|eigh?|lu"
    r"|cholesky)(_|\d|$)"
)
NO_PRODUCT = {
    *("_convert_indices_from_coo_to_csr", "_convert_indices_from_csr_to_coo", "fft_fftfreq", "fft_rfftfreq"),
    # they look for a kernel, or pack weights
    *("_cslt_sparse_mm_search", "_use_cudnn_rnn_flatten_weight", "mkldnn_reorder_conv2d_weight"),
    "mkldnn_reorder_conv3d_weight",
}


def test_no_operator_that_multiplies_is_free():
    free = {f.overloadpacket.__name__ for f in OVERLOADS if (o := operator_of(f)) and not o.type}
    assert {name for name in free if MULTIPLIES.search(name)} <= NO_PRODUCT


COMPARE_OR_MOVE = {f"{kind}_{name}" for kind in ("bitwise", "logical") for name in ("not", "and", "or", "xor")}
COMPARE_OR_MOVE |= {"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isposinf", "isneginf", "signbit", "equal"}
COMPARE_OR_MOVE |= {"__xor_", "__ixor_", "clone", "where", "masked_fill", "positive"}


def test_no_pointwise_operator_is_free_but_those_that_compare_or_move():
    pointwise = [f for f in OVERLOADS if torch.Tag.pointwise in f.tags]
    free = {f.overloadpacket.__name__.removesuffix("_") for f in pointwise if not operator_of(f).type}
    assert free <= COMPARE_OR_MOVE


def test_no_reduction_is_free():
    assert [f for f in OVERLOADS if torch.Tag.reduction in f.tags and (o := operator_of(f)) and not o.type] == []


FILLED = {"add": "Tensor", "mul": "Tensor", "sin": "default", "mm": "default", "arange": "default"}
FILLED |= {"zeros_like": "default", "index_select": "default"}


@pytest.mark.parametrize("name", FILLED)
def test_an_operator_that_fills_a_tensor_is_as_free_as_the_one_that_makes_it(name):
    packet = getattr(torch.ops.aten, name)
    filling, making = operator_of(packet.out), operator_of(getattr(packet, FILLED[name]))
    assert bool(filling.type) == bool(making.type)
