"""Weights that are sharded over two processes, or made by the first forward pass, have the numbers of plain ones."""

import json
import multiprocessing

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy

import resbench
from resbench import GradientProbe
from resbench.errors import TraceError

IMAGE = (3, 8, 8)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "resbench"])
WEIGHTS = ("weight_gradient", "weight", "relative_gradient", "update", "moved", "weight_growth", "effective_lr")


def net():
    torch.manual_seed(0)
    blocks = (nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU()) for _ in range(3))
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )


def sharded():
    from torch.distributed.fsdp import fully_shard

    model = net()
    for block in (*model[1:4], model):
        fully_shard(block)
    return model


def images():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(8, *IMAGE, generator=draw), torch.randint(0, 10, (8,), generator=draw)


def probed(model, x, y):
    probe, optimizer = GradientProbe(model), torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):
        loss = cross_entropy(probe(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        probe.read(optimizer)
    return numbers(probe.rows)


def flowed(model):
    return numbers(resbench.gradflow(model, IMAGE, seeds=1, steps=(0, 1), batch=8).flows[0].rows)


def numbers(rows):
    return {f"{row.step} {row.statistic} {row.name}": row.value for row in rows}


def one_of_two(rank, folder):
    """The work of one process; the first writes down what it found."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(str(folder / "store"), 2), rank=rank, world_size=2)
    x, y = images()
    own = slice(4 * rank, 4 * rank + 4)
    found = {"same": probed(sharded(), x, y), "halves": probed(sharded(), x[own], y[own]), "flow": flowed(sharded())}
    try:
        resbench.flops(sharded(), IMAGE)
    except TraceError as error:
        found["refused"] = str(error)
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharded")
    both = [FORKS.Process(target=one_of_two, args=(rank, folder)) for rank in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    return json.loads((folder / "found.json").read_text())


def test_two_processes_that_see_the_same_images_have_the_numbers_of_one(found):
    assert found["same"] == pytest.approx(probed(net(), *images()), rel=1e-5)


def test_the_weights_of_two_processes_have_the_numbers_of_one_that_sees_all_images(found):
    alone = {key: value for key, value in probed(net(), *images()).items() if key.split()[1] in WEIGHTS}
    assert len(alone) == 2 * 5 * len(WEIGHTS)
    assert {key: found["halves"][key] for key in alone} == pytest.approx(alone, rel=1e-5)


def test_the_flow_of_a_sharded_module_is_that_of_the_whole_one(found):
    alone = {key: value for key, value in flowed(net()).items() if key.split()[1] not in ("c1", "effective_rank")}
    assert found["flow"] == pytest.approx(alone, rel=1e-5)


def test_a_sharded_module_is_not_counted_and_the_way_out_is_said(found):
    assert found["refused"] == "FSDPSequential is sharded over processes: count it before fully_shard"


def test_a_lazy_module_has_the_numbers_of_the_module_that_it_becomes():
    def lazy():
        torch.manual_seed(0)
        blocks = (nn.Sequential(nn.LazyConv2d(8, 3, padding=1), nn.LazyBatchNorm2d(), nn.ReLU()) for _ in range(3))
        return nn.Sequential(
            nn.LazyConv2d(8, 3, padding=1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(10)
        )

    x, y = images()
    made = lazy()
    made(x)
    for block in made[1:4]:
        block[1].reset_running_stats()
    assert probed(lazy(), x, y) == pytest.approx(probed(made, x, y), rel=1e-6)
