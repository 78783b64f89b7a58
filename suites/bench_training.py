"""Is the training loop as fast as one written by hand, and what does a graph give on a GPU?

    RESBENCH_CIFAR10=DIR pytest suites/bench_training.py --benchmark-enable --benchmark-only -s

Takes 8 minutes on two cores. Without CIFAR-10 the same runs on digits at 3x32x32; where there is an NVIDIA GPU, there
too.
"""

import os
import statistics
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from resbench.codec import encoded
from resbench.costs.measure import cost
from resbench.data import load_split
from resbench.networks.load import load
from resbench.training.feed import Feed
from resbench.training.result import TrainingRecipe
from resbench.training.run import TrainingRun
from resbench.training.train import precision
from resbench.workers.environment import environment

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ROOT = os.environ.get("RESBENCH_CIFAR10")
EPOCHS = int(os.environ.get("RESBENCH_EPOCHS", "3"))
SIZE = (3, 32, 32)


def parts():
    name = "cifar10" if ROOT else "digits"
    return name, [part.resized(SIZE) for part in load_split(name, ROOT and Path(ROOT))]


def synchronised(device):
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


class ByHand:
    """What one writes who has read the tutorials: all images in memory, crop and flip, autocast, SGD."""

    def __init__(self, name, train, test, recipe, device):
        self.model = load(name, SIZE).module.to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), recipe.lr, momentum=0.9, weight_decay=1e-4)
        self.images, self.labels = train.images.to(device), train.labels.to(device)
        self.test_images, self.test_labels = test.images.to(device), test.labels.to(device)
        self.mean = (self.images.float().mean(0, keepdim=True)).to(device)
        self.std = train.std.to(device)
        self.recipe, self.device = recipe, device

    def normal(self, images):
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def epoch(self):
        self.model.train()
        size, wrong, total = self.recipe.batch, 0, 0.0
        order = torch.randperm(len(self.labels), device=self.device)
        for i in range(len(order) // size):
            chosen = order[i * size : (i + 1) * size]
            x, y = self.normal(self.images[chosen]), self.labels[chosen]
            if self.recipe.augment:
                x = nn.functional.pad(x, (4, 4, 4, 4))
                cut = torch.empty(len(y), *SIZE, device=self.device)
                for j, (top, left) in enumerate(torch.randint(0, 9, (len(y), 2)).tolist()):
                    cut[j] = x[j, :, top : top + 32, left : left + 32]
                flip = torch.rand(len(y), device=self.device) < 0.5
                x = torch.where(flip.view(-1, 1, 1, 1), cut.flip(3), cut).contiguous(memory_format=torch.channels_last)
            with torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.dtype == "bf16"):
                output = self.model(x)
                loss = nn.functional.cross_entropy(output, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            wrong += (output.argmax(1) != y).sum().item()
            total += loss.item()
        self.model.eval()
        with torch.no_grad(), torch.autocast(self.device, torch.bfloat16, enabled=self.recipe.dtype == "bf16"):
            missed = sum(
                (self.model(self.normal(x)).argmax(1) != y).sum().item()
                for x, y in zip(self.test_images.split(1000), self.test_labels.split(1000), strict=True)
            )
        return wrong, total, missed


@pytest.mark.benchmark(group="epochs of training: by hand / ours, in turn")
@pytest.mark.parametrize("name", ["plain20", "resnet20"])
@pytest.mark.parametrize("device", DEVICES)
def test_epochs(benchmark, device, name):
    data, (train, test) = parts()
    recipe = TrainingRecipe(64_000, augment=data == "cifar10", dtype=precision(device))
    feed = Feed(train, test, recipe.batch, recipe.augment, device)
    ours = TrainingRun(name, load(name, SIZE).module, 0, recipe, feed, device)
    theirs = ByHand(name, train, test, recipe, device)
    seconds = {"ours": [], "theirs": []}

    def epoch(which):
        start = synchronised(device)
        if which == "ours":
            for _ in ours.epoch():
                pass
            ours.close()
        else:
            theirs.epoch()
        seconds[which].append(synchronised(device) - start)

    def pair():
        for which in ("ours", "theirs") if len(seconds["ours"]) % 2 else ("theirs", "ours"):
            epoch(which)

    benchmark.pedantic(pair, rounds=EPOCHS)
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    images = feed.steps * feed.batch / statistics.median(seconds["ours"])
    benchmark.extra_info.update(
        params=cost(name).params,
        macs=cost(name).macs,
        environment=encoded(environment(device)),
        ratios=ratios,
        seconds=seconds,
        history=[epoch._asdict() for epoch in ours.history],
    )
    print(
        f"\n{device} {name} {data} {recipe.dtype}, batch {feed.batch}: by hand / ours {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}, n {len(ratios)} epochs); ours {images:,.0f} images/s, test error "
        f"{ours.history[-1].test_error:.1%} after {len(ours.history)} epochs"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are for NVIDIA GPUs")
@pytest.mark.benchmark(group="training on a GPU: images a second with a CUDA graph / step by step")
@pytest.mark.parametrize("name", ["plain20", "resnet20", "resnet56", "resnet110"])
def test_graph(benchmark, name):
    data, (train, test) = parts()
    recipe = TrainingRecipe(64_000, augment=True, dtype=precision("cuda"))
    feed = Feed(train, test, recipe.batch, True, "cuda")
    run = TrainingRun(name, load(name, SIZE).module, 0, recipe, feed, "cuda")
    rows = feed.rows(0, 0)
    ratios, rates = [], []

    def steps(step):
        start = synchronised("cuda")
        with run._stream():
            for i in range(50):
                step(rows[i % len(rows)])
        return synchronised("cuda") - start

    run.step = 1
    steps(run._train), steps(run._learn)

    def pair():
        eager, graph = steps(run._learn), steps(run._train)
        ratios.append(eager / graph)
        rates.append(50 * feed.batch / graph)

    benchmark.pedantic(pair, rounds=15)
    benchmark.extra_info.update(environment=encoded(environment("cuda")), ratios=ratios, images_per_s=rates)
    print(
        f"\ncuda {name} {data} batch {feed.batch}: graph / eager throughput {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, n {len(ratios)}); {statistics.median(rates):,.0f} images/s"
    )
