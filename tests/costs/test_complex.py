"""Complex numbers: one multiply-accumulate of two of them is four real ones, in every operator."""

import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it

from resbench.costs.trace import trace
from resbench.counters.watch import count
from resbench.workers.workload import Setup, Workload

pytestmark = pytest.mark.filterwarnings("ignore:Complex modules are a new feature")


class Called(nn.Module):
    """A function of the input, made complex where asked."""

    def __init__(self, function, dtype, **modules):
        super().__init__()
        self.function, self.dtype = function, dtype
        for name, module in modules.items():
            setattr(self, name, module.to(dtype))

    def forward(self, x):
        return self.function(self, x.to(self.dtype))


def both(function, shape, **modules):
    """The reports of the same function on real and on complex numbers."""
    return [trace(Called(function, dtype, **modules), shape) for dtype in (torch.float32, torch.complex64)]


PRODUCTS = {
    "linear": (lambda self, x: self.fc(x), (2, 6, 8), {"fc": nn.Linear(8, 5)}),
    "@": (lambda self, x: x @ x.mT, (2, 6, 8), {}),
    "einsum": (lambda self, x: torch.einsum("bij,bkj->bik", x, x), (2, 6, 8), {}),
    "addmm": (lambda self, x: torch.addmm(x[:, :6], x, x.T), (6, 8), {}),
    "a vector": (lambda self, x: x @ x[0], (6, 8), {}),
    "dot": (lambda self, x: torch.vdot(x[0], x[1]), (6, 8), {}),
    "bilinear": (lambda self, x: self.b(x, x), (6, 8), {"b": nn.Bilinear(8, 8, 3)}),
    "conv1d": (lambda self, x: self.c(x), (2, 4, 9), {"c": nn.Conv1d(4, 6, 3, groups=2)}),
    "conv2d": (lambda self, x: self.c(x), (2, 4, 9, 7), {"c": nn.Conv2d(4, 6, 3, stride=2, dilation=2)}),
    "conv2d, same": (lambda self, x: self.c(x), (2, 4, 9, 7), {"c": nn.Conv2d(4, 6, 4, padding="same", bias=False)}),
    "circular": (lambda self, x: self.c(x), (1, 4, 9, 7), {"c": nn.Conv2d(4, 6, 3, padding_mode="circular")}),
    "conv3d": (lambda self, x: self.c(x), (2, 4, 5, 5, 5), {"c": nn.Conv3d(4, 6, 3)}),
    "unbatched": (lambda self, x: self.c(x), (4, 9, 7), {"c": nn.Conv2d(4, 6, 3)}),
    "transposed": (lambda self, x: self.c(x), (2, 4, 5, 7), {"c": nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)}),
    "function": (lambda self, x: F.conv2d(x, weight=x.new_ones(6, 4, 3, 3)), (2, 4, 9, 7), {}),
}  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_complex_product_is_four_real_ones(case):
    function, shape, modules = PRODUCTS[case]
    real, complexes = both(function, shape, **modules)
    assert complexes.macs == 4 * real.macs > 0
    assert complexes.kinds == tuple((kind, 4 * macs) for kind, macs in real.kinds)
    assert complexes.uncounted == ()


def test_convolution_and_linear_layer_are_in_one_unit():
    net = Called(
        lambda self, x: self.lin(self.conv(x)),
        torch.complex64,
        conv=nn.Conv2d(3, 4, 3, padding=1),
        lin=nn.Linear(8, 5),
    )
    rows = {row.name: row for row in trace(net, (1, 3, 8, 8)).layers}
    assert rows["conv"].macs == 4 * (4 * 8 * 8) * (3 * 3 * 3) == 27_648
    assert rows["lin"].macs == 4 * (4 * 8) * (8 * 5) == 5_120


def test_what_torch_makes_of_a_complex_convolution_is_not_the_users_work():
    real, complexes = both(
        lambda self, x: self.relu(self.c(x).real), (2, 4, 9, 7), c=nn.Conv2d(4, 6, 3), relu=nn.ReLU()
    )
    work = [(row.name, row.type, row.elementwise) for row in real.layers]
    assert [(row.name, row.type, row.elementwise) for row in complexes.layers] == work


def test_real_convolutions_beside_complex_numbers_stay_real():
    net = Called(lambda self, x: torch.view_as_real(self.c(x).to(torch.complex64)), torch.float32, c=nn.Conv2d(4, 6, 3))
    assert trace(net, (2, 4, 9, 7)).macs == trace(net.c, (2, 4, 9, 7)).macs


def test_a_complex_number_times_a_real_one_is_two_real_products():
    def forward(self, x):
        return torch.complex(
            x.real @ x.real.mT, x.imag @ x.real.mT
        )  # torch multiplies no matrix by one of another type

    assert trace(Called(forward, torch.complex64), (6, 8)).macs == 2 * 6 * 6 * 8


def test_a_complex_model_that_looks_at_values_counts_the_same():
    conv = nn.Conv2d(4, 6, 3)
    plain = Called(lambda self, x: self.c(x), torch.complex64, c=conv)
    looks = Called(lambda self, x: self.c(x) if bool(x.abs().sum() >= 0) else x, torch.complex64, c=conv)
    assert trace(looks, (2, 4, 9, 7)).macs == trace(plain, (2, 4, 9, 7)).macs


def test_the_model_is_followed_once_where_nothing_is_complex():
    calls = io.StringIO()  # a list would be put back as it was
    net = Called(lambda self, x: (calls.write("."), self.c(x))[1], torch.float32, c=nn.Conv2d(4, 6, 3))
    trace(net, (2, 4, 9, 7))
    assert calls.getvalue() == "."


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_run_counts_complex_convolutions_the_same_way_forward_and_backward(groups, mode):
    class Net(nn.Module):
        def __init__(self, dtype):
            super().__init__()
            self.dtype = dtype
            self.a = nn.Conv2d(4, 6, 3, dtype=dtype)
            self.b = nn.Conv2d(6, 8, 3, groups=groups, dtype=dtype)

        def forward(self, x):
            return self.b(self.a(x.to(self.dtype))).abs().flatten(1)

    layers = []
    for dtype in (torch.float32, torch.complex64):
        work = Workload(Net(dtype), (2, 4, 9, 7), Setup(batch=2, mode=mode))
        with work.ready():
            layers.append(count(work, graph=False).layers)
    real, complexes = layers
    for name in ("a", "b"):
        for counter in ("macs", "macs_backward") if mode == "training" else ("macs",):
            assert complexes[name][counter] == 4 * real[name][counter] > 0


def test_the_convention_stands_under_the_table_where_complex_numbers_were_met(tmp_path):
    from resbench.costs.result import Costs
    from resbench.costs.table import cost_table
    from resbench.results import read

    real, complexes = both(lambda self, x: self.fc(x), (1, 6, 8), fc=nn.Linear(8, 5))
    note = "A complex multiply-accumulate is 4 real ones."
    assert note in cost_table([real, complexes]).notes
    assert note in cost_table(complexes, per="layer").notes
    assert note not in cost_table(real).notes
    assert (real.complex, complexes.complex) == (False, True)
    Costs((complexes,)).save(tmp_path / "costs.json")
    assert note in cost_table(read(tmp_path / "costs.json").result.costs).notes
