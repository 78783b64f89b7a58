"""Models of strangers, each with an answer that was worked out by hand."""

import itertools
import queue
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from accounts import kept
from torch import nn

import resbench
from resbench.costs import measure
from resbench.costs.table import cost_table
from resbench.counters.watch import count
from resbench.errors import OptionError
from resbench.operators.boundaries import Modules
from resbench.timing.ran import observed
from resbench.timing.traffic import traffic
from resbench.workers.workload import Setup, Workload

ROWS = (3, 4, 8)
"""12 rows of 8: a Linear 8 -> 5 takes 480 MACs, its gradient as many."""


class Forward(nn.Module):
    """One Linear, and a forward of its own."""

    def __init__(self, forward):
        super().__init__()
        self.fc, self.body = nn.Linear(8, 5), forward

    def forward(self, x):
        return self.body(self, x)


def in_a_pool(net, x):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(net.fc, x).result()


def in_a_thread(net, x):
    found = []
    thread = threading.Thread(target=lambda: found.append(net.fc(x)))
    thread.start()
    thread.join()
    return found[0]


def by_hand_in_a_thread(net, x):
    found = []

    def multiply():
        found.append(x @ net.fc.weight.t() + net.fc.bias)

    thread = threading.Thread(target=multiply)
    thread.start()
    thread.join()
    return found[0]


def test_work_in_a_thread_is_named_where_no_module_is_called_and_where_it_is_timed():
    net = Forward(by_hand_in_a_thread)
    assert measure.cost(net, input=ROWS).uncounted == (("multiply in a thread of its own", 1),)
    for forward, name in ((by_hand_in_a_thread, "multiply"), (in_a_pool, "fc"), (in_a_thread, "fc")):
        work = Workload(Forward(forward), (1, *ROWS), Setup())
        with work.ready():
            counts, _ = traffic(work, Modules(work.model))
        assert dict(counts.all_uncounted) == {f"{name} in a thread of its own": 1}


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("forward", [in_a_pool, in_a_thread])
def test_what_runs_in_another_thread_is_named_and_not_counted_as_nothing(forward, mode):
    cost = measure.cost(Forward(forward), input=ROWS, mode=mode)
    assert (cost.params, cost.uncounted) == (45, (("fc in a thread of its own", 1),))


def test_a_backward_pass_from_what_shows_no_tensors_is_unknown_and_not_none():
    leaf = Forward(lambda net, x: iter([net.fc(x)]))
    cost = measure.cost(leaf, input=ROWS, mode="training")
    assert (cost.macs, cost.backward_macs) == (480, None)
    table = cost_table([cost])
    assert table.records()[0]["backward_macs"] is None
    assert any("where its backward pass starts is unknown" in line for line in table.warnings)


def test_a_backward_pass_that_has_nothing_to_start_from_takes_nothing():
    cost = measure.cost(Forward(lambda net, x: net.fc(x).argmax(-1)), input=ROWS, mode="training")
    assert (cost.macs, cost.backward_macs) == (480, 0)


# -- what a model may hold, and a forward may change -------------------------------------------------------

NUMBERS = itertools.count(2)


class Numbered:
    numbers = itertools.count(7)


def holding(deed):
    net = Forward(lambda net, x: (deed(net), net.fc(x))[1])
    net.space, net.local, net.queue, net.weak = types.SimpleNamespace(n=1), threading.local(), queue.Queue(), Numbered()
    net.set, net.optimizer = weakref.WeakSet(), torch.optim.SGD(net.fc.parameters(), lr=0.1, momentum=0.9)
    net.scaler = torch.amp.GradScaler("cpu")
    return net


DEEDS = {
    "namespace": lambda net: setattr(net.space, "n", 2),
    "of a thread": lambda net: setattr(net.local, "n", 2),
    "queue": lambda net: net.queue.put(1),
    "weak set": lambda net: net.set.add(net.weak),
    "optimiser": lambda net: (net.optimizer.param_groups[0].update(lr=1.0), net.optimizer.state.update(k=1)),
    "loss scaler": lambda net: setattr(net.scaler, "_growth_factor", 3.0),
}


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("deed", DEEDS)
def test_counting_leaves_what_libraries_hold_as_it_was(deed, mode):
    net = holding(DEEDS[deed])
    held = (vars(net.space), vars(net.local), vars(net.queue)["queue"], net.set.data)
    as_before = kept(net, *held, vars(net.optimizer), vars(net.scaler))
    assert measure.cost(net, input=ROWS, mode=mode).macs == 480
    as_before()


def test_a_counter_goes_on_where_it_was_and_is_still_the_same_for_all_who_hold_it():
    enclosed = itertools.count(4)

    def forward(net, x):
        for counter in (NUMBERS, Numbered.numbers, net.mine, *net.several, enclosed):
            next(counter)
        return net.fc(x)

    net, quiet = Forward(forward), itertools.count(1)
    net.mine = net.also_mine = itertools.count(5)
    net.several, net.quiet, net.numbered = [itertools.count(3)], quiet, Numbered()
    measure.cost(net, input=ROWS)
    assert net.mine is net.also_mine and net.quiet is quiet
    assert [*map(next, (NUMBERS, Numbered.numbers, net.mine, *net.several, enclosed))] == [2, 7, 5, 3, 4]


def test_a_formula_of_what_torch_takes_apart_is_refused_for_it_would_never_count():
    with pytest.raises(OptionError, match="received aten::linear: torch takes it apart"):
        resbench.formula("aten::linear")
    with pytest.raises(OptionError, match="received aten::einsum: torch takes it apart"):
        resbench.formula(torch.ops.aten.einsum)


# -- a forward in inference mode, where torch shows operators whole that it takes apart elsewhere ----------

WEIGHT = torch.ones(8, 5)
WHOLE = {
    "matmul": ((3, 4, 8), lambda x: x @ WEIGHT.to(x.device), 480),
    "einsum": ((3, 4, 8), lambda x: torch.einsum("bcij,jk->bcik", x, WEIGHT.to(x.device)), 480),
    "attention": ((3, 4, 8), lambda x: nn.functional.scaled_dot_product_attention(x, x, x), 2 * 3 * 4 * 4 * 8),
    "distances": ((3, 4, 8), lambda x: torch.cdist(x, x), 3 * 4 * 4 * 8),
    "convolution": ((3, 8, 8), nn.Conv2d(3, 4, 3, padding=1), 4 * 64 * 27),
    "same padding": ((3, 8, 8), nn.Conv2d(3, 4, 3, padding="same"), 4 * 64 * 27),
    "transposed": ((3, 8, 8), nn.ConvTranspose2d(3, 4, 2, stride=2), 64 * 3 * 4 * 4),
    "encoder layer": ((1, 6, 8), lambda x: ENCODER(x[0]), 6 * (8 * 24 + 64 + 2 * 8 * 16) + 2 * 6 * 6 * 8),
    "LSTM": ((1, 6, 8), lambda x: LSTM(x[0])[0], 6 * (16 * 8 + 16 * 4)),
}
ENCODER, LSTM = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.LSTM(8, 4, batch_first=True)


@pytest.mark.parametrize("name", WHOLE)
def test_a_forward_in_inference_mode_is_counted_like_any_other(name):
    size, call, macs = WHOLE[name]

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([ENCODER, LSTM, *([call] if isinstance(call, nn.Module) else [])]).eval()

        def forward(self, x):
            return call(x)

    class Frozen(Net):
        def forward(self, x):
            with torch.inference_mode():
                return call(x)

    plain, frozen = (measure.cost(net, input=size) for net in (Net(), Frozen()))
    assert (frozen.macs, frozen.uncounted) == (macs, ())
    assert [row[2:] for row in frozen.layers] == [row[2:] for row in plain.layers]


def test_the_products_of_a_forward_in_inference_mode_are_seen_where_it_is_timed():
    net = Forward(torch.inference_mode()(lambda net, x: net.conv(x)))
    net.conv = nn.Conv2d(3, 4, 3, padding=1)
    work = Workload(net, (1, 3, 8, 8), Setup(batch=1))
    with work.ready():
        assert count(work, graph=False).totals["macs"] == 4 * 64 * 27
        assert observed(work).products == (("fp32", 4 * 64 * 27),)


@pytest.mark.parametrize(("mode", "backward"), [("inference", None), ("training", 3 * 768)])
def test_a_layer_that_is_made_may_take_the_weight_of_one_that_was_there(mode, backward):
    def forward(net, x):
        last = nn.Linear(8, 8)
        last.weight = net.first.weight
        return last(net.first(x))

    net = Forward(forward)
    net.first, net.fc = nn.Linear(8, 8), None
    cost = measure.cost(net, input=ROWS, mode=mode)
    assert (cost.macs, cost.params, cost.backward_macs) == (2 * 768, 64 + 8 + 8, backward)


def test_a_comparison_says_how_complex_numbers_count(cli, tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\nfrom torch import nn\nINPUT = (3, 4, 8)\n"
        "def real(): return nn.Sequential(nn.Linear(8, 5))\n"
        "class Complex(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = nn.Linear(8, 5, dtype=torch.complex64)\n"
        "    def forward(self, x): return self.fc(torch.complex(x, x)).abs()\n"
    )
    names = [f"file:{tmp_path}/nets.py:{name}" for name in ("real", "Complex")]
    ran = cli("compare", *names, "--input", "3x4x8", "--metrics", "macs")
    assert ran.returncode == 0 and "1,920  4.000x" in ran.stdout
    assert "A complex multiply-accumulate is 4 real ones." in ran.stdout
