"""What a forward takes: one image, several inputs, by name, with types, in a dictionary; and what is no input."""

import json
import textwrap

import pytest
import torch
from torch import nn

import resbench
from resbench.costs.measure import cost, verified
from resbench.costs.values import with_integers
from resbench.errors import OptionError, ResbenchError, SourceError
from resbench.networks.inputs import ModelInput, parse_inputs
from resbench.networks.load import Model
from resbench.networks.name import ModelName
from resbench.timing.case import case, ready
from resbench.workers.workload import Setup

NETS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.fc = nn.Embedding(100, 8), nn.Linear(8, 5)

class Dictionary(Base):
    def forward(self, batch): return self.fc(batch["x"])

class Tokens(Base):
    def forward(self, ids, mask=None):
        x = self.fc(self.emb(ids))
        return x if mask is None else x * mask[..., None]

class Keyword(Base):
    def forward(self, *, pixel_values): return self.fc(pixel_values)

class Two(Base):
    def forward(self, x, y): return self.fc(x + y)

class Default(Base):
    def forward(self, x=None, mask=None): return self.fc(x)

class Listed(Base):
    def forward(self, images): return [self.fc(image) for image in images]

class Flat(Base):
    def forward(self, x):
        assert x.dim() == 2, "expects (N, F)"
        return self.fc(x)

class Step(Base):
    def forward(self, x, t): return self.fc(x) * t[:, None].float()

class Values(Base):
    def forward(self, ids):
        return self.fc(self.emb(ids)) if int(ids.max()) < 100 else None
"""
"""Each has a Linear 8 -> 5: 40 MACs a row of 8."""


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(textwrap.dedent(NETS))
    return f"file:{path}:"


@pytest.mark.parametrize(
    ("name", "inputs", "macs"),
    [
        ("Dictionary", ["batch.x=4x8"], 160),
        ("Tokens", ["ids=4:int64"], 160),
        ("Tokens", ["ids=4:int64", "mask=4:bool"], 160),
        ("Keyword", ["pixel_values=3x4x8"], 480),
        ("Two", ["x=3x4x8", "y=3x4x8"], 480),
        ("Two", ["x=3x4x8", "y=8,batch=none"], 480),
        ("Default", ["3x4x8"], 480),
        ("Listed", ["3x4x8"], 480),
        ("Listed", ["images.0=4x8", "images.1=4x8"], 320),
        ("Flat", ["8"], 40),
        ("Step", ["x=8", "t=:int64"], 40),
        ("Values", ["ids=4:int64"], 160),
    ],
)
def test_each_kind_of_input_is_counted_by_every_counter(nets, name, inputs, macs):
    report = cost(nets + name, inputs)
    assert report.macs == macs
    assert cost(nets + name, inputs, batch=3).macs == 3 * macs
    assert report.model == ",".join([nets + name, *(f"input={text}" for text in inputs)])
    assert cost(report.model).macs == macs  # the name says it all
    check = verified(nets + name, inputs)
    assert check.agrees
    assert {line.fvcore for line in check.lines if line.kind == "all MACs"} == {macs}


FOUR = ["ids=128:int64", "mask=128:bool", "x=3x8x8", "y=7"]


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("3x224x224", ["3x224x224"]),
        ((3, 224, 224), ["3x224x224"]),
        ([8], ["8"]),
        ("ids=128:int64", ["ids=128:int64"]),
        ("ids=128:int64,batch=none", ["ids=128:int64,batch=none"]),
        (["x=8", "t=:int64"], ["x=8", "t=:int64"]),
        ({"ids": ((128,), torch.int64), "mask": "128:bool", "x": (3, 8, 8), "y": 7}, FOUR),
        ({"ids": ((128,), "int64")}, ["ids=128:int64"]),
        (None, []),
    ],
)
def test_inputs_are_read_in_every_form_and_written_as_they_are_read(given, texts):
    inputs = parse_inputs(given)
    assert [one.text for one in inputs] == (
        texts or ["ids=128:int64", "mask=128:bool", "x=3x8x8", "y=7"] * (given is not None)
    )
    assert parse_inputs([one.text for one in inputs] or None) == inputs


def test_a_name_holds_several_inputs_and_what_stands_behind_them():
    name = ModelName.parse("file:a.py:net,input=ids=9:int64,batch=none,width=2,input=x=3x8x8")
    assert name.inputs == (ModelInput("ids", (9,), "int64", False), ModelInput("x", (3, 8, 8)))
    assert str(name) == "file:a.py:net,width=2,input=ids=9:int64,batch=none,input=x=3x8x8"
    assert ModelName.parse(str(name)) == ModelName.stored(str(name)) == name
    assert ModelName.parse("file:a.py:net,batch=none").options == (("batch", "none"),)  # that of the factory


@pytest.mark.parametrize(
    ("wrong", "says", "right"),
    [
        ("x=8:int6", "there is no type 'int6' in 'x=8:int6'; did you mean int64?", "x=8:int64"),
        ("x=8:", "there is no type ''", "x=8"),
        (["x=8", "x=9"], "two inputs are called 'x'; keep one", ["x=8", "y=9"]),
        (["x=8", "9"], "with their names or none, received 9 beside x", ["8", "9"]),
        (["x=8", "x.a=9"], "'x' is given as one input and by its entries", ["x.b=8", "x.a=9"]),
        ("x=0", "expected sides from 1 to", "x=1"),
        ("x=3x", "expected [NAME=]SHAPE[:DTYPE] of one image", "x=3x3"),
        ("", "expected [NAME=]SHAPE[:DTYPE] of one image", "8"),
        ("x=", "expected [NAME=]SHAPE[:DTYPE] of one image", "x=:int64"),
        ((), "received none", (8,)),
        ({}, "received none", {"x": 8}),
        ({"x": 1.5}, "expected [NAME=]SHAPE[:DTYPE] of one image", {"x": 1}),
        ({"x": ((8,), "int6")}, "there is no type 'int6'", {"x": ((8,), "int8")}),
        ({1: (8,)}, "expected the names of parameters, such as 'ids'; received 1", {"x": (8,)}),
        ((3, "a", 8), "expected [NAME=]SHAPE[:DTYPE] of one image", (3, 8, 8)),
    ],
)
def test_what_is_no_input_stands_beside_what_is_one(wrong, says, right):
    with pytest.raises(OptionError) as caught:
        parse_inputs(wrong)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert parse_inputs(right)


@pytest.mark.parametrize(
    ("name", "inputs", "says"),
    [
        ("Dictionary", "3x4x8", ["given 1x3x4x8;", "forward(batch)", "batch.KEY=3x224x224"]),
        ("Tokens", "3x4x8", ["emb (Embedding) failed", "given 1x3x4x8;", "forward(ids, mask)", "ids=128:int64"]),
        ("Two", "3x4x8", ["missing 1 required positional argument: 'y'", "forward(x, y)"]),
        ("Two", ["x=3x4x8", "y=2x4x8"], ["given x=1x3x4x8:float32, y=1x2x4x8:float32;"]),
        ("Flat", "3x4x8", ["expects (N, F)", "--input x=3x224x224"]),
        ("Flat", "y=8", ["Flat: its forward has no input 'y'; expected one of x"]),
        ("Tokens", "idss=8:int64", ["its forward has no input 'idss'; did you mean ids?"]),
    ],
)
def test_a_forward_that_refuses_says_what_it_was_given_and_how_to_say_another(nets, name, inputs, says):
    with pytest.raises(ResbenchError) as caught:
        cost(nets + name, inputs)
    for words in says:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_integers_are_drawn_below_the_table_that_they_are_looked_up_in():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.kinds, self.far = nn.Embedding(9, 4), nn.Embedding(3, 4), nn.Embedding(2, 4)
            self.table = nn.Parameter(torch.zeros(5, 4))

        def forward(self, ids, kinds, rows, count, mask):
            shifted = torch.cat([ids[:, 1:], ids[:, :1]], 1)
            far = self.far((count > 0).long())
            return self.words(shifted.clone()) + self.kinds(kinds.long()) + self.table[rows] + far * mask[..., None]

    sizes = {"ids": ((50,), "int64"), "kinds": ((50,), "int32"), "rows": ((50,), "int64")}
    model = Model.of(Net(), {**sizes, "count": ((50,), "int64"), "mask": ((50,), "bool")})
    drawn = with_integers(model.module, model.arguments(4))
    assert {name: int(tensor.max()) for name, tensor in drawn.items() if not tensor.is_meta} == {
        "ids": 8,
        "kinds": 2,
        "rows": 4,
    }
    assert all(int(tensor.min()) == 0 for tensor in drawn.values() if not tensor.is_meta)
    with ready(model.module, {**sizes, "count": ((50,), "int64"), "mask": ((50,), "bool")}, Setup(batch=4)) as (
        work,
        _,
    ):
        assert work.named["mask"].all() and work.named["count"].eq(1).all()
        assert work.named["ids"].shape == (4, 50)
        work.run()


def test_a_module_takes_tensors_and_shapes_by_name():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb, self.fc = nn.Embedding(10, 8), nn.Linear(8, 5)

        def forward(self, ids, scale):
            return self.fc(self.emb(ids)) * scale

    ids, scale = torch.arange(8).view(2, 4), torch.ones(2, 4, 1)
    by_name = {"ids": ids, "scale": scale}
    assert resbench.flops(Net(), input=by_name).macs == resbench.flops(Net(), input=(ids, scale)).macs == 320
    shapes = {"ids": ((4,), "int64"), "scale": (4, 1)}
    assert resbench.flops(Net(), input=shapes, batch=2).macs == 320
    with ready(Net(), by_name, Setup()) as (work, _):
        assert torch.equal(work.named["ids"], ids)
    assert resbench.flops(Net(), input=by_name, batch=2).macs == 320  # their own
    with pytest.raises(SourceError, match="given 2 inputs, it runs on those; drop the batch"):
        resbench.flops(Net(), input=by_name, batch=3)
    with pytest.raises(OptionError, match="tensors are for a module that is given itself"):
        resbench.flops("resnet20", input=torch.ones(1, 3, 8, 8))


def test_a_case_goes_to_its_process_with_its_inputs():
    one = case("file:a.py:net", {"ids": ((8,), "int64"), "x": (3, 8, 8)}, Setup())
    assert one.input == ("ids=8:int64", "x=3x8x8")
    assert json.loads(json.dumps(one._asdict()["input"])) == ["ids=8:int64", "x=3x8x8"]
    assert case("resnet20", None, Setup()).input is None


def test_gradflow_refuses_what_is_no_image_and_names_the_way_out(nets):
    with pytest.raises(ResbenchError, match=r"one image CxHxW; it takes ids=4:int64; put resbench.GradientProbe"):
        resbench.gradflow(nets + "Tokens", ["ids=4:int64"], seeds=1, steps=(0,))


def test_an_input_without_a_batch_takes_no_batch_and_is_one_image(quick, tmp_path):
    (tmp_path / "net.py").write_text("from torch import nn\nnet = lambda: nn.Linear(16, 10)\n")
    name = f"file:{tmp_path}/net.py:net,input=16,batch=none"
    assert resbench.flops(name).costs[0].macs == 160
    with pytest.raises(ResbenchError, match="its inputs have no batch"):
        resbench.flops(name, batch=4)
    (one,) = resbench.latency(name, processes=1).latencies
    assert one.images == 1 and one.throughput == pytest.approx(1 / one.median_s)
