"""How busy the engines of a sweep keep two cores with cells of 50 ms, rows included: processes, and Ray.

    python suites/engine.py -n 600 --turns 3 > results/cpu/engine.txt

A cell spins for 50 ms of the clock. The share of the time that two workers spent in cells is taken from the end of the
first cell on: starting them is told apart. Every answer becomes a row of a dataset, as in a sweep.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from resbench.sweeps import pool
from resbench.sweeps.answers import Answer, died, place
from resbench.sweeps.cells import columns, row_of
from resbench.sweeps.dataset import opened
from resbench.sweeps.draws import Drawn
from resbench.sweeps.questions import QUESTIONS, Cell, How
from resbench.sweeps.space import Space

CELL_S = 0.05
WORKERS = 2

Engine = Callable[[list[Cell]], Iterator[tuple[Cell, Answer]]]


def spin(cell: Cell) -> Answer:
    """Work for 50 ms."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < CELL_S:
        pass
    return Answer({"naswot": 1.0}, "", time.perf_counter() - begun, place("cpu"))


def by_processes(cells: list[Cell]) -> Iterator[tuple[Cell, Answer]]:
    """Answer in two processes of this machine."""
    with pool.Crew(WORKERS) as crew:
        yield from crew.each(spin, cells, died)


def by_ray(cells: list[Cell]) -> Iterator[tuple[Cell, Answer]]:
    """Answer on a cluster of this machine."""
    from resbench.sweeps import cluster

    with cluster.connected("local", None):
        yield from cluster.each(lambda cell: spin(cell), cells, died, lambda cell: 2**20)


def busy(engine: Engine, count: int) -> tuple[float, float]:
    """Return the share of the time that workers were at cells, and the seconds until the first was done."""
    space = Space.of("residual")
    cells = [Cell(f"plain8,width={i}", QUESTIONS["naswot"], 0, How()) for i in range(1, count + 1)]
    begun, first, spent, done = time.perf_counter(), 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder, opened(Path(folder, "d"), columns(space), {"space": "x"}) as held:
        for cell, answer in engine(cells):
            held.add([row_of(space, cell, Drawn(cell.network, "plain8", {}, ""), {**answer.figures, **answer.words})])
            done += 1
            if done == WORKERS:
                first = time.perf_counter()
            elif done > WORKERS:
                spent += answer.took_s
        end = time.perf_counter()
    return spent / (WORKERS * (end - first)), first - begun


def main() -> None:
    """Print the shares of each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=600, help="cells")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    engines = {"processes": by_processes, "ray": by_ray}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    for turn in range(given.turns):
        for name in [*engines] if turn % 2 else [*engines][::-1]:
            found[name].append(busy(engines[name], given.n))
    print(f"{given.n} cells of {1000 * CELL_S:.0f} ms on {WORKERS} workers")
    print(f"{'engine':12} {'busy':>22} {'first cells after (s)':>24} {'n':>3}")
    for name, turns in found.items():
        shares, starts = zip(*turns, strict=True)
        told = f"{median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"
        print(f"{name:12} {told:>22} {median(starts):24.1f} {len(turns):3}")


if __name__ == "__main__":
    main()
