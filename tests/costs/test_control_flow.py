"""Control flow that is an operator, and forwards that take gradients, each with an answer that was worked out by hand.

Four rows of three images go through Linear layers 8 -> 8 without bias: 12 x 64 = 768 MACs each.
"""

import pytest
import torch
from torch import nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as map_
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.flop_counter import FlopCounterMode

import resbench
from resbench.arch.rows import Fork
from resbench.costs import measure
from resbench.costs.table import cost_table
from resbench.operators.rules import larger_branch
from resbench.timing.ran import observed
from resbench.workers.control_flow import ControlFlow
from resbench.workers.workload import Setup, Workload

ROWS = (3, 4, 8)
ONE = 768


class Flow(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.body = forward

    def forward(self, x):
        return self.body(self, x)


def cond(net, x):
    return torch.cond(x.sum() > 1e9, lambda x: net.a(x), lambda x: net.c(net.b(x)), (x,))


def larger_first(net, x):
    return torch.cond(x.sum() > 1e9, lambda x: net.c(net.b(x)), lambda x: net.a(x), (x,))


def nested(net, x):
    def deep(x):
        return torch.cond(x.mean() > 0, lambda x: net.b(net.b(net.b(x))), lambda x: net.b(x), (x,))

    return torch.cond(x.sum() > 1e9, lambda x: net.a(x), deep, (x,))


def five_times(net, x):
    start = torch.zeros((), dtype=torch.int64)
    return while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, net.a(x)), (start, x))[1]


def until_small(net, x):
    return while_loop(lambda x: x.abs().sum() > 1e-3, lambda x: (net.a(x) / 100,), (x,))[0]


def scanned(net, x):
    def step(carry, row):
        carry = net.a(carry + row)
        return carry, carry.clone()

    return scan(step, x.new_zeros(x[:, 0].shape), x.transpose(0, 1))[1]


def associatively(net, x):
    return associative_scan(lambda a, b: a + b, net.a(x), 1, combine_mode="generic")


def mapped(net, x):
    return map_(lambda row: net.a(row), x)


@pytest.mark.parametrize(
    ("forward", "macs", "backward"),
    [
        (cond, 2 * ONE, 3 * ONE),  # the image needs no gradient: the first layer's weights alone
        (larger_first, 2 * ONE, 3 * ONE),
        (nested, 3 * ONE, 5 * ONE),
        (five_times, 5 * ONE, 9 * ONE),
        (until_small, ONE, ONE),
        (scanned, ONE, ONE + 2 * ONE // 3),  # 3 steps of 4 rows, of which the first starts from zeros
        (associatively, ONE, ONE),
        (mapped, ONE, ONE),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_an_operator_calls_is_counted_as_if_python_called_it(forward, macs, backward):
    for mode, wanted in (("inference", None), ("training", backward)):
        found = measure.cost(Flow(forward), input=ROWS, mode=mode)
        assert (found.macs, found.params, found.backward_macs, found.uncounted) == (macs, 192, wanted, ())
        assert {row.name for row in found.layers if row.macs} <= {"a", "b", "c"}


def test_of_two_branches_the_larger_counts_and_both_are_said():
    for forward, forks in ((cond, (ONE, 2 * ONE)), (larger_first, (2 * ONE, ONE))):
        costs = resbench.flops(Flow(forward), ROWS)
        assert costs.costs[0].forks == (Fork("cond", forks),)
        assert "cond counts its larger branch, with 1,536 MACs: the other takes 768." in str(costs)
        assert not costs.costs[0].is_least
    assert [fork.macs for fork in measure.cost(Flow(nested), input=ROWS).forks] == [(ONE, 3 * ONE), (3 * ONE, ONE)]


def test_a_loop_of_unknown_length_counts_once_and_that_is_said():
    assert measure.cost(Flow(five_times), input=ROWS).forks == ()
    found = measure.cost(Flow(until_small), input=ROWS)
    assert found.forks == (Fork("while_loop", (ONE,)),)
    assert found.is_least
    assert any("how often it goes round, values decide" in line for line in cost_table([found]).warnings)


def test_one_rule_says_which_branch_is_larger():
    assert [larger_branch(works) for works in (((1, 9), (2, 0)), ((2, 1), (2, 0)), ((0, 0), (0, 0)))] == [1, 0, 0]


@pytest.mark.filterwarnings("ignore:flex_attention called")
def test_flex_attention_is_two_products_of_its_heads():
    """Of 8 heads, 16 tokens and width 32: 2 x 8 x 16 x 16 x 32, beside one Linear 32 -> 32 on 128 rows."""

    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(32, 32, bias=False)

        def forward(self, x):
            return flex_attention(self.q(x), x, x)

    assert measure.cost(Attends(), input=(8, 16, 32)).macs == 262_144


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    ("forward", "macs", "backward"), [(cond, 2 * ONE, 3 * ONE), (five_times, 5 * ONE, 9 * ONE), (mapped, ONE, ONE)]
)
def test_what_is_timed_is_counted_on_the_branch_that_ran(forward, macs, backward, mode):
    from resbench.operators.boundaries import Modules
    from resbench.timing.traffic import traffic

    work = Workload(Flow(forward), (1, *ROWS), Setup(mode=mode))
    with work.ready():
        counts, _ = traffic(work, Modules(work.model))
        ran = observed(work)
    total = macs + (backward if mode == "training" else 0)
    done = sum(one.macs for one in (*counts.forward.values(), *counts.backward.values()))
    assert (done, dict(ran.products), dict(counts.all_uncounted)) == (total, {"fp32": total}, {})


@pytest.mark.parametrize("forward", [cond, five_times, scanned, mapped], ids=lambda f: f.__name__)
def test_run_as_python_it_gives_what_torch_gives(forward):
    torch.manual_seed(0)
    net, x = Flow(forward), torch.randn(1, *ROWS)
    with torch.no_grad():
        whole = net(x)
        with ControlFlow(), FlopCounterMode(display=False) as counter:
            parts = net(x)
    torch.testing.assert_close(parts, whole)
    assert counter.get_total_flops() // 2 == measure.cost(net, input=ROWS).macs


def test_the_weights_of_a_branch_get_their_gradients():
    from resbench import GradientProbe

    torch.manual_seed(0)
    net, x = Flow(cond), torch.randn(1, *ROWS)
    net.b(x)
    (net.c(net.b(x))).square().mean().backward()
    wanted = {name: getattr(net, name).weight.grad.norm().item() for name in "bc"}
    net.zero_grad()
    probe = GradientProbe(net)
    probe(x).square().mean().backward()
    probe.read(lr=0.1)
    found = {row.name: row.value for row in probe.rows if row.statistic == "weight_gradient"}
    assert found == pytest.approx(wanted)


# -- forwards that take gradients themselves ------------------------------------------------------------------


class Force(nn.Module):
    """The force is minus the gradient of an energy: fc1 8 -> 6 and fc2 6 -> 1 on 12 rows, 648 MACs and as many back."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 6), nn.Linear(6, 1)

    def forward(self, x):
        x.requires_grad_()
        energy = self.fc2(torch.tanh(self.fc1(x))).sum()
        return -torch.autograd.grad(energy, x, create_graph=True)[0]


def test_a_forward_that_takes_gradients_runs_with_them():
    from resbench.operators.boundaries import Modules
    from resbench.timing.traffic import traffic

    net = Force()
    found = measure.cost(net, input=ROWS)
    assert (found.macs, found.params, found.uncounted, found.backward_macs) == (1_296, 61, (), None)
    assert all(p.grad is None for p in net.parameters())
    work = Workload(net, (1, *ROWS), Setup())
    with work.ready():
        counts, _ = traffic(work, Modules(net))
        assert not torch.is_grad_enabled()
    assert sum(one.macs for one in counts.forward.values()) == 1_296


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_its_layers_are_timed(quick, mode):
    rows = resbench.layers(Force(), ROWS, mode=mode).tables()[0].records()
    assert {"fc1", "fc2"} <= {row["name"] for row in rows}
