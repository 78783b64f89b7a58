"""A file is read without its weights, for inputs of any size, and what is wrong with one is a line."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_graphs import counted, helper, model, node, onnx, value

import resbench
from resbench.errors import OptionError, ResbenchError, ShapeError, SourceError
from resbench.graphs import reading
from resbench.graphs.skim import SMALL, skimmed
from resbench.networks.load import load

WIDE = {"conv.weight": (64, 3, 5, 5)}
"""Weights that are large enough to stay on the disk."""


def saved(path, made, **others):
    onnx.save(made, path, **others)
    return f"onnx:{path}"


def network(sides=("N", 3, "H", "W"), weights=None, **others):
    nodes = [node("Conv", "x conv.weight", "c"), node("Relu", "c")]
    return model(nodes, {"x": value("x", sides)}, weights or WIDE, **others)


@pytest.fixture
def net(tmp_path):
    return saved(tmp_path / "net.onnx", network())


def test_a_message_without_large_contents_is_the_same_but_for_these():
    made = network()
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(3), "axes"))
    made.graph.node[1].attribute.append(helper.make_attribute("table", onnx.numpy_helper.from_array(np.ones(SMALL))))
    data = made.SerializeToString()
    found = onnx.ModelProto.FromString(skimmed(data))
    assert len(skimmed(data)) < 1000 < SMALL < len(data)
    for tensor in (made.graph.initializer[0], made.graph.node[1].attribute[0].t):
        tensor.raw_data = b""
        tensor.ClearField("raw_data")
    assert found == made


def test_free_sizes_are_the_batch_and_what_a_user_says(net):
    rows = resbench.flops(net, input="3x16x20", batch=4).costs[0].layers
    assert [row.output for row in rows] == [(4, 64, 12, 16)] * 2
    assert rows[0].macs == 4 * 64 * 12 * 16 * 75
    assert resbench.flops(f"{net},input=x=3x16x20").costs[0].macs == 64 * 12 * 16 * 75
    with pytest.raises(SourceError, match=r"x is N x 3 x H x W: expected H and W.* such as --input 3x224x224"):
        resbench.flops(net)


def test_a_size_is_the_same_wherever_its_name_stands(tmp_path):
    inputs = {
        "ids": value("ids", ("N", "T"), "i"),
        "mask": value("mask", ("N", "T"), "f"),
        "h": value("h", (2, "N", 4)),
    }
    nodes = [node("Gather", "table ids", "e"), node("ReduceSum", "h", "s", keepdims=0), node("Relu", "mask", "m")]
    name = saved(tmp_path / "two.onnx", model(nodes, inputs, {"table": (9, 4)}, ("e", "s", "m")))
    rows = resbench.flops(name, input={"ids": (7,)}, batch=3).costs[0].layers
    assert [row.output for row in rows] == [(3, 7, 4), (), (3, 7)]
    assert rows[1].elementwise == 2 * 3 * 4
    for given, says in (
        ({"idz": (7,)}, "has no input 'idz'; did you mean ids?"),
        ({"ids": (7, 7)}, "its input ids is N x T, the batch in front; received ids=7x7"),
        ({"ids": (7,), "mask": (8,)}, "its input mask is N x T (N is 1, T is 7)"),
        ({"ids": ((7,), "int32")}, "its input ids is of int64, received ids=7:int32"),
        (["7", "7", "7", "7"], "expected at most 3 inputs, received 4"),
    ):
        with pytest.raises(OptionError) as caught:
            resbench.flops(name, input=given)
        assert says in str(caught.value)


def test_a_batch_that_the_file_fixes_is_its_own(tmp_path):
    name = saved(tmp_path / "fixed.onnx", network((2, 3, 8, 8)))
    assert resbench.flops(name).costs[0].input == (2, 3, 8, 8)
    assert resbench.flops(name, batch=2).costs == resbench.flops(name).costs
    assert resbench.flops(name, input="3x8x8").costs[0].macs == 2 * 64 * 16 * 75
    with pytest.raises(SourceError, match="a batch of 2 that the file fixes; received a batch of 3"):
        resbench.flops(name, batch=3)
    with pytest.raises(OptionError, match="x is 2 x 3 x 8 x 8, the batch in front; received 3x9x9"):
        resbench.flops(name, input="3x9x9")


def test_sizes_that_do_not_go_through_the_graph_are_refused(tmp_path):
    made = model([node("Flatten", "x", "f"), node("Gemm", "f w")], {"x": value("x", ("N", 3, "H"))}, {"w": (12, 5)})
    name = saved(tmp_path / "net.onnx", made)
    assert resbench.flops(name, input="3x4").costs[0].macs == 60
    with pytest.raises(ResbenchError, match=r"net\.onnx does not take x 1x3x5"):
        resbench.flops(name, input="3x5")


def test_shapes_that_nodes_calculate_are_followed(tmp_path):
    """As exporters write ``x.view(n, c, h // 2 * w * 2)``, of which inference follows no division."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s two", "h"), node("Div", "h two", "half"),
        node("Gather", "s three", "w"), node("Mul", "w two", "wide"), node("Mul", "half wide", "p"),
        node("Concat", "ends p", "to", axis=0), node("Reshape", "x to", "r"), node("MatMul", "r k"),
    ]  # fmt: skip
    held = {"two": np.array([2]), "three": np.array([3]), "ends": np.array([1, 3]), "k": (48, 5)}
    name = saved(tmp_path / "net.onnx", model(nodes, {"x": value("x", ("N", 3, "H", "W"))}, held))
    (row,) = resbench.flops(name, input="3x6x8").costs[0].layers
    assert (row.name, row.macs, row.params) == ("matmul", 3 * 48 * 5, 48 * 5)


def test_shapes_are_calculated_by_the_operators_of_the_files_own_opset():
    """``Unsqueeze`` took its axes as an attribute before opset 13."""
    nodes = [node("Cast", "wide", "i", to=7), node("Unsqueeze", "i", "u", axes=[0]),
             node("Concat", "one u", "to", axis=0), node("Reshape", "x to", "r"), node("MatMul", "r k")]  # fmt: skip
    held = {"wide": np.array(6.0, np.float32), "one": np.array([2]), "k": (6, 5)}
    assert counted(model(nodes, {"x": (2, 2, 3)}, held, opset=11)).macs == 2 * 6 * 5


def test_what_grows_is_not_evaluated_to_see_how_large_it_is():
    nodes = [node("Shape", "x", "s"), node("Mul", "s wide", "w"), node("ConstantOfShape", "w", "c"), node("Add", "x c")]
    found = counted(model(nodes, {"x": value("x", (1, 1))}, {"wide": np.array([2**20, 2**20])}))
    assert found.layers[0].elementwise == 2**40


def test_functions_are_read_as_what_they_are_made_of(tmp_path):
    made = model([node("Block", "x conv.weight", domain="mine")], {"x": (1, 3, 8, 8)}, WIDE)
    inner = [helper.make_node("Conv", ["a", "b"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    opsets = [helper.make_opsetid("", 20)]
    made.functions.append(helper.make_function("mine", "Block", ["a", "b"], ["d"], inner, opsets))
    rows = resbench.flops(saved(tmp_path / "net.onnx", made)).costs[0].layers
    assert [(row.type, row.macs) for row in rows] == [("Conv", 64 * 16 * 75), ("Relu", 0)]


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17, reading.NEWEST])
def test_opsets_from_7_on_give_the_same(opset):
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c g b m v", "n"), node("Relu", "n", "r"),
             node("GlobalAveragePool", "r", "p"), node("Flatten", "p", "f"), node("Gemm", "f k h")]  # fmt: skip
    held = {"w": (8, 3, 3, 3), **dict.fromkeys("gbmv", 8), "k": (8, 5), "h": 5}
    found = counted(model(nodes, {"x": (1, 3, 8, 8)}, held, opset=opset))
    assert (found.macs, found.params, found.total.buffer_bytes) == (8 * 36 * 27 + 40, 216 + 16 + 45, 64)
    assert found.elementwise == (2 + 1 + 1) * 8 * 36 + 5


def test_weights_beside_the_file_are_not_read(tmp_path):
    name = saved(tmp_path / "net.onnx", network((1, 3, 8, 8)), save_as_external_data=True, location="net.data",
                 size_threshold=0)  # fmt: skip
    beside = tmp_path / "net.data"
    assert beside.stat().st_size == 4 * 64 * 75
    with beside.open("r+b") as file:
        file.truncate(0)
        file.truncate(2**40)  # a file of a terabyte, without a block of it on the disk
    found = resbench.flops(name).costs[0]
    assert (found.params, found.macs, found.param_bytes) == (4800, 64 * 16 * 75, 19200)


def outside(path, location, name="conv.weight", length=4 * 64 * 75):
    made = network((1, 3, 8, 8))
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, word in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=word)
    return saved(path, made)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("absent.data", "its weights lie in 'absent.data', which is not in"),
        ("a" * 5000, "net.onnx: where its weights lie cannot be read"),
        ("../secret.data", "its weights are said to lie in '../secret.data'; expected a file in its own folder"),
        ("{folder}/secret.data", "expected a file in its own folder"),
        ("link.data", "expected a file in its own folder"),
        ("linked/secret.data", "expected a file in its own folder"),
        ("", "expected a file in its own folder"),
        ("short.data", "short.data is cut off: expected 19,200 bytes for conv.weight, received 5"),
    ],
)
def test_weights_lie_beside_the_file_or_nowhere(tmp_path, location, says):
    folder = tmp_path / "models"
    folder.mkdir()
    for path in (tmp_path / "secret.data", folder / "other.data"):
        path.write_bytes(bytes(4 * 64 * 75))
    (folder / "short.data").write_bytes(b"short")
    (folder / "link.data").symlink_to(tmp_path / "secret.data")
    (folder / "linked").symlink_to(tmp_path)
    with pytest.raises(SourceError) as caught:
        load(outside(folder / "net.onnx", location.format(folder=tmp_path)))
    assert says in str(caught.value) and "\n" not in str(caught.value)
    assert load(outside(folder / "net.onnx", "other.data")).sized().held


def test_where_weights_lie_is_said_in_numbers(tmp_path):
    (tmp_path / "net.data").write_bytes(bytes(4 * 64 * 75))
    with pytest.raises(SourceError, match=r"where its weights lie cannot be read \(invalid literal.*'many'\)"):
        load(outside(tmp_path / "net.onnx", "net.data", length="many"))


FREE = ("N", "C", "H", "W")


@pytest.mark.parametrize(
    ("operator", "weight", "given", "says"),
    [
        ("Conv", (8, 3, 3, 3), "4x8x8", "net.onnx,input=4x8x8: Conv expects 3 channels, received 4x8x8"),
        ("Conv", (8, 3, 3, 3), "3x2x8", "Conv needs a larger input than 3x2x8: nothing is left of it"),
        ("Conv", (8, 3, 9, 9), "3x2x2", "Conv needs a larger input than 3x2x2"),
        ("Conv", (8, 3, 3, 3), "3x1x1", "Conv needs a larger input than 3x1x1"),
        ("MaxPool", None, "3x2x2", "MaxPool needs a larger input than 3x2x2"),
    ],
)
def test_an_input_that_does_not_fit_is_a_line(tmp_path, operator, weight, given, says):
    made = node("Conv", "x w") if weight else node("MaxPool", "x", kernel_shape=[3, 3])
    name = saved(tmp_path / "net.onnx", model([made], {"x": value("x", FREE)}, {"w": weight} if weight else {}))
    with pytest.raises(ShapeError) as caught:
        resbench.flops(name, input=given)
    assert says in str(caught.value)


NOTHING = {
    "none.onnx": model([], {"x": (1, 3, 8, 8)}),
    "same.onnx": model([], {"x": (1, 3, 8, 8)}, outputs=("x",)),
    "drawn.onnx": model([node("RandomNormal", "", shape=[2, 3])], {}),
    "unsaid.onnx": model([node("Relu", "x")], {"x": value("x", None)}),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_graph_without_work_or_without_a_size_is_a_row_of_nothing(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    given = saved(Path(name), NOTHING[name])
    for command in (["flops"], ["show"], ["report", "--parts", "cost", "-o", "page.html"]):
        done = cli(command[0], given, *command[1:])
        assert (done.returncode, "failed" in done.stderr) == (0, False), done.stderr
    assert resbench.flops(given).costs[0].macs == 0


def test_names_do_not_reach_the_terminal_as_commands(cli, tmp_path):
    odd = node("Relu", "lay\ner.\x1b[31mweight", "y", name="re\nlu\x1b[31m")
    done = cli("show", saved(tmp_path / "net.onnx", model([odd], {"lay\ner.\x1b[31mweight": (1, 3)})))
    assert "re?lu?[31m" in done.stdout and "\x1b" not in done.stdout


def functions(depth):
    """Each calls the one before it twice."""
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    one = helper.make_function("mine", "F0", ["a"], ["b"], [node("Relu", "a", "b")], sets)
    others = [
        helper.make_function("mine", f"F{i}", ["a"], ["b"], [node(f"F{i - 1}", "a", "t", domain="mine"),
                             node(f"F{i - 1}", "t", "b", domain="mine")], sets)
        for i in range(1, depth)
    ]  # fmt: skip
    return model([node(f"F{depth - 1}", "x", domain="mine")], {"x": (1, 3)}, functions=[one, *others])


def test_functions_count_as_what_they_call_unless_that_is_without_end(tmp_path):
    assert len(resbench.flops(saved(tmp_path / "net.onnx", functions(5))).costs[0].layers) == 16
    with pytest.raises(SourceError, match="its functions come to 549,755,813,888 nodes; expected at most 1,000,000"):
        resbench.flops(saved(tmp_path / "many.onnx", functions(40)))


def test_a_range_is_not_written_out(tmp_path):
    ends = {name: np.array(number) for name, number in {"a": 0, "b": 2**50, "c": 1, "d": 5}.items()}
    made = model([node("Range", "a b c", "r"), node("Range", "a d c", "s"), node("Add", "s s")],
                 {"x": (1,)}, ends, [value("r", None, "i"), value("y", None, "i")])  # fmt: skip
    assert resbench.flops(saved(tmp_path / "net.onnx", made)).costs[0].macs == 0


def test_a_graph_that_does_not_hold_together_is_a_line(tmp_path):
    made = model([node("Loop", "n c x")], {"x": (2, 3)}, {"n": np.array(2), "c": np.array(True)})
    with pytest.raises(SourceError, match=r"net.onnx: its graph does not hold together \(KeyError: 'body'\)"):
        resbench.flops(saved(tmp_path / "net.onnx", made))


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = network((1, 3, 8, 8)).SerializeToString()
    Path("cut.onnx").write_bytes(whole[: len(whole) // 2])
    Path("text.onnx").write_text("import torch\n")
    Path("empty.onnx").write_bytes(b"")
    Path("folder.onnx").mkdir()
    Path("noise.onnx").write_bytes(b"\x08\x07" + os.urandom(100))
    saved("future.onnx", network((1, 3, 8, 8), opset=999))
    saved("static.onnx", network((1, 3, 8, 8)))


WRONG = {
    "absent.onnx": "no file absent.onnx; expected one written by torch.onnx.export or onnx.save",
    "folder.onnx": "no file folder.onnx",
    "empty.onnx": "cannot read empty.onnx as an ONNX model (it is empty)",
    "text.onnx": "cannot read text.onnx as an ONNX model (it does not begin as one does)",
    "cut.onnx": "cannot read cut.onnx as an ONNX model (it is cut off: a field of",
    "noise.onnx": "cannot read noise.onnx as an ONNX model",
    "future.onnx": f"future.onnx has operators of opset 999; onnx {onnx.__version__} knows 1 to",
    "static.onnx,depth=3": "onnx:static.onnx: a graph takes no options; received depth",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_file_is_a_line_and_the_others_stay(cli, broken, name):
    done = cli("flops", f"onnx:{name}", "onnx:static.onnx")
    assert done.returncode == 2
    assert WRONG[name] in done.stderr and done.stderr.count("\n") == 1
    assert "76,800" in done.stdout


def test_onnx_is_an_extra(broken, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SourceError, match=r"onnx is not installed; pip install 'resbench\[onnx\]'"):
        load("onnx:static.onnx")


@pytest.mark.parametrize(
    "command",
    [["latency"], ["latency", "--memory"], ["latency", "--memory", "--fits", "1GB"], ["profile", "--trace", "runs"],
     ["gradflow"], ["degradation"], ["flops", "--verify"]],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_a_module_says_which_commands_need_none(cli, broken, quick, command):
    done = cli(command[0], "onnx:static.onnx", *command[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert "a graph of ONNX has no module that could run here; expected one of the commands that count" in done.stderr


def test_graphs_stand_beside_networks_and_on_pages(cli, broken, tmp_path):
    golden = f"onnx:{Path(__file__).parents[1] / 'golden/graphs/dynamo.onnx'}"
    done = cli("compare", golden, "resnet20")
    assert done.returncode == 0 and "137" in done.stdout and "BN is folded into 1 convolution" in done.stdout
    assert cli("report", golden, "onnx:static.onnx", "--parts", "cost", "-o", "page.html").returncode == 0
    page = Path("page.html").read_text()
    assert "stem.0" in page and "the file holds 3 of the module" in page
    assert cli("show", golden, "--svg", "net.svg").returncode == 0
    assert "ReduceMean" in Path("net.svg").read_text()
    stored = cli("flops", golden, "--format", "json").stdout
    Path("stored.json").write_text(stored)
    again = resbench.load("stored.json")
    assert again.costs == resbench.flops(golden).costs and again.costs[0].remarks
    shown = cli("show", golden).stdout
    assert [line.split()[0] for line in shown.splitlines()[4:9]] == ["stem.0", "stem.2", "pool", "fc", "total"]


def test_a_graph_is_one_of_inference_and_has_no_gradient(cli, broken):
    done = cli("flops", "onnx:static.onnx", "--mode", "training")
    assert done.returncode == 2 and "a graph of ONNX is one of inference" in done.stderr
    done = cli("field", "onnx:static.onnx", "--measure")
    assert done.returncode == 2 and "a graph of ONNX has no module that could run here" in done.stderr


def test_a_graph_is_counted_without_torch_and_pandas(broken):
    code = (
        "import sys; from resbench.cli.main import main; sys.argv[1:] = ['flops', 'onnx:static.onnx', 'resnet20']\n"
        "try: main()\nexcept SystemExit as e: assert not e.code, e.code\n"
        "assert not {'torch', 'pandas', 'pydantic', 'onnx.reference'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
