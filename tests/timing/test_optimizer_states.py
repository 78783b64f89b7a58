"""What an optimiser is said to hold is what it holds after a real step."""

import pytest
import torch
from torch import Tensor, nn

from resbench.errors import OptionError
from resbench.timing.memory.optimizers import LBFGS_HISTORY, STATES, state_bytes

OPTIONS = {"SGD with momentum": {"momentum": 0.9}}
SHIPPED = sorted(name for name in vars(torch.optim) if name[0].isupper() and name != "Optimizer")


def held(optimizer):
    tensors = [value for entry in optimizer.state.values() for value in entry.values()]
    tensors += [inner for value in tensors if isinstance(value, list) for inner in value]
    return sum(tensor.nbytes for tensor in tensors if isinstance(tensor, Tensor))


def stepped(name, net, steps=1):
    """The optimiser behind some steps on a sum of squares that is not minimal."""
    optimizer = getattr(torch.optim, name.partition(" ")[0])(net.parameters(), **OPTIONS.get(name, {}))

    def loss():
        optimizer.zero_grad()
        total = sum((p.coalesce() if p.is_sparse else p).pow(4).sum() for p in net.parameters())
        total.backward()
        if name == "SparseAdam":
            for p in net.parameters():
                p.grad = p.grad.to_sparse()
        return total

    for _ in range(steps):
        loss()
        optimizer.step(loss)
    return optimizer


def test_every_optimizer_that_torch_ships_has_its_state():
    assert {name.partition(" ")[0] for name in STATES} >= set(SHIPPED)


@pytest.mark.parametrize("name", [name for name in STATES if name != "LBFGS"])
def test_a_real_step_leaves_this_state(name):
    if not hasattr(torch.optim, name.partition(" ")[0]):
        pytest.skip("this torch does not ship it")
    net = nn.Linear(6, 4, bias=False) if name == "Muon" else nn.Sequential(nn.Conv2d(3, 8, 5), nn.Linear(6, 4))
    assert held(stepped(name, net)) == state_bytes(name, [tuple(p.shape) for p in net.parameters()])


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
    said = state_bytes("LBFGS", [tuple(p.shape) for p in net.parameters()])
    assert held(optimizer) == pytest.approx(said, rel=0.01)


def test_another_name_is_refused():
    with pytest.raises(OptionError, match="expected an optimiser of SGD"):
        state_bytes("Lion", [(3, 4)])
