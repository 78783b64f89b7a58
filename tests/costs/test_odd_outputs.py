"""Outputs that are no tensor and no container of torch's: their tensors are found, or the row says nothing."""

from collections import OrderedDict
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as torch's users call it

from resbench.costs.result import Costs
from resbench.costs.table import cost_table
from resbench.costs.trace import trace
from resbench.results import read
from resbench.timing.memory.prediction import predicted
from resbench.workers.workload import Setup

SHAPE, SIZE = (3, 4, 8), 12 * 5


@dataclass
class Pair:
    logits: Tensor
    aux: Tensor
    notes: list = field(default_factory=list)


class Slots:
    __slots__ = ("again", "first", "missing", "second")

    def __init__(self, first, second):
        self.first, self.second, self.again = first, second, first


class Attributes:
    def __init__(self, first, second):
        self.named = {"first": first}
        self.nested = SimpleNamespace(second=(second, first), weights=nn.Linear(100, 100), me=self)


class Leaf(nn.Module):
    """A linear layer written as a function, which returns what ``wrap`` makes of two tensors."""

    def __init__(self, wrap):
        super().__init__()
        self.w, self.wrap = nn.Parameter(torch.zeros(5, 8)), wrap

    def forward(self, x):
        y = F.linear(x, self.w)
        return self.wrap(y, y * 2)


SEEN = {
    "dataclass": Pair,
    "slots": Slots,
    "attributes": Attributes,
    "nested": lambda a, b: [Pair(a, b, [a, {"b": b}])],
    "mapping": lambda a, b: OrderedDict(logits=a, aux=Slots(b, a), n=3, none=None),
    "twice": lambda a, b: (a, b, a),
    "set": lambda a, b: {a, b},
    "distribution": lambda a, b: torch.distributions.Normal(a, b.exp() + 1, validate_args=False),
}


@pytest.mark.parametrize("kind", SEEN)
def test_each_tensor_in_an_output_counts_once(kind):
    (row,) = trace(nn.Sequential(Leaf(SEEN[kind])), SHAPE).layers
    assert (row.output, row.activations, row.macs, row.params) == ((3, 4, 5), 2 * SIZE, 480, 40)


def test_the_output_of_hugging_face_counts():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    (row,) = trace(nn.Sequential(Leaf(lambda a, b: outputs.SequenceClassifierOutput(logits=a, loss=b))), SHAPE).layers
    assert row.activations == 2 * SIZE


@pytest.mark.parametrize("wrap", [lambda a, b: None, lambda a, b: 3.5, lambda a, b: {"n": 3, "kind": a.dtype}])
def test_no_tensor_is_no_activation(wrap):
    (row,) = trace(nn.Sequential(Leaf(wrap)), SHAPE).layers
    assert (row.output, row.activations) == ((), 0)


def test_what_nobody_sees_into_is_blank_and_so_is_its_sum(tmp_path):
    report = trace(nn.Sequential(nn.ReLU(), Leaf(lambda a, b: iter([a, b]))), SHAPE, name="odd")
    assert [row.activations for row in report.layers] == [96, None]
    assert report.activations is report.total.activations is report.total.activation_bytes is None
    assert report.macs == 480
    assert [row.activations for row in report.per("block")] == [96, None]
    table = cost_table(report, "layer")
    at = [column.key for column in table.columns].index("activations")
    assert [row[at] for row in (*table.rows, *table.footer)] == [96, None, None]
    result = Costs((report,))
    (written,) = result.document()["costs"]
    assert written["activations"] is written["layers"][1]["activations"] is None
    path = tmp_path / "flops.json"
    result.save(path)
    assert [row.activations for row in read(path).result.costs[0].layers] == [96, None]


def test_memory_is_not_predicted_where_an_output_is_unknown():
    report = trace(nn.Sequential(nn.ReLU(), Leaf(lambda a, b: iter([a, b]))), SHAPE)
    memory = predicted(report, Setup(mode="training"))
    assert memory.weights == 160
    assert memory.saved is memory.peak is None
