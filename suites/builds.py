"""Two builds of resbench side by side: what a trace costs in each, and a training loop under a probe.

    git worktree add /tmp/before e460e53
    python suites/builds.py /tmp/before . -n 25

Each build runs in a process of its own; they take turns, task by task, first one and then the other in front. A
ratio is that of one turn; printed are its median and its 10th and 90th percentile. Seconds of the process's CPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

TRACED = (
    "timm:resnet18",
    "timm:resnet152",
    "timm:densenet121",
    "timm:convnext_tiny",
    "timm:vit_small_patch16_224",
)
STEPS = 16
"""Of the loop in one turn, two of them observed."""


def tracing(name: str) -> Callable[[], object]:
    """One trace of a model that is loaded already."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from zoos import import_torchvision

    from resbench.costs.trace import trace
    from resbench.networks.load import load

    import_torchvision()  # timm imports it
    loaded = load(name)
    return lambda: trace(loaded.module, loaded.arguments(1), name=name)


def probing() -> Callable[[], object]:
    """Some steps of ResNet-20 on 32 random images under a probe on every 8th."""
    import torch

    from resbench import GradientProbe
    from resbench.networks.load import load

    torch.manual_seed(0)
    model = load("resnet20").module.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    probe = GradientProbe(model, every=8)
    images, labels = torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))

    def steps() -> None:
        for _ in range(STEPS):
            loss = torch.nn.functional.cross_entropy(probe(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            probe.read(lr=0.01)
        probe.readings.clear()

    return steps


TASKS: dict[str, Callable[[], Callable[[], object]]] = {
    **{f"trace {name}": lambda name=name: tracing(name) for name in TRACED},
    "ResNet-20 loop, probe on every 8th step": probing,
}


def serve() -> None:
    """In the process of one build: run the tasks that are asked for, and say how long each took."""
    import torch

    torch.set_num_threads(1)
    made: dict[str, Callable[[], object]] = {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        task = line.strip()
        if task not in made:
            made[task] = TASKS[task]()
            made[task]()
        begun = time.process_time()
        made[task]()
        print(time.process_time() - begun, file=answers, flush=True)


class Build:
    """A checkout with a process that runs its code."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder.resolve()), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, __file__, "--serve"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
        )

    def seconds(self, task: str) -> float:
        """How long it took to do the task once."""
        assert self.process.stdin and self.process.stdout
        print(task, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main() -> None:
    """Print a line a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("-n", type=int, default=15, help="turns of each task")
    parser.add_argument("--task", action="append", choices=TASKS, help="instead of all")
    options = parser.parse_args()
    before, after = Build(options.before), Build(options.after)
    print(f"{'task':42} {'before':>9} {'after':>9} {'after / before':>15} {'p10':>6} {'p90':>6} {'n':>4}")
    for task in options.task or TASKS:
        for build in (before, after):
            build.seconds(task)
        pairs = []
        for turn in range(options.n):
            order = (before, after) if turn % 2 else (after, before)
            took = {build: build.seconds(task) for build in order}
            pairs.append((took[before], took[after]))
        ratios = [b / a for a, b in pairs]
        low, *_, high = quantiles(ratios, n=10)
        a, b = (median(side) for side in zip(*pairs, strict=True))
        print(f"{task:42} {a:9.4f} {b:9.4f} {median(ratios):15.3f} {low:6.3f} {high:6.3f} {options.n:4}", flush=True)


if __name__ == "__main__":
    serve() if "--serve" in sys.argv else main()
