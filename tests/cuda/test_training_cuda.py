"""Training on a GPU: a captured step is the step, and it goes on bit for bit."""

import pytest
import torch

from resbench.data import load_split
from resbench.networks.load import load
from resbench.training.feed import Feed
from resbench.training.result import Cell, TrainingRecipe
from resbench.training.run import TrainingRun
from resbench.training.train import Options, train

pytestmark = pytest.mark.cuda
SIZE = (3, 16, 16)


@pytest.fixture(scope="module")
def feed():
    return Feed(*(part.resized(SIZE) for part in load_split("digits")), 128, True, "cuda")


def finish(run, until=None):
    while not run.finished and (until is None or run.step < until):
        for _ in run.epoch():
            pass
        run.close()
    return run


def run(feed, name="resnet20", **more):
    return TrainingRun(name, load(name, SIZE).module, 0, TrainingRecipe(44, augment=True, **more), feed, "cuda")


def equal(a, b):
    values = (one.model.state_dict().values() for one in (a, b))
    return all(torch.equal(x, y) for x, y in zip(*values, strict=True))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_captured_step_is_the_step(feed, dtype):
    captured, eager = run(feed, dtype=dtype), run(feed, dtype=dtype)
    eager._captured = lambda row: eager._learn
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        finish(captured), finish(eager)
    assert captured._replay is not None
    for a, b in zip(captured.history, eager.history, strict=True):
        assert a.train_error == pytest.approx(b.train_error, abs=0.01)
        assert a.loss == pytest.approx(b.loss, rel=0.02)
    assert captured.history[-1].train_error < captured.history[0].train_error


@pytest.mark.parametrize("name", ["resnet20", "resnet20,shortcut=dropout"])
def test_a_run_goes_on_bit_for_bit(feed, name):
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        whole, first, second = (run(feed, name) for _ in range(3))
        finish(whole), finish(first, until=22)
        second.restore(first.state())
        finish(second)
    assert equal(whole, second)
    assert [epoch[:-1] for epoch in whole.history] == [epoch[:-1] for epoch in second.history]


def test_networks_side_by_side_are_those_alone(feed, tmp_path):
    cells = [Cell(name, SIZE, 0, TrainingRecipe(22)) for name in ("plain20", "resnet20")]
    together = train(cells, feed, Options("cuda", folder=tmp_path / "a"))
    alone = [train([cell], feed, Options("cuda"))[0] for cell in cells]
    for a, b in zip(together, alone, strict=True):
        assert [epoch[:-1] for epoch in a.history] == [epoch[:-1] for epoch in b.history]


def test_the_probe_joins_captured_steps(feed):
    one = TrainingRun("resnet20", load("resnet20", SIZE).module, 0, TrainingRecipe(22), feed, "cuda", every=11)
    finish(one)
    assert {row.step for row in one.rows} == {0, 11}
    assert one.history[-1].train_error < 0.9


def test_what_is_not_finite_is_named(feed):
    one = TrainingRun(
        "plain20,norm=none", load("plain20,norm=none", SIZE).module, 0, TrainingRecipe(22, lr=1e20), feed, "cuda"
    )
    finish(one)
    assert "first in the " in one.broken


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_step_waits_for_nothing(feed):
    one = run(feed)
    list(one.epoch())
    one.close()
    rows = feed.rows(0, 1)
    torch.cuda.synchronize()
    try:
        torch.cuda.set_sync_debug_mode("error")
        with one._stream():
            one._train(rows[0])
    finally:
        torch.cuda.set_sync_debug_mode("default")
