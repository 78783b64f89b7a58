"""Rows of layers that add up, belong to the right module, and carry the architecture's names and numbers."""

import pytest
import torch
from torch import nn

from resbench.costs.measure import cost
from resbench.errors import MeasureError, OptionError
from resbench.networks.load import load
from resbench.operators.boundaries import Modules
from resbench.timing.layers.measure import GLUE, layer_times
from resbench.timing.memory.measure import check_fits, measured
from resbench.timing.memory.prediction import predicted
from resbench.timing.traffic import traffic
from resbench.workers.workload import Setup, Workload


def workload(name, **setup):
    setup = Setup(**setup)
    loaded = load(name)
    return Workload(loaded.module, loaded.arguments(setup.batch), setup)


def booked(work):
    with work.ready():
        work.run()
        modules = Modules(work.model)
        counts, saved = traffic(work, modules)
    return modules, counts, saved


NETS = ["resnet8", "preact_resnet8", "resnet8,shortcut=A,se=4", "inception_a", "googlenet,input=3x32x32"]


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("name", NETS[:3])
def test_the_rows_sum_to_the_whole(quick, name, mode):
    work = workload(name, batch=2, mode=mode)
    with work.ready():
        times = layer_times(work)
    assert abs(times.residual) < 0.001
    assert all(row.forward_s > 0 for row in times.rows)
    assert (times.step_s is not None) == (mode == "training")
    assert len(times.overheads) >= 20
    assert all((row.backward_s is not None) == (mode == "training") for row in times.rows)


@pytest.mark.parametrize("name", NETS)
def test_every_row_has_the_macs_of_the_cost_row_of_its_name(name):
    modules, counts, _ = booked(workload(name, batch=2))
    done = {modules.names[number]: work.macs for number, work in counts.forward.items() if work.macs}
    assert done == {row.name: row.macs for row in cost(name, batch=2).layers if row.macs}


def test_the_backward_pass_does_the_forwards_macs_twice_but_for_the_images_gradient():
    modules, counts, _ = booked(workload("resnet20", batch=2, mode="training"))
    for number, work in counts.forward.items():
        times = 1 if modules.names[number] == "conv1" else 2
        assert counts.backward[number].macs == times * work.macs, modules.names[number]


def test_backward_work_belongs_to_the_module_whose_forward_made_it(quick):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.unused = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3), nn.Linear(2, 2)

        def forward(self, x):
            return self.b(self.a(x).relu() * 2).mean((2, 3)) @ torch.ones(5, 7)

    work = Workload(Net(), (2, 3, 8, 8), Setup(batch=2, mode="training"))
    modules, counts, _ = booked(work)
    number = {name: i for i, name in enumerate(modules.names)}
    assert counts.forward[0].macs == 2 * 5 * 7
    assert counts.backward[0].macs == 2 * 5 * 7  # the matrix of ones needs no gradient
    assert counts.backward[number["a"]].macs == 2 * 64 * 12
    assert counts.backward[number["b"]].macs == 2 * 2 * 36 * 9 * 20
    with work.ready():
        times = layer_times(work)
    rows = {row.name: row for row in times.rows}
    assert set(rows) == {"a", "b", "Net"}
    assert rows["Net"].type == GLUE
    assert rows["a"].backward_s > 0


def test_a_module_that_runs_twice_has_one_row_with_both():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(self.conv(x))

    modules, counts, _ = booked(Workload(Net(), (1, 3, 8, 8), Setup()))
    assert counts.forward[modules.names.index("conv")].macs == 2 * 9 * 64


def test_the_bytes_of_a_layer_are_its_tensors_once():
    modules, counts, _ = booked(workload("resnet20", batch=2))
    number = {name: i for i, name in enumerate(modules.names)}
    assert counts.forward[number["conv1"]].bytes == 4 * (2 * 3 * 1024 + 16 * 27 + 2 * 16 * 1024)
    assert counts.forward[number["layer1.0.relu1"]].bytes == 4 * 2 * 2 * 16 * 1024
    assert counts.forward[number["layer1.0.add"]].bytes == 4 * 3 * 2 * 16 * 1024


def test_measuring_leaves_no_hook_and_no_change(quick):
    work = workload("resnet8", batch=2, mode="training")
    before = {name: value.clone() for name, value in work.model.named_parameters()}
    with work.ready():
        layer_times(work)
    assert all("forward" not in vars(m) and not m._forward_hooks for m in work.model.modules())
    assert all(torch.equal(value, before[name]) for name, value in work.model.named_parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own imports
def test_a_compiled_model_has_no_layers():
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    work = Workload(net, (1, 3, 8, 8), Setup(runtime="compile"))
    with pytest.raises(OptionError, match="no layers left to time"), work.ready():
        layer_times(work)


@pytest.mark.parametrize("dtype", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["preact_resnet20", "resnet18,input=3x64x64", "vgg11,input=3x64x64"])
def test_what_is_kept_for_backward_is_predicted_from_the_cost_rows(name, dtype):
    setup = {"batch": 4, "mode": "training", "dtype": dtype}
    work = workload(name, **setup)
    with work.ready():
        work.run()
        found = measured(work)
    expected = predicted(cost(name, batch=4), Setup(**setup))
    assert (found.weights, found.gradients, found.optimizer) == (expected.weights,) * 3
    assert found.saved == pytest.approx(expected.saved, rel=0.03)
    assert found.peak == pytest.approx(expected.peak, rel=0.25)


def test_the_peak_is_that_of_the_tensors_that_live_together():
    net = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.Conv2d(8, 2, 1, bias=False))
    work = Workload(net, (1, 4, 16, 16), Setup())
    with work.ready():
        peak = measured(work).peak
    # the first output stays while the second is made: 8 maps and 2; the input 4
    assert peak == 4 * (32 + 16 + (4 + 8 + 2) * 256)


def test_what_cannot_fit_is_refused_before_anything_is_allocated():
    with pytest.raises(MeasureError, match=r"needs about [0-9,.]+ GiB, .* are free; take a smaller --batch"):
        check_fits(cost("resnet50", batch=10**6), Setup(batch=10**6))


def test_a_setup_is_put_back_and_float32_is_float32_whatever_was_asked_for_before():
    threads = torch.get_num_threads()
    a = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    exact = (a.double() @ a.double()).float()
    torch.set_float32_matmul_precision("medium")  # bf16 products on a CPU that has them
    try:
        with Setup(threads=1).applied():
            assert torch.get_num_threads() == 1
            assert (a @ a - exact).abs().max() < 1e-3
        assert torch.get_num_threads() == threads
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        ({"device": "tpu"}, "--device takes cpu, cuda"),
        ({"device": "cuda:x"}, "--device takes cpu, cuda"),
        ({"dtype": "fp8"}, "dtype takes fp32"),
        ({"mode": "eval"}, "mode takes inference, training"),
        ({"memory_format": "nhwc"}, "memory_format takes contiguous"),
        ({"cache": "hot"}, "cache takes warm, cold"),
        ({"batch": 0}, "batch of at least 1"),
        ({"threads": -1}, "threads of at least 1"),
        ({"dtype": "tf32"}, "tf32 is a format of NVIDIA GPUs"),
    ],
)
def test_a_setup_that_cannot_be_is_refused(setup, says):
    with pytest.raises((OptionError, MeasureError), match=says):
        Setup(**setup)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_one_line():
    with pytest.raises(MeasureError, match="no CUDA here"), Setup(device="cuda").applied():
        pass


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(MeasureError, match="no parameter to train"):
        Workload(nn.ReLU(), (1, 3, 8, 8), Setup(mode="training"))
