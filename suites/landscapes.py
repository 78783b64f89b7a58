"""How fast a point of a loss landscape is evaluated: against a matrix product, loops tuned by hand, and other packages.

    python suites/landscapes.py --turns 5 > results/cpu/landscapes.txt
    python suites/landscapes.py --package loss-landscapes=/path/to/its/python --turns 5

ResNet-56 on 512 images of 3x32x32, `bn` eval, random weights: the work of a point does not depend on them. Each turn
runs fresh processes one after the other, the one in front changing with each; compilation and a first point are not in
the time. Printed are seconds a point, medians with their ranges, and of each turn the rate of multiply-accumulates
over that of a product of two 1024 x 1024 matrices. A package runs in a Python of its own, as its documentation calls
it: the whole batch at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

IMAGES, SIDE, POINTS = 512, 32, 6
MACS = 125_485_696 * IMAGES


def timed(point: Callable[[], Any], points: int = POINTS) -> float:
    """Return the median time of a point, after a first one that is not counted."""
    point()
    found = []
    for _ in range(points):
        begun = time.perf_counter()
        point()
        found.append(time.perf_counter() - begun)
    return median(found)


def network() -> Any:
    """Load the network, also where resbench is not installed."""
    import torch

    return torch.load(os.environ["LANDSCAPE_NET"], weights_only=False)


def shown(size: int) -> list[tuple[Any, Any]]:
    """Return the images and labels in batches."""
    import torch

    draw = torch.Generator().manual_seed(0)
    x = torch.randn(IMAGES, 3, SIDE, SIDE, generator=draw)
    y = torch.randint(0, 10, (IMAGES,), generator=draw)
    return [*zip(x.split(size), y.split(size), strict=True)]


def matmul() -> float:
    """Return the seconds that as many MACs take in a product of matrices."""
    import torch

    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return timed(lambda: a @ b, 200) * MACS / 1024**3


def ours(compiled: bool) -> float:
    """Time `resbench`'s own evaluation of a point."""
    import torch

    from resbench.landscapes.directions import random
    from resbench.landscapes.losses import CHUNKS, Losses, cross_entropy

    net = network().to(memory_format=torch.channels_last)
    parts = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in shown(CHUNKS["cpu"])]
    losses = Losses(net, parts, cross_entropy, "eval", compiled)
    pair = [random(net, "filter", "zero", 0, i) for i in range(2)]
    return timed(lambda: losses.at((0.01, pair[0]), (0.02, pair[1])))


def loop(compiled: bool) -> float:
    """Time a loop by hand: weights written in place, batches of 32, channels_last, inference mode."""
    import torch

    net = network().to(memory_format=torch.channels_last).eval()
    parts = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in shown(32)]
    params = [*net.parameters()]
    centre = [p.detach().clone() for p in params]
    d1, d2 = ([torch.randn_like(p) * 0.01 for p in params] for _ in range(2))
    forward = torch.compile(net) if compiled else net

    @torch.inference_mode()
    def point() -> float:
        for p, c, a, b in zip(params, centre, d1, d2, strict=True):
            p.copy_(c).add_(a, alpha=0.01).add_(b, alpha=0.02)
        total = sum(torch.nn.functional.cross_entropy(forward(x), y, reduction="sum") for x, y in parts)
        return float(total) / IMAGES

    return timed(point)


def loss_landscapes() -> float:
    """Time the package of that name: a random plane of 4 x 4 points, and one of 2 x 2 taken off."""
    import loss_landscapes
    import torch
    from loss_landscapes.metrics import Loss

    net = network().eval()
    [(x, y)] = shown(IMAGES)
    metric = Loss(torch.nn.CrossEntropyLoss(), x, y)

    def plane(steps: int) -> float:
        begun = time.perf_counter()
        with torch.no_grad():
            loss_landscapes.random_plane(net, metric, 1, steps, normalization="filter", deepcopy_model=True)
        return time.perf_counter() - begun

    plane(2)
    return (plane(4) - plane(2)) / 12


def loss_landscape_3d() -> float:
    """Time the package of that name: a grid of 3 x 3 points, batches of 32 as its first example has them."""
    import numpy as np
    from loss_landscape_3d import LossLandscapeCalculator, data, generate_random_directions, nn

    net = network().eval()
    [(x, y)] = shown(IMAGES)
    loader = data.DataLoader(data.TensorDataset(x, y), batch_size=32)
    first, second = generate_random_directions(net, normalize=True)
    calculator = LossLandscapeCalculator(net, loader, nn.CrossEntropyLoss())

    def plane(steps: int) -> float:
        axis = np.linspace(-0.01, 0.01, steps)
        begun = time.perf_counter()
        calculator.calculate(axis, axis, first, second, center_state=net.state_dict())
        return time.perf_counter() - begun

    plane(1)
    return (plane(3) - plane(1)) / 8


def landscaper() -> float:
    """Time the package of that name: a plane of 3 x 3 points; its user gives the loss, here of the whole batch."""
    import torch
    from landscaper.compute import compute_loss_landscape

    net = network().eval()
    [data] = shown(IMAGES)
    directions = [[0.01 * torch.randn_like(p) for p in net.parameters()] for _ in range(2)]

    def loss(model: torch.nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> float:
        with torch.no_grad():
            return torch.nn.functional.cross_entropy(model(data[0]), data[1]).item()

    def plane(steps: int) -> float:
        begun = time.perf_counter()
        compute_loss_landscape(net, data, directions, loss, steps=steps, dim=2, device="cpu")
        return time.perf_counter() - begun

    plane(1)
    return (plane(3) - plane(1)) / 8


PACKAGES = {"loss-landscapes": loss_landscapes, "loss-landscape-3d": loss_landscape_3d, "landscaper": landscaper}
TASKS: dict[str, Callable[[], float]] = {
    "matmul": matmul,
    "resbench, eager": lambda: ours(False),
    "resbench, compiled": lambda: ours(True),
    "loop, eager": lambda: loop(False),
    "loop, compiled": lambda: loop(True),
    **PACKAGES,
}


def main() -> None:
    """Run the turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--package", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(TASKS[given.task]()))
        return
    import tempfile

    import torch

    import resbench

    pythons = dict(one.split("=", 1) for one in given.package)
    names = [name for name in TASKS if name in pythons or name not in PACKAGES]
    found: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        net = resbench.build("resnet56", seed=0)
        for p in net.parameters():
            if p.dim() == 1:
                torch.nn.init.normal_(p, 1, 0.1)  # loss-landscapes divides by the length of each, also where that is 0
        torch.save(torch.fx.symbolic_trace(net.eval()), f"{place}/net.pt")  # plain modules, for any Python with torch
        for turn in range(given.turns):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                command = [pythons.get(name, sys.executable), __file__, "--task", name]
                environment = {**os.environ, "LANDSCAPE_NET": f"{place}/net.pt"}
                told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                if told.returncode:
                    sys.exit(f"{name}: {told.stderr[-600:]}")
                found[name].append(json.loads(told.stdout.splitlines()[-1]))
                print(f"turn {turn + 1}: {name}: {found[name][-1]:.3f} s", file=sys.stderr)
    print(f"{'':20} {'seconds a point':>26} {'rate / matmul':>26} {'n':>3}")
    for name in names:
        rates = [limit / own for limit, own in zip(found["matmul"], found[name], strict=True)]
        print(f"{name:20} {_range(found[name]):>26} {_range(rates):>26} {len(rates):3}")


def _range(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
