"""The MACs of a network are in the rows of the kernels that multiply, in every runtime that tells its kernels."""

import pytest
import torch
from openvino import Core
from torch import nn

from resbench.graphs.counting import count
from resbench.graphs.fusion import Group, by_node, groups, looking
from resbench.networks.load import load
from resbench.networks.name import ModelName
from resbench.timing import roofline
from resbench.timing.layers import kernels
from resbench.timing.layers.kernels import left_over
from resbench.timing.layers.measure import layers
from resbench.timing.layers.result import LayerTime, LayerTimes
from resbench.timing.layers.table import layer_warnings
from resbench.timing.runtimes import compile as compiled
from resbench.timing.runtimes import onnxruntime, openvino
from resbench.timing.runtimes.exports import onnx_export
from resbench.timing.runtimes.runtime import Conditions
from resbench.workers.workload import Setup, Workload

LENGTH, WIDTH, HIDDEN, WIDE = 6, 8, 8, 12
LSTM_MACS = LENGTH * 4 * HIDDEN * (WIDTH + HIDDEN)
"""Four gates of the input and of the state, at each step."""


class Recurrent(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.lstm = nn.LSTM(WIDTH, HIDDEN, layers, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(WIDTH, WIDE)
        self.back = nn.Linear(WIDE, WIDTH, bias=False)

    def forward(self, x):
        return self.back(self.wide(x).relu()) + x


class Sums(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(WIDTH, 2, 3))

    def forward(self, x):
        return torch.einsum("btc,ckd->bktd", x, self.weight).relu()


MACS = {
    "an LSTM": (lambda: Recurrent(1), [LSTM_MACS]),
    "LSTMs": (lambda: Recurrent(3), [LSTM_MACS] * 3),
    "linear layers over steps": (Linear, [LENGTH * WIDTH * WIDE] * 2),
    "a sum of products": (Sums, [LENGTH * WIDTH * 6]),
}


@pytest.mark.parametrize("runtime", [onnxruntime, openvino])
@pytest.mark.parametrize(("made", "macs"), MACS.values(), ids=MACS)
def test_the_macs_are_in_the_kernels_that_multiply(runtime, made, macs, tmp_path):
    x, file = torch.randn(1, LENGTH, WIDTH), tmp_path / "net.onnx"
    onnx_export(made().eval(), (x,), {}, file)
    graph = load(ModelName.parse(f"onnx:{file}")).sized(1)
    watched = runtime.watch(file, [x.numpy()], Conditions(1, "fp32", tmp_path))
    found = groups(count(graph), watched.kernels, by_node(graph), looking(graph))
    assert [one.macs for one in found if one.macs] == macs
    assert all(kernel.multiplies for kernel, one in zip(watched.kernels, found, strict=True) if one.macs)


def test_in_bf16_a_kernel_moves_two_bytes_for_each_number(tmp_path, monkeypatch):
    if "BF16" not in Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor multiplies no bf16")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(roofline, "EACH_S", 0.01)
    monkeypatch.setattr(kernels, "LEAST_S", 0.0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3)).eval()
    onnx_export(net, (torch.randn(1, 3, 12, 12),), {}, file := tmp_path / "net.onnx")
    for dtype, size in (("fp32", 4), ("bf16", 2)):
        found = layers(f"onnx:{file}", runtime="openvino", dtype=dtype)
        first, second = [row for row in found.times.rows if row.macs]
        image, between, answer = 3 * 12**2, 16 * 10**2, 32 * 8**2
        assert first.bytes == 4 * image + size * (16 * 3 * 9 + 16 + between), "the caller's image is in fp32"
        assert second.bytes == size * (between + 32 * 16 * 9 + 32 + answer)
        assert found.ran.products == ((dtype, 2),) and found.roof.dtype == dtype


class Broken(nn.Module):
    """Its code falls into two pieces."""

    def __init__(s):  # noqa: N805 - the compiler keeps this name
        super().__init__()
        s.a, s.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)

    def forward(s, x):  # noqa: N805
        h = s.a(x)
        torch._dynamo.graph_break()
        return s.b(h)


class Around(nn.Module):
    """One of its modules falls into pieces, and has names that it has too."""

    def __init__(self):
        super().__init__()
        self.b, self.inner, self.a = nn.Conv2d(3, 3, 1), nn.Sequential(Broken()), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.a(self.inner(self.b(x)).relu())


@pytest.mark.filterwarnings("ignore:dynamo_pgo")  # it says that its caches are passed over
@pytest.mark.parametrize(
    ("made", "names"), [(Broken, ["a", "b"]), (Around, ["b", "inner.0.a", "inner.0.b", "a"])], ids=["whole", "inside"]
)
def test_the_products_of_compiled_pieces_have_the_names_of_their_modules(made, names):
    work = Workload(made(), (1, 3, 8, 8), Setup(runtime="compile"))
    with work.ready():
        kernels = compiled.watch(work).kernels
    assert [kernel.anchors for kernel in kernels if "convolution" in kernel.operator] == [(name,) for name in names]


def test_macs_of_no_kernel_are_rows_without_a_time_and_a_line_says_so(tmp_path):
    file = tmp_path / "net.onnx"
    onnx_export(Linear().eval(), (torch.randn(1, LENGTH, WIDTH),), {}, file)
    cost = count(load(ModelName.parse(f"onnx:{file}")).sized(1))
    wide, back = (place for place, row in enumerate(cost.layers) if row.macs)
    known = LayerTime("wide", "Gemm", 1e-3, None, cost.layers[wide].macs, 0)
    rows = (known, *left_over(cost, [Group((wide,), "wide")]))
    assert [(row.name, row.macs, row.seconds) for row in rows[1:]] == [("back", LENGTH * WIDTH * WIDE, 0)]
    assert layer_warnings("net", LayerTimes(rows, None, 1e-3, 1e-3, (0.0,))) == [
        "net: 576 of 1,152 MACs are in no kernel's row: nothing tells which kernels run back; "
        "their time is in other rows."
    ]
    assert left_over(cost, [Group((wide, back), "both")]) == []
