"""What stands beside parameters and MACs: the backward pass by formula, frozen parameters, buffers, bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resbench.arch import Add, Aux, BatchNorm2d, Concat, Conv2d, Dropout, Flatten, Highway, Linear, MaxPool2d, ReLU, Seq
from resbench.arch.catalog import architecture
from resbench.arch.cost import Cost, Row, cost
from resbench.costs import measure
from resbench.costs.result import Costs
from resbench.costs.table import cost_table
from resbench.errors import OptionError
from resbench.results import read

STEM = Conv2d(3, 8, 3, padding=1)


def backward(node, size=(3, 8, 8)):
    return {row.name: row.backward_macs for row in cost(node, size, mode="training").layers}


# -- the backward pass ----------------------------------------------------------------------------------------


def test_the_first_layer_needs_the_gradient_of_its_weight_alone():
    assert backward(Seq(conv=STEM, next=Conv2d(8, 4, 1))) == {"conv": 8 * 64 * 27, "next": 2 * 4 * 64 * 8}


def test_every_group_costs_its_own_products():
    node = Seq(conv=STEM, grouped=Conv2d(8, 16, 3, padding=1, groups=4), depthwise=Conv2d(16, 16, 3, groups=16))
    assert backward(node) == {"conv": 13_824, "grouped": 2 * 16 * 64 * 2 * 9, "depthwise": 2 * 16 * 36 * 9}


def test_what_has_no_parameters_before_it_takes_no_gradient_on_any_path():
    node = Seq(pool=MaxPool2d(2), both=Add(a=Conv2d(3, 4, 1), b=Seq(relu=ReLU(), conv=Conv2d(3, 4, 1))))
    assert backward(node) == {"pool": 0, "both.a": 192, "both.b.relu": 0, "both.b.conv": 192, "both.add": 0}


@pytest.mark.parametrize("kind", [Concat, Add, Highway])
def test_one_learning_path_makes_all_that_follows_need_a_gradient(kind):
    paths = [Conv2d(3, 3, 1), ReLU(), ReLU()]
    joined = kind(**dict(zip(("one", "two", "three"), paths, strict=True)))
    wide = 9 if kind is Concat else 3
    assert backward(Seq(joined=joined, conv=Conv2d(wide, 2, 1)))["conv"] == 2 * 2 * 64 * wide


def test_a_head_runs_in_training_and_what_follows_it_is_as_without():
    head = Aux(head=Seq(conv=Conv2d(3, 2, 1)))
    with_head = cost(Seq(aux=head, conv=STEM), (3, 8, 8), mode="training")
    rows = {row.name: (row.macs, row.backward_macs) for row in with_head.layers}
    assert rows == {"aux.head.conv": (384, 384), "conv": (13_824, 13_824)}
    assert cost(Seq(aux=head, conv=STEM), (3, 8, 8)).macs == 13_824


def test_a_residual_network_takes_twice_the_forward_less_the_image():
    report = measure.cost("resnet50", mode="training")
    assert report.backward_macs == 2 * report.macs - 7 * 7 * 3 * 64 * 112**2 == 8_060_354_560
    assert sum(row.backward_macs for row in report.per("block")) == report.backward_macs


def test_dropout_and_the_count_of_batches_are_work_in_training_alone():
    node = Seq(bn=BatchNorm2d(3), drop=Dropout(0.5), off=Dropout(0.0))
    assert [row.elementwise for row in cost(node, (3, 8, 8), mode="training").layers] == [2 * 192 + 1, 2 * 192, 0]
    assert [row.elementwise for row in cost(node, (3, 8, 8)).layers] == [2 * 192, 0, 0]


def test_inference_knows_no_backward_pass():
    assert measure.cost("resnet20").backward_macs is None
    assert {row.backward_macs for row in measure.cost("resnet20").layers} == {None}


def test_another_mode_is_refused():
    for model in ("resnet20", STEM):
        with pytest.raises(OptionError, match="inference or training; received 'sideways'"):
            measure.cost(model, "3x8x8", mode="sideways")


# -- bytes and parameters -------------------------------------------------------------------------------------


def test_batch_normalisation_holds_two_statistics_a_channel_and_a_count():
    assert cost(BatchNorm2d(16), (16, 4, 4)).buffer_bytes == 2 * 16 * 4 + 8
    assert architecture("vgg11").cost().buffer_bytes == 0


def test_the_algebra_is_trained_and_in_float32():
    report = cost(Seq(conv=STEM, flatten=Flatten(), fc=Linear(512, 10)), (3, 8, 8), batch=2)
    assert report.trainable == report.params == 224 + 5130
    assert (report.param_bytes, report.total.activation_bytes) == (4 * 5354, 4 * 2 * (512 + 10))


def one(row, mode="inference"):
    return Cost("net", "test", (1, 3, 8, 8), (row,), mode=mode)


PLAIN = Row("conv", "Conv2d", (1, 8, 8, 8), 216, 13_824, 0, 512, 216, 864, 0, 2048)
COLUMNS = ["model", "params", "macs", "flops", "input", "elementwise", "activations", "param_bytes", "activation_bytes"]


@pytest.mark.parametrize(
    ("row", "mode", "added"),
    [
        (PLAIN, "inference", set()),
        (PLAIN._replace(trainable=0), "inference", {"trainable"}),
        (PLAIN._replace(buffer_bytes=100), "inference", {"buffer_bytes"}),
        (PLAIN._replace(buffer_bytes=864 + 8), "inference", set()),  # as batch normalisation: nothing new
        (PLAIN._replace(backward_macs=13_824), "training", {"backward_macs"}),
        (PLAIN._replace(trainable=None, param_bytes=None, buffer_bytes=None), "inference", set()),
    ],
)
def test_columns_stand_where_they_say_something(row, mode, added):
    columns = [column.key for column in cost_table(one(row, mode)).columns]
    assert set(columns) - set(COLUMNS) == added
    assert [key for key in columns if key in COLUMNS] == COLUMNS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "Inference; bytes in fp32."),
        ({"param_bytes": 432}, "bytes in the model's own types."),
        ({"activation_bytes": 1024}, "bytes in the model's own types."),
    ],
)
def test_the_convention_names_float32_only_where_it_is(change, words):
    assert any(note.endswith(words) for note in cost_table(one(PLAIN._replace(**change))).notes)
    assert any("Training;" in note for note in cost_table(one(PLAIN, "training")).notes)


# -- documents and the command --------------------------------------------------------------------------------


def test_a_document_keeps_what_was_counted(tmp_path):
    path = tmp_path / "cost.json"
    report = measure.cost("resnet20", mode="training")
    Costs((report,)).save(path)
    (model,) = json.loads(path.read_text())["costs"]
    assert (model["mode"], model["backward_macs"], model["trainable"]) == ("training", 80_659_712, 269_722)
    assert read(path).result == Costs((report,))


def test_a_document_of_an_earlier_version_is_read_and_what_it_lacks_is_not_known():
    stored = read(Path(__file__).parent.parent / "golden/stored/flops-catalog-e460e53.json.gz")
    for report in stored.result.costs:
        assert report.param_bytes == 4 * report.params > 0
        assert report.mode == "inference"
        assert (report.trainable, report.buffer_bytes, report.backward_macs) == (None, None, None)
    assert stored.result.document()["costs"][0]["buffer_bytes"] is None
    assert "did not say the MACs by kind of operator" in stored.remark


def flops(*options):
    command = [sys.executable, "-m", "resbench", "flops", "resnet20", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_flops_counts_training_where_it_is_asked():
    shown = flops("--mode", "training", "-f", "csv")
    assert (shown.returncode, "80659712" in shown.stdout) == (0, True)
    assert flops("-f", "csv").stdout == flops("--mode", "inference", "-f", "csv").stdout
    assert flops("--mode", "sideways").returncode == 2
    refused = flops("--mode", "training", "--verify")
    assert (refused.returncode, "--verify holds counts of inference together" in refused.stderr) == (2, True)
