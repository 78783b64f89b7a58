"""What an optimiser is said to hold is what it holds after a real step, and while it steps."""

import pytest
import torch
from commands import called
from torch import Tensor, nn

import resbench
from resbench.errors import MeasureError, OptionError
from resbench.timing.memory.measure import peak_bytes
from resbench.workers.optimizers import LBFGS_HISTORY, MOMENTUM, OPTIMIZERS, passing_bytes, state_bytes
from resbench.workers.workload import Setup, Workload

SHIPPED = sorted(name for name in vars(torch.optim) if name[0].isupper() and name != "Optimizer")
OWN_STEP = {"LBFGS", "SparseAdam"}
STEPPED = [name for name in OPTIMIZERS if name not in OWN_STEP and hasattr(torch.optim, name.partition(" ")[0])]


def held(optimizer):
    tensors = [value for entry in optimizer.state.values() for value in entry.values()]
    tensors += [inner for value in tensors if isinstance(value, list) for inner in value]
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))


def shapes(net):
    return [tuple(p.shape) for p in net.parameters()]


def test_every_optimizer_that_torch_ships_has_its_state():
    assert {name.partition(" ")[0] for name in OPTIMIZERS} >= set(SHIPPED)


@pytest.mark.parametrize("name", STEPPED)
def test_a_real_step_leaves_this_state_and_the_weights_where_they_were(name):
    net = nn.Linear(6, 4, bias=False) if name == "Muon" else nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    weights = [p.detach().clone() for p in net.parameters()]
    work = Workload(net, (2, 6), Setup(mode="training", optimizer=name))
    with work.ready():
        work.run()
        work.run()
    assert held(work.optimizer) == state_bytes(name, shapes(net))
    assert all(torch.equal(before, p) for before, p in zip(weights, net.parameters(), strict=True))


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("widths", [(200, 200, 200), (200, 200, 1), (1, 200, 200), (200, 1, 200)])
def test_a_step_holds_this_at_its_peak(name, widths):
    layers = [nn.Linear(before, after, bias=False) for before, after in zip((200, *widths), widths, strict=False)]
    net = nn.Sequential(*layers)
    work = Workload(net, (1, 200), Setup(mode="training", optimizer=name))
    with work.ready():
        work.run()
        peak = peak_bytes(work)
    said = (
        2 * sum(p.nbytes for p in net.parameters()) + state_bytes(name, shapes(net)) + passing_bytes(name, shapes(net))
    )
    assert peak == pytest.approx(said, rel=0.02)


def test_sparse_adam_holds_two_like_each_parameter():
    net = nn.Embedding(30, 4, sparse=True)
    optimizer = torch.optim.SparseAdam(net.parameters())
    net(torch.tensor([3, 4])).sum().backward()
    optimizer.step()
    assert held(optimizer) == state_bytes("SparseAdam", shapes(net))


def test_lbfgs_holds_its_history_of_pairs():
    net = nn.Linear(60, 40)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=1e-3, max_iter=LBFGS_HISTORY + 20, tolerance_change=0.0)

    def loss():
        optimizer.zero_grad()
        total = sum((p**4).sum() + p.pow(2).sum() for p in net.parameters())
        total.backward()
        return total

    for _ in range(3):
        optimizer.step(loss)
    assert held(optimizer) == pytest.approx(state_bytes("LBFGS", shapes(net)), rel=0.01)


@pytest.mark.parametrize("name", [MOMENTUM, "AdamW", "Adafactor", "RMSprop"])
def test_what_a_network_holds_is_predicted_for_each(name):
    (one,) = resbench.memory("resnet20", batch=2, mode="training", optimizer=name).reports
    assert one.predicted.optimizer == one.measured.optimizer
    assert one.predicted.peak == pytest.approx(one.measured.peak, rel=0.02)


def test_a_larger_state_leaves_room_for_fewer_images():
    batches = {
        name: resbench.memory("resnet18", "3x32x32", fits="400MB", mode="training", optimizer=name).reports[0].batch
        for name in ("SGD", MOMENTUM, "AdamW", "LBFGS")
    }
    assert batches["SGD"] > batches[MOMENTUM] > batches["AdamW"] > 0 == batches["LBFGS"]


def test_the_setup_says_which(capsys):
    done = called("latency", "resnet20", "--memory", "--mode", "training", "--optimizer", "AdamW")
    assert "training by AdamW" in done.stdout


def test_what_cannot_step_is_one_line():
    with pytest.raises(OptionError, match="torch ships no optimiser 'Lion'; expected one of SGD"):
        Setup(mode="training", optimizer="Lion")
    with pytest.raises(OptionError, match="AdamW steps in training: expected --mode training"):
        Setup(optimizer="AdamW")
    with pytest.raises(MeasureError, match="LBFGS runs the network itself: expected another"):
        resbench.memory("resnet20", mode="training", optimizer="LBFGS")
    with pytest.raises(MeasureError, match="Muon cannot train this network"):
        resbench.memory("resnet20", mode="training", optimizer="Muon")


def test_what_an_optimizer_does_not_take_is_said_without_a_run_too():
    with pytest.raises(OptionError, match="Muon takes matrices alone"):
        resbench.memory("resnet20", mode="training", optimizer="Muon", fits="1GB")
    with pytest.raises(OptionError, match="did you mean AdamW"):
        Setup(mode="training", optimizer="adamw")
    with pytest.raises(OptionError, match="expected the name of an optimiser, such as 'AdamW'; received a AdamW"):
        Setup(mode="training", optimizer=torch.optim.AdamW(nn.Linear(2, 2).parameters()))
