"""Networks run on real images, and in integers, which keeps most of what they name rightly."""

import json

import onnx
import pytest
import torch
from commands import called

from resbench.data import load_split
from resbench.networks.load import load
from resbench.timing.accuracy import Data, batched, rightly, to_calibrate, to_name
from resbench.training.feed import Feed

NETWORK = ("resnet8", "--input", "3x16x16")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that `degradation` has trained on digits, by the name that it has from then on."""
    folder = tmp_path_factory.mktemp("runs")
    done = called("degradation", "resnet8", "--epochs", "1", "--dir", folder, "--dtype", "fp32", "--threads", "1")
    assert done.returncode == 0, done.stderr
    [file] = folder.glob("resnet8-*.pt")
    return f"resnet8,weights={file}"


def by_hand(name):
    """How many of the test part a network names rightly as a training counts them, image by image."""
    train, test = (part.resized((3, 16, 16)) for part in load_split("digits"))
    model = load(name, "3x16x16").module.eval()
    with torch.no_grad():
        return sum(
            int((model(images).argmax(1) == labels).sum())
            for images, labels in Feed(train, test, 64, False, "cpu").testing()
        )


def test_int8_stands_beside_fp32_with_the_accuracy_that_it_keeps(quick, trained, tmp_path):
    done = called(
        *("latency", trained, "--input", "3x16x16", "--runtime", "eager,onnxruntime,openvino", "--batch", "7"),
        *("--data", "digits", "--quantize", "int8", "--processes", "1", "-f", "json"),
    )
    assert done.returncode == 0, done.stderr
    rows = {}
    for row in json.loads(done.stdout)["latencies"]:
        [reading] = row["readings"]
        rows[row["setup"]["runtime"], row["setup"]["dtype"]] = reading
    assert [*rows] == [
        ("eager", "fp32"),
        ("onnxruntime", "fp32"),
        ("onnxruntime", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
    ]
    right = by_hand(trained)
    assert right > 60, "it has learnt more than a guess of ten"
    for (_, dtype), reading in rows.items():
        named = reading["deployed"]["accuracy"]
        assert (named["data"], named["images"]) == ("digits", 360)
        assert abs(named["right"] - right) <= (0 if dtype == "fp32" else 18)
    for runtime in ("onnxruntime", "openvino"):
        whole, integers = rows[runtime, "fp32"], rows[runtime, "int8"]
        assert whole["ran"]["products"] == [["fp32", 8]]
        assert integers["ran"]["products"] == [["int8", 8]]
        assert integers["macs"] == whole["macs"]
        assert integers["deployed"]["file_bytes"] < 0.5 * whole["deployed"]["file_bytes"]
        assert whole["deployed"]["difference"] < 1e-5 < integers["deployed"]["difference"] < 0.25


def test_the_table_says_what_was_named_and_both_files_are_kept(quick, tmp_path):
    file = tmp_path / "net.onnx"
    done = called(
        *("latency", *NETWORK, "--runtime", "onnxruntime", "--data", "digits", "--quantize", "int8"),
        *("--processes", "1", "--export", file),
    )
    kinds = {one.name: {node.op_type for node in onnx.load(one).graph.node} for one in tmp_path.iterdir()}
    assert {name: "QuantizeLinear" in held for name, held in kinds.items()} == {
        "net.onnx": False,
        "net.int8.onnx": True,
    }
    assert done.returncode == 0, done.stderr
    assert "onnxruntime int8" in done.stdout
    assert "int8 8" in done.stdout
    assert "Accuracy: of 360 images of the test part of digits" in done.stdout
    assert "calibrated on 128 of those to train on" in done.stdout
    assert "0.25 (int8)" in done.stdout


def test_a_graph_that_is_a_file_is_quantised_too(quick, tmp_path):
    file = tmp_path / "net.onnx"
    kept = called("latency", *NETWORK, "--runtime", "onnxruntime", "--processes", "1", "--export", file, "-f", "json")
    assert kept.returncode == 0, kept.stderr
    done = called(
        *("latency", f"onnx:{file}", "--runtime", "onnxruntime", "--data", "digits", "--quantize", "int8"),
        *("--processes", "1", "-f", "json"),
    )
    assert done.returncode == 0, done.stderr
    whole, integers = (row["readings"][0] for row in json.loads(done.stdout)["latencies"])
    assert integers["ran"]["products"] == [["int8", 8]]
    assert whole["deployed"]["accuracy"]["right"] == by_hand("resnet8")
    assert whole["deployed"]["difference"] is None
    assert {one.name for one in tmp_path.iterdir()} == {"net.onnx"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--quantize", "int8", "--runtime", "onnxruntime"],
            "--quantize needs images to calibrate on: expected --data",
        ),
        (
            ["--quantize", "int4", "--data", "digits", "--runtime", "onnxruntime"],
            "--quantize takes int8; received 'int4'",
        ),
        (["--quantize", "int8", "--data", "digits"], "expected onnxruntime or openvino in --runtime; received eager"),
        (["--data", "digitz"], "--data takes digits, cifar10"),
        (["--data", "cifar10"], "--data cifar10 needs --data-root DIR"),
        (["--data-root", "."], "--data-root is where --data lie: expected --data with it"),
        (["--dtype", "int8"], "expected --quantize int8 with --runtime onnxruntime or openvino"),
        (["--dtype", "int8", "--runtime", "onnxruntime"], "onnxruntime is measured with --dtype fp32; received int8"),
        (["--dtype", "int8", "--runtime", "openvino", "--layers"], "--dtype fp32 or bf16; received int8"),
        (["--data", "digits", "--layers"], "--data is for networks timed whole"),
        (["--data", "digits", "--mode", "training"], "--data names images: expected --mode inference with it"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, said):
    done = called("latency", *NETWORK, *arguments)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fcn_block", "expected a score for each of 10 classes or more, (N, classes), to name images by"),
        ("two", "expected a network of one image CxHxW"),
    ],
)
def test_a_network_that_names_no_images_is_a_line(quick, tmp_path, name, said):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def fcn_block():\n    return nn.Conv2d(3, 10, 3)\n"
        "class Two(nn.Module):\n    def forward(self, a, b):\n        return a + b\n"
        "def two():\n    return Two()\n"
    )
    inputs = ["--input", "3x16x16"] * (2 if name == "two" else 1)
    done = called("latency", f"file:{tmp_path / 'mine.py'}:{name}", *inputs, "--data", "digits", "--processes", "1")
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_images_are_drawn_once_and_counted_in_batches_of_any_size():
    data = Data("digits")
    shown, again = to_name(data, (1, 8, 8)), to_name(data, (1, 8, 8))
    assert (shown.images == again.images).all()
    assert len(shown.labels) == 360
    assert len(to_calibrate(data, (1, 8, 8)).labels) == 128

    def as_labelled(part):  # whoever shows it the image again learns its label
        scores = torch.zeros(len(part), 10)
        for i, image in enumerate(part):
            place = next(j for j, one in enumerate(shown.images) if (one == image).all())
            scores[i, shown.labels[place]] = 1.0
        return scores

    assert rightly(as_labelled, shown._replace(images=shown.images[:20], labels=shown.labels[:20]), 7) == 20
    assert batched(shown.images[:2], 5).shape == (5, 1, 8, 8)
