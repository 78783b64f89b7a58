"""What has no formula is named beside every figure that is derived from a count: in tables, charts, page and JSON."""

import json

import pytest
import torch
from quickly import measure_quickly
from torch import nn

import resbench
from resbench.costs.chart import by_layer
from resbench.costs.measure import cost
from resbench.costs.result import Costs
from resbench.costs.structure import diagram
from resbench.costs.table import cost_table
from resbench.counters.watch import count
from resbench.operators.boundaries import Modules
from resbench.operators.macs import macs_of
from resbench.pages.comparison import View, comparison
from resbench.results import read, uncounted
from resbench.timing.latency.table import latency_record
from resbench.timing.layers.chart import roofline
from resbench.timing.layers.measure import layer_times
from resbench.timing.traffic import traffic
from resbench.workers.workload import Setup, Workload

OWN = """
import torch
from torch import nn

@torch.library.custom_op("named::scan", mutates_args=())
def scan(x: torch.Tensor) -> torch.Tensor:
    return x.cumsum(-1)

@torch.library.custom_op("named::scan_backward", mutates_args=())
def scan_backward(x: torch.Tensor) -> torch.Tensor:
    return x.flip(-1).cumsum(-1).flip(-1)

scan.register_fake(torch.empty_like)
scan_backward.register_fake(torch.empty_like)
scan.register_autograd(lambda ctx, gradient: scan_backward(gradient))

class Scan(nn.Module):
    def forward(self, x):
        return scan(x)

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), Scan(), Scan(), nn.Flatten(), nn.Linear(144, 10))

def plain():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
"""

MACS = 27 * 4 * 6 * 6 + 144 * 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("own")
    (path / "own.py").write_text(OWN)
    return path


@pytest.fixture(scope="module")
def names(folder):
    """As the commands call the network with operators of its own, and the one without."""
    return [f"file:{folder}/own.py:{which},input=3x8x8" for which in ("net", "plain")]


@pytest.fixture(scope="module")
def net(names):
    from resbench.networks.load import load

    return load(names[0]).module


def work(module, mode, *shape):
    return Workload(module, shape or (2, 3, 8, 8), Setup(mode=mode, batch=2))


@pytest.mark.parametrize(
    ("mode", "calls"),
    [("inference", {"named.scan": 2}), ("training", {"named.scan": 2, "named.scan_backward": 2})],
)
def test_a_run_knows_what_it_could_not_count_and_where(net, mode, calls):
    ready = work(net, mode)
    with ready.ready():
        counts, _ = traffic(ready, Modules(net))
    assert dict(counts.all_uncounted) == calls
    assert {number: len(own) for number, own in counts.uncounted.items()} == {3: len(calls), 4: len(calls)}
    assert counts.forward[1].macs == 2 * 27 * 4 * 6 * 6


def test_the_gates_counters_stay_as_they_were(net):
    ready = work(net, "training")
    with ready.ready():
        layers = count(ready, graph=False).layers
    assert layers["2"]["named.scan"] == layers["2"]["backward named.scan_backward"] == 1
    assert not any("uncounted" in name for layer in layers.values() for name in layer)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish(), nn.MaxPool2d(2)), (2, 3, 8, 8)),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Softmax(1), nn.GLU(1)), (2, 3, 8, 8)),
        (nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(), nn.LogSigmoid()), (2, 8)),
        (nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(3, 4, 1), nn.PReLU()), (2, 3, 4, 4)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
        (nn.LSTMCell(8, 8), (2, 8)),
    ],
    ids=lambda value: type(value[0] if isinstance(value, nn.Sequential) else value).__name__,
)
def test_a_gradient_without_products_is_not_named(module, shape):
    ready = work(module, "training", *shape)
    with ready.ready():
        counts, _ = traffic(ready, Modules(module))
    assert not [name for name in counts.all_uncounted if "backward" in name]


def test_the_gradient_of_fused_attention_is_counted():
    """Q K^T once more, and the gradients of Q, K, V and of the weights: five products of 2 x 4 x 5 x 5 x 8."""
    query = torch.randn(2, 4, 5, 8)
    func = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, logsumexp = func(query, query, query)
    args = (out, query, query, query, out, logsumexp, 0.0, False)
    back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    assert macs_of(back.default, args, {}, back(*args), backward=True) == 5 * 2 * 4 * 5 * 5 * 8


def test_a_gradient_that_may_hold_products_is_named():
    x = torch.randn(3, 4, requires_grad=True)
    back = torch.ops.aten._cdist_backward.default
    args = (torch.ones(3, 3), x, x, 2.0, torch.cdist(x, x))
    assert macs_of(back, args, {}, None, backward=True) is None


@pytest.fixture(scope="module")
def layers(names, tmp_path_factory):
    """`latency --layers`, a training."""
    with pytest.MonkeyPatch.context() as patch:
        measure_quickly(patch, tmp_path_factory.mktemp("quick"))
        return resbench.layers(names[0], mode="training")


def test_layers_name_it_in_its_row_and_leave_its_roof_blank(layers):
    (table,) = layers.tables()
    rows = {row["name"]: row for row in table.records()}
    assert rows["2"]["uncounted"] == "named.scan (1 call), named.scan_backward (1 call)"
    assert (rows["2"]["of_roof"], rows["2"]["bound"]) == (None, None)
    assert rows["0"]["uncounted"] is None
    assert rows["0"]["of_roof"] > 0
    assert "not counted: named.scan (2 calls), named.scan_backward (2 calls)" in table.warnings[-1]
    assert "of 2, 3 and of the total are too low" in table.warnings[-1]
    assert layers.not_counted() == {layers.model: {"named.scan": 2, "named.scan_backward": 2}}
    written = json.loads(layers.to_json())
    assert written["layers"][2]["uncounted"] == {"named.scan": 1, "named.scan_backward": 1}


def test_the_roofline_names_it_below_its_title(layers):
    assert "not counted: named.scan (2 calls)" in json.dumps(roofline(layers).chart.to_dict())


def test_layers_come_back_from_their_file_as_they_were(layers, tmp_path):
    path = tmp_path / "layers.json"
    layers.save(path)
    assert read(path).result == layers
    old = layers.document()
    for row in old["times"]["rows"]:
        del row["uncounted"]
    path.write_text(json.dumps(old))
    assert read(path).result.times.uncounted == {}
    assert read(path).result.times.rows[2].uncounted is None


def test_a_latency_keeps_its_rate_and_loses_its_roof(net, layers, quick):
    found = resbench.latency(net, (3, 8, 8))
    assert found.not_counted() == {"Sequential": {"named.scan": 2}}
    (one,) = found.latencies
    record = latency_record(one, layers.roof)
    assert record["flops_per_s"] == 2 * MACS / one.median_s
    assert record["of_roof"] is None


def test_a_comparison_gives_no_ratio_of_a_count_that_is_too_low(net, names):
    low, whole = cost(net, (3, 8, 8)), cost("resnet20")
    costs = Costs((low, whole))
    known = list(costs.figures())
    table = comparison([low.model, "resnet20"], known, View(sort="macs"))
    rows = {row["model"]: row for row in table.records()}
    assert rows[low.model]["macs"] == MACS
    assert rows["resnet20"]["params_ratio"] > 100
    assert [rows["resnet20"][f"{metric}_ratio"] for metric in ("macs", "elementwise")] == [None, None]
    assert [row["model"] for row in table.records()] == ["resnet20", low.model]  # it is in no order
    assert not [note for note in table.notes if "MACs than" in note]
    filtered = comparison([low.model, "resnet20"], known, View(only=["macs<5G"]))
    assert [row["model"] for row in filtered.records()] == ["resnet20"]
    assert uncounted([costs]) == {low.model: {"named.scan": 2}}


def test_shares_of_a_count_that_is_too_low_are_blank(net):
    table = cost_table(cost(net, (3, 8, 8)), "layer")
    assert {row["share"] for row in table.records()} == {None}
    assert "share" in [column.key for column in table.columns]


def test_charts_and_drawings_name_it(net):
    report = cost(net, (3, 8, 8))
    assert "not counted: named.scan (2 calls)" in json.dumps(by_layer(report).chart.to_dict())
    assert "not counted: named.scan (2 calls)" in diagram(report)


def test_flops_names_it_and_strict_ends_with_1(cli, names):
    done = cli("flops", names[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert "not counted: named.scan (2 calls)" in done.stdout
    done = cli("flops", names[0], "--strict", "--format", "json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["costs"][0]["uncounted"] == [["named.scan", 2]]
    assert done.stderr == f"resbench: --strict: not counted: {names[0]}: named.scan (2 calls)\n"
    assert cli("flops", names[1], "resnet20", "--strict").returncode == 0


def test_compare_names_it_and_strict_ends_with_1(cli, names):
    done = cli("compare", *names, "--strict", "--format", "json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["uncounted"] == {names[0]: {"named.scan": 2}}
    assert any("not counted: named.scan (2 calls)" in note for note in document["table"]["warnings"])
    assert cli("compare", names[1], "resnet20", "--strict").returncode == 0


def test_what_was_stored_is_named_when_it_is_compared_or_shown(cli, names, tmp_path):
    assert cli("flops", *names, "-o", str(tmp_path / "costs.json")).returncode == 0
    done = cli("compare", "--from", str(tmp_path), "--strict")
    assert done.returncode == 1
    assert "not counted: named.scan (2 calls)" in done.stdout
    page = tmp_path / "page.html"
    done = cli("report", "--from", str(tmp_path), "-o", str(page), "--strict")
    assert done.returncode == 1, done.stderr
    assert page.read_text().count("not counted: named.scan (2 calls)") >= 4  # summary, tables, chart, drawing
    assert cli("report", names[1], "--from", str(tmp_path), "-o", str(page), "--strict").returncode == 0


def test_memory_says_that_its_prediction_may_be_too_low(cli, names):
    done = cli("latency", names[0], "--memory", "--strict")
    assert done.returncode == 1
    assert "not counted: named.scan (2 calls): what is predicted may be too low" in done.stdout
    assert cli("latency", names[1], "--memory", "--strict").returncode == 0


@pytest.mark.parametrize("words", [["--processes", "1"], ["--layers"]])
def test_latency_names_it_and_strict_ends_with_1(cli, quick, names, tmp_path, words):
    path = tmp_path / "said.json"
    done = cli("latency", names[0], *words, "--strict", "-o", str(path))
    assert done.returncode == 1
    assert "--strict: not counted" in done.stderr
    assert "named.scan" in json.dumps(json.loads(path.read_text()))
    done = cli("compare", "--from", str(tmp_path), "--metrics", "latency,roof")
    if "--processes" in words:
        assert "Roof allows: not known of" in done.stdout
        assert "not counted: named.scan (2 calls)" in done.stdout


def test_times_of_rows_without_a_place_are_named_with_the_model(net):
    """What a plain run did not time is not lost: it stands with the timed module around it, here the model itself."""

    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.runs = net[2], 0

        def forward(self, x):
            self.runs += 1
            return self.inner(x) if self.watched() else x * 1

        def watched(self):
            from torch.utils._python_dispatch import _get_current_dispatch_mode

            return _get_current_dispatch_mode() is not None

    for model, named in ((Sometimes(), "Sometimes"), (nn.Sequential(Sometimes(), nn.ReLU()), "0")):
        ready = work(model, "inference")
        with ready.ready():
            times = layer_times(ready, clock=iter(range(10_000)).__next__)
        assert {row.name: row.uncounted for row in times.rows if row.uncounted} == {named: {"named.scan": 1}}
