"""Counters against the fold, closed forms, and one planted change each."""

import gc

import pytest
import torch
from torch import nn

from resbench.arch.catalog import architecture
from resbench.counters.watch import count
from resbench.networks.build import build
from resbench.workers.workload import Call, Setup, Workload


def counted(model, shape=(2, 3, 8, 8), graph=False, **setup):
    work = Workload(model, shape, Setup(**{"batch": shape[0], **setup}))
    with work.ready():
        return count(work, graph=graph)


class Net(nn.Module):
    """A residual block whose forward pass can be given a defect."""

    def __init__(self, change=lambda self, x: x):
        super().__init__()
        self.change = change
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.change(self, self.conv(x)) + x)


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20,shortcut=B", "plain20"])
def test_macs_and_parameters_are_those_of_the_fold(name):
    cost = architecture(name).cost(batch=2)
    totals = counted(build(name), (2, 3, 32, 32)).totals
    assert (totals["macs"], totals["params"]) == (cost.macs, cost.params)


def test_every_layer_has_the_macs_of_its_row():
    layers = counted(build("resnet20"), (1, 3, 32, 32)).layers
    for row in architecture("resnet20").cost().layers:
        if row.macs:
            assert layers[row.name]["macs"] == row.macs


def test_backward_macs_are_twice_the_forward_ones_less_the_first_input():
    totals = counted(build("resnet20"), (2, 3, 32, 32), mode="training").totals
    first = 2 * 16 * 27 * 32 * 32
    assert totals["macs_backward"] == 2 * totals["macs"] - first


def test_bytes_of_one_convolution_are_its_tensors():
    layer = counted(nn.Sequential(nn.Conv2d(3, 5, 3, padding=1))).layers["0"]
    x, weight, bias, out = 2 * 3 * 64, 5 * 27, 5, 2 * 5 * 64
    assert layer["read_bytes"] == 4 * (x + weight + bias)
    assert layer["written_bytes"] == 4 * out
    assert layer["peak_bytes"] == 4 * (x + weight + bias + out)


def test_a_relu_keeps_its_output_and_a_convolution_its_input():
    totals = counted(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1)), mode="training").totals
    assert totals["saved_bytes"] == 4 * 2 * 3 * 64  # one tensor serves both; the network's input is not counted


@pytest.mark.parametrize(
    ("change", "counter", "more"),
    [
        (lambda net, x: x.clone(), "copies", 1),
        (lambda net, x: x.clone(memory_format=torch.channels_last), "relayouts", 1),
        (lambda net, x: x.double().float(), "upcasts", 1),
        (lambda net, x: x * x.mean().item(), "syncs", 1),
        (lambda net, x: x * len(x.flatten().tolist()), "syncs", 1),
        (lambda net, x: x + 0, "aten.add", 1),
        (lambda net, x: setattr(net, "kept", [*getattr(net, "kept", []), x]) or x, "retained_bytes", 4 * 2 * 3 * 64),
    ],
)
def test_a_change_is_seen_by_its_counter(change, counter, more):
    def value(counts):
        return sum(layer.get(counter, 0) for layer in counts.layers.values())

    assert value(counted(Net(change))) - value(counted(Net())) == more


def test_a_lost_channels_last_is_seen():
    kept, lost = (counted(Net(), memory_format=layout).totals for layout in ("channels_last", "contiguous"))
    assert kept["channels_last"] == 3
    assert lost["channels_last"] == 0


def test_a_graph_break_is_seen():
    assert counted(Net(), graph=True).totals["graph_breaks"] == 0
    broken = Net(lambda net, x: x if x.sum() > 0 else -x)
    assert counted(broken, graph=True).totals["graph_breaks"] > 0


def test_a_graph_break_behind_a_hook_is_seen():
    broken = Net(lambda net, x: print(end="") or x * 2)
    broken.register_forward_pre_hook(lambda net, inputs: (inputs[0] * 2,))  # a graph of its own, before the network's
    assert counted(broken, graph=True).totals["graph_breaks"] > 0


def test_a_function_that_the_compiler_leaves_whole_is_a_graph_break(capsys):
    class Loop(Net):
        def forward(self, x):
            for _ in range(2):
                x = super().forward(x)
                print("done")
            return x

    assert counted(Loop(), graph=True).totals["graph_breaks"] > 0


def test_a_print_behind_the_last_operator_is_a_graph_break_and_a_read_by_the_host(capsys):
    class Printing(nn.ReLU):
        def forward(self, x):
            y = super().forward(x)
            print(y)
            return y

    totals = counted(Printing(), graph=True).totals
    assert totals["graph_breaks"] > 0
    assert totals["syncs"] > 0


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_each_of_both_gradients_of_a_convolution_takes_its_macs(groups):
    totals = counted(
        nn.Sequential(nn.Identity(), nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=groups)),
        (2, 4, 8, 8),
        mode="training",
    ).totals
    first = 2 * 64 * 4 * 8
    assert totals["macs_backward"] == 2 * totals["macs"] - first


def test_work_of_the_backward_pass_belongs_to_the_layer_that_made_it():
    layers = counted(Net(), mode="training").layers
    assert layers["conv"]["backward aten.convolution_backward"] == 1
    assert layers["relu"]["backward aten.threshold_backward"] == 1


def test_a_checkpoint_computes_twice_and_keeps_less():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, x):
            return torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False)

    plain, saving = counted(Checkpointed().body, mode="training"), counted(Checkpointed(), mode="training")
    assert saving.totals.get("saved_bytes", 0) < plain.totals["saved_bytes"]
    assert saving.layers["body.2"]["macs_backward"] == plain.layers["2"]["macs_backward"] + plain.layers["2"]["macs"]


def test_two_runs_count_the_same():
    net = build("resnet20")
    assert counted(net, (1, 3, 32, 32), mode="training") == counted(net, (1, 3, 32, 32), mode="training")


def test_a_function_is_counted_without_layers():
    x = torch.ones(4, 4)
    work = Call(lambda: x @ x, Setup())
    with work.ready():
        assert count(work).layers[""]["macs"] == 64


def test_a_switch_that_was_left_on_is_counted(monkeypatch):
    off = {"onednn_off", "anomaly_detection"}
    assert off.isdisjoint(counted(Net()).totals)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    with torch.autograd.set_detect_anomaly(True):
        assert {name: counted(Net()).totals[name] for name in off} == dict.fromkeys(off, 1)


@pytest.mark.parametrize("function", [lambda x: x.add_(1), nn.functional.relu_])
def test_what_a_function_overwrites_is_not_retained(function):
    x = torch.zeros(1000)
    work = Call(lambda: function(x), Setup())
    with work.ready():
        assert count(work).totals["retained_bytes"] == 0


def test_a_lazy_module_is_counted_in_any_layout():
    net = nn.Sequential(nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d())
    assert counted(net, memory_format="channels_last").totals["macs"] == 2 * 8 * 36 * 27


def test_inputs_may_be_nested():
    x, state = torch.zeros(5, 2, 8), torch.zeros(1, 2, 16)
    totals = counted(nn.LSTM(8, 16), (x, (state, state)), batch=2, mode="training").totals
    assert totals["macs"] == 5 * 2 * (8 + 16) * 4 * 16
    assert totals["macs_backward"] == 2 * totals["macs"]


def test_a_sparse_gradient_is_counted():
    net = nn.Embedding(10, 4, sparse=True)
    assert counted(net, (torch.tensor([1, 2, 3]),), batch=3, mode="training").totals["params"] == 40


def test_what_somebody_froze_stays_frozen_and_nothing_else_does():
    """Objects that Python's collector passes over."""
    gc.freeze()
    counted(Net())
    assert gc.get_freeze_count()
    gc.unfreeze()
    counted(Net())
    assert not gc.get_freeze_count()
    gc.freeze()  # as it was
